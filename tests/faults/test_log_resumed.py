"""A long log whose runner was killed: the next one is closed over it at once, and the one behind it finishes."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from botdock import Config, DockerRunner, Executable, Limits, Outcome
from botdock.config import LoggingConfig
from botdock.model import Stream
from botdock.orchestrator import bot_orchestrator
from faults.log_bots import Counts, log_folder, stored_bytes
from testbed.drills import count
from testbed.waiting import until

MIB = 1024 * 1024
LINES = count(2_000_000, 80_000)
"""Of 100 bytes each."""
BOT = f"""
import sys, time


def main(id, config):
    for number in range({LINES}):
        sys.stdout.write("%099d\\n" % number)
        if number % 10_000 == 0:
            print(number, file=sys.stderr)
    sys.stdout.flush()
    time.sleep(3600)
"""
PATIENCE = count(600, 60)


@pytest.mark.parametrize("engine", [pytest.param("docker", marks=pytest.mark.docker), "process"])
def test_a_runner_that_is_closed_over_a_long_log_loses_nothing_of_it(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = str(tmp_path / "home")
    made = request.getfixturevalue("docker_config") if engine == "docker" else Config(engine=engine, home=home)
    config = attrs.evolve(made, logging=LoggingConfig(compress=False))  # so that what is stored can be seen in sizes
    (tmp_path / "code").mkdir()
    (tmp_path / "code/main.py").write_text(BOT)
    limits = Limits(memory=64 * MIB, pids=16, output=512 * MIB)
    code = str(tmp_path / "code")
    bot = Executable(id="long", runtime="python311", file_path=code, limits=limits, timeout=3600.0)
    begin_and_kill(config, bot, tmp_path / "orders", size=LINES * 70)
    monkeypatch.setattr(bot_orchestrator, "LOG_PATIENCE", 0.0)
    with DockerRunner(config) as closed:
        (execution,) = closed.recover()
    assert execution.done
    monkeypatch.undo()
    with DockerRunner(config) as last:
        results = [one.wait(PATIENCE) for one in last.recover()] or [execution.result]
    (result,) = results
    assert result is not None
    assert result.outcome is Outcome.STOPPED, result.error
    written = {
        Stream.STDOUT: b"".join(b"%099d\n" % number for number in range(LINES)),
        Stream.STDERR: b"".join(b"%d\n" % number for number in range(0, LINES, 10_000)),
    }
    stored = stored_bytes(log_folder(config.home_dir, execution.execution_id))
    counts = Counts()
    for stream, data in written.items():
        assert data.startswith(stored[stream]), stream
    counts.check_summary("the log", result, stored)
    counts.report("a long log resumed", size=sum(map(len, stored.values())))


def begin_and_kill(config: Config, bot: Executable, orders: Path, *, size: int) -> None:
    """Start a bot, and kill its runner when so many bytes are stored."""
    orders.write_bytes(pickle.dumps((config, [bot])))
    program = Path(__file__).with_name("runner_program.py")
    with subprocess.Popen([sys.executable, str(program), str(orders)], stdout=subprocess.DEVNULL) as process:
        logs = config.home_dir / "executions"
        until(lambda: sum(path.stat().st_size for path in logs.glob("*/logs/stdout.*")) >= size, timeout=PATIENCE)
        process.kill()
