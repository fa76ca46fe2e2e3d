"""Logs of bots in a real Kubernetes: every byte once, also for the runner that comes after one that was killed."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

from botdock import Config, DockerRunner, Executable, Limits, Outcome
from botdock.executions import Executions
from botdock.model import Stream
from faults.log_bots import Counts, cat_bot, flood_pieces, log_folder, stored_bytes, whole
from testbed.drills import SEED, count
from testbed.waiting import until

MIB = 1024 * 1024
RUNS = count(100, 3)
"""Of bots that write less than a pipe takes: containerd 1.6 loses the rest where its node is busy for 2 s."""
LINES = count(600_000, 30_000)
"""Of 100 bytes each; the many of a drill are more than the kubelet keeps in one file."""
RATE = count(10_000, 10_000)
"""Lines a second."""
BOT = f"""
import sys, time


def main(id, config):
    began = time.monotonic()
    for number in range(0, {LINES}, 100):
        sys.stdout.write("".join("%099d\\n" % (number + more) for more in range(100)))
        sys.stdout.flush()
        time.sleep(max(0.0, began + number / {RATE} - time.monotonic()))
"""
PATIENCE = count(600, 120)


def test_not_a_byte_is_missing_or_doubled(kubernetes_config: Config, tmp_path: Path) -> None:
    counts = Counts()
    with DockerRunner(kubernetes_config) as runner:
        for seed in range(SEED, SEED + RUNS):
            shape = {"seed": seed, "bytes": 30_000 * (seed % 3), "line": 20_000 * (seed % 2) + 40, "binary": True}
            pieces = [
                (Stream.STDOUT, piece.replace(b"\r", b"")) for _, piece in flood_pieces(shape)
            ]  # see `exact_bytes`
            result = runner.run(cat_bot(tmp_path / f"cat-{seed}", pieces, id=f"cat-{seed}"))
            assert result.outcome is Outcome.SUCCEEDED, result.error
            written = whole(pieces)
            counts.compare(
                f"seed {seed}", written, stored_bytes(log_folder(runner.config.home_dir, result.execution_id))
            )
            counts.check_summary(f"seed {seed}", result, written)
    assert counts.runs == RUNS
    counts.report("bots of kubernetes that end at once")


def test_the_next_runner_goes_on_to_the_byte_where_one_was_killed(kubernetes_config: Config, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/main.py").write_text(BOT)
    limits = Limits(memory=64 * MIB, pids=16, output=512 * MIB)
    bot = Executable(id="long", runtime="python311", file_path=str(tmp_path / "code"), limits=limits, timeout=3600.0)
    orders = tmp_path / "orders"
    orders.write_bytes(pickle.dumps((kubernetes_config, [bot])))
    program = Path(__file__).with_name("runner_program.py")
    with subprocess.Popen([sys.executable, str(program), str(orders)], stdout=subprocess.DEVNULL) as process:
        logs = kubernetes_config.home_dir / "executions"
        until(lambda: sum(path.stat().st_size for path in logs.glob("*/logs/stdout.*")) >= MIB, timeout=PATIENCE)
        process.kill()
    with DockerRunner(kubernetes_config) as last:
        adopted = [one.wait(PATIENCE) for one in last.recover()]  # none where it had ended before it was killed
    (record,) = Executions(kubernetes_config.home_dir).list()
    assert record.outcome is Outcome.SUCCEEDED, record.error
    written = {Stream.STDOUT: b"".join(b"%099d\n" % number for number in range(LINES)), Stream.STDERR: b""}
    counts = Counts()
    stored = stored_bytes(record.logs)
    counts.compare("the log", written, stored)
    for result in adopted:
        assert result is not None
        counts.check_summary("the log", result, written)
    counts.report("a log resumed", size=len(stored[Stream.STDOUT]))
