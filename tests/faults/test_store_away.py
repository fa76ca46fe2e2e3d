"""The storage away for the whole of a run, and a disk that is full under what waits for it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from botdock import Config, DockerRunner, Executable, ExecutionResult, Outcome
from botdock.config import OutboxConfig, document
from botdock.model import StorageArea
from botdock.services.outbox import outbox_folder, read_status
from botdock_storage_local_fs.backend import LocalFsBackend
from botdock_storage_minio.backend import MinIOBackend
from testbed.minio import MinioServer
from testbed.waiting import until

SOURCE = """
import sys

def main(id, config):
    for number in range(config["lines"]):
        print("line", number)
    print("that was all", file=sys.stderr)
    return {"sharpe": config["sharpe"]}
"""
KILLED = """
import json, os, sys
from botdock import Config, DockerRunner, Executable
config = Config.load(sys.argv[1])
runner = DockerRunner(config)
result = runner.run(Executable(**json.loads(sys.argv[2])))
print(result.execution_id, result.outcome.value, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def backtest(tmp_path: Path) -> Callable[..., Executable]:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/backtest.py").write_text(SOURCE)

    def make(sharpe: float = 1.5, lines: int = 20_000) -> Executable:
        return Executable(
            id="hello",
            runtime="python311",
            entrypoint="backtest",
            file_path=str(tmp_path / "code"),
            config={"sharpe": sharpe, "lines": lines},
            persist_results=True,
            timeout=120.0,
        )

    return make


@pytest.fixture
def config(drill_minio: MinioServer, make_minio_config: Callable[..., Config]) -> Config:
    """Of runs on this machine with MinIO; impatient where it is away."""
    made = make_minio_config(drill_minio, connect_timeout=2.0, retries=0)
    return attrs.evolve(made, engine="process", outbox=OutboxConfig(retry_interval=0.2))


def text_of(result: ExecutionResult, lines: int = 20_000) -> bytes:
    assert result.outcome is Outcome.SUCCEEDED, result
    return b"".join(b"line %d\n" % number for number in range(lines))


def waiting(config: Config) -> int:
    return read_status(outbox_folder(config.home_dir, config.storage)).items


def deliver(config: Config) -> None:
    """Open a runner and close it, as the next command does."""
    DockerRunner(config).close()


def stored(config: Config) -> dict[str, bytes]:
    found = {}
    for area in (StorageArea.RESULTS, StorageArea.LOGS):
        backend = MinIOBackend.from_config(config, area)
        for info in backend.list():
            with backend.get(info.key) as reader:
                found[info.key] = reader.read()
        backend.close()
    return found


def expected(config: Config, result: ExecutionResult, sharpe: float = 1.5) -> dict[str, bytes]:
    """Everything that a run leaves in the storage, but for what it shares with others of its id."""
    logs = config.home_dir / "executions" / result.execution_id / "logs"
    assert (logs / "stdout.0").read_bytes() == text_of(result)
    assert (logs / "stderr.0").read_bytes() == b"that was all\n"
    return {
        f"executions/{result.execution_id}/result.json": json.dumps({"sharpe": sharpe}, separators=(",", ":")).encode(),
        **{f"logs/hello/{result.execution_id}/{name}": (logs / name).read_bytes() for name in LOG},
    }


LOG = ("end.json", "index.0", "segment.0.json", "stderr.0", "stdout.0")
"""The files of a log of one segment."""
OBJECTS = len(LOG) + 2
"""What waits of one run: its log, its result and its analysis."""


def analysis(result: ExecutionResult, sharpe: float = 1.5) -> dict[str, bytes]:
    data = json.dumps({"sharpe": sharpe}, separators=(",", ":")).encode()
    return {"hello/analysis.json": data, f"hello/analysis/{result.execution_id}.json": data}


def test_a_run_with_the_storage_there_has_stored_everything_when_it_closes(
    config: Config, backtest: Callable[..., Executable]
) -> None:
    with DockerRunner(config) as runner:
        result = runner.run(backtest())
    assert stored(config) == expected(config, result) | analysis(result)
    assert "not_stored" not in result.evidence
    assert waiting(config) == 0
    names = {name for name, _ in runner.metrics.get_metrics().operations}
    assert {"storage.enqueue", "storage.deliver", "storage.put"} <= names


def test_a_storage_that_is_away_for_the_whole_run_gets_everything_when_it_is_back(
    drill_minio: MinioServer, config: Config, backtest: Callable[..., Executable]
) -> None:
    drill_minio.stop()
    with DockerRunner(config) as runner:
        first, second = runner.run(backtest(1.0)), runner.run(backtest(2.0))
    assert "not_stored" not in first.evidence
    status = read_status(outbox_folder(config.home_dir, "minio"))
    assert (status.items, status.dropped_items, status.failed_items) == (2 * OBJECTS - 1, 0, 0), (
        "the older analysis is superseded"
    )
    assert status.last_error
    outbox = [path.read_bytes() for path in (config.home_dir / "outbox").rglob("*") if path.is_file()]
    assert not [data for data in outbox if drill_minio.secret_key.encode() in data]
    drill_minio.start()
    deliver(config)
    assert stored(config) == expected(config, first, 1.0) | expected(config, second, 2.0) | analysis(second, 2.0)
    assert (waiting(config), drill_minio.uploads()) == (0, [])
    assert [path.name for path in (config.home_dir / "outbox/minio/data").iterdir()] == []


def test_a_storage_that_comes_back_while_the_runner_lives_gets_it_then(
    drill_minio: MinioServer, config: Config, backtest: Callable[..., Executable]
) -> None:
    drill_minio.stop()
    with DockerRunner(config) as runner:
        result = runner.run(backtest())
        assert waiting(config) == OBJECTS
        drill_minio.start()
        until(lambda: waiting(config) == 0, timeout=60)
        assert stored(config) == expected(config, result) | analysis(result)


def test_a_runner_killed_while_the_storage_is_away_leaves_it_to_the_next(
    drill_minio: MinioServer, config: Config, backtest: Callable[..., Executable], tmp_path: Path
) -> None:
    drill_minio.stop()
    (tmp_path / "botdock.json").write_text(json.dumps(document(config, show_secrets=True)))
    executable = {name: value for name, value in attrs.asdict(backtest()).items() if name in FIELDS}
    program = KILLED.replace("Config.load(sys.argv[1])", "Config.load(overrides=json.load(open(sys.argv[1])))")
    command = [sys.executable, "-c", program, str(tmp_path / "botdock.json"), json.dumps(executable)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    execution_id, outcome = done.stdout.split()
    assert outcome == "succeeded"
    drill_minio.start()
    deliver(config)
    result = ExecutionResult(execution_id=execution_id, id="hello", outcome=Outcome.SUCCEEDED)
    assert stored(config) == expected(config, result) | analysis(result)


FIELDS = {"id", "runtime", "entrypoint", "file_path", "config", "persist_results", "timeout"}


def test_a_wrong_key_loses_nothing_and_is_mended_by_the_right_one(
    config: Config, backtest: Callable[..., Executable]
) -> None:
    wrong = attrs.evolve(
        config, options={"minio": attrs.evolve(config.options["minio"], secret_key="wrong-but-long-enough")}
    )
    with DockerRunner(wrong) as runner:
        result = runner.run(backtest())
    status = read_status(outbox_folder(config.home_dir, "minio"))
    assert (status.items, status.failed_items, result.outcome) == (OBJECTS, 0, Outcome.SUCCEEDED)
    assert "wrong-but" not in status.last_error
    assert status.last_error
    deliver(config)
    assert stored(config) == expected(config, result) | analysis(result)


def test_two_runners_that_share_a_home_store_each_object_once(
    drill_minio: MinioServer, config: Config, backtest: Callable[..., Executable]
) -> None:
    drill_minio.stop()
    with DockerRunner(config) as first, DockerRunner(config) as second:
        results = [runner.run(backtest(lines=20_000)) for runner in (first, second)]
        drill_minio.start()
        until(lambda: waiting(config) == 0, timeout=60)
        delivered = [
            stats.count - stats.errors
            for runner in (first, second)
            for (name, _), stats in runner.metrics.get_metrics().operations.items()
            if name == "storage.deliver"
        ]
    assert sum(delivered) == 2 * OBJECTS - 1
    assert stored(config) == expected(config, results[0]) | expected(config, results[1]) | analysis(results[1])


def test_a_local_folder_that_cannot_be_written_gets_everything_once_it_can(
    tmp_path: Path, backtest: Callable[..., Executable]
) -> None:
    root = tmp_path / "store"
    config = Config(engine="process", home=str(tmp_path / "home"), options={"local-fs": {"root": str(root)}})
    root.write_text("in the way")
    with DockerRunner(config) as runner:
        result = runner.run(backtest())
    assert (result.outcome, waiting(config)) == (Outcome.SUCCEEDED, OBJECTS)
    root.unlink()
    deliver(config)
    backends = [LocalFsBackend(root, area) for area in (StorageArea.RESULTS, StorageArea.LOGS)]
    keys = {info.key for backend in backends for info in backend.list()}
    assert keys == expected(config, result).keys() | analysis(result).keys()


@pytest.fixture
def small_outbox(tmp_path: Path, mount_small: Callable[..., Path]) -> Path:
    """A file system of 256 KiB where the outbox lies."""
    return mount_small(tmp_path / "home/outbox", 256 * 1024)


def test_a_disk_that_is_full_under_what_waits_is_evidence_and_changes_nothing(
    small_outbox: Path, tmp_path: Path, backtest: Callable[..., Executable]
) -> None:
    root = tmp_path / "store"
    config = Config(engine="process", home=str(tmp_path / "home"), options={"local-fs": {"root": str(root)}})
    with DockerRunner(config) as runner:
        result = runner.run(backtest(lines=60_000))
    assert result.outcome is Outcome.SUCCEEDED
    (problem,) = result.evidence["not_stored"]
    assert "stdout.0" in problem
    assert "No space left on device" in problem
    assert waiting(config) == 0
    assert list(small_outbox.glob("*/data/*")) == []
    keys = {info.key for info in LocalFsBackend(root, StorageArea.LOGS).list()}
    assert keys == {f"logs/hello/{result.execution_id}/{name}" for name in LOG if name != "stdout.0"}
