"""Archives run from the cache: mounted where they lie by Docker, copied for the process engine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from botdock import Config, DockerRunner, Executable, Outcome
from botdock.config import CodeConfig
from botdock_testing._code_store import zipped

SOURCE = """
import os

def main(id, config):
    try:
        with open(os.path.join(os.environ["CODE_MOUNT_DIR"], "main.py"), "a") as file:
            file.write("# written by the bot")
        written = True
    except OSError:
        written = False
    import lib.util
    return {"written": written, "x": lib.util.X}
"""
WAITING = """
import signal, threading

def main(id, config):
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    print("up")
    asked.wait()
    import later
    print("later", later.X)
"""
FILES = {"main.py": SOURCE, "lib/util.py": "X = 1\n"}


def bot(**fields: object) -> Executable:
    return Executable(**{"id": "cached", "runtime": "python311", "timeout": 120.0} | fields)  # type: ignore[arg-type] # fields of an executable


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "bot.zip"
    path.write_bytes(zipped(FILES))
    return path


def trees(config: Config) -> list[str]:
    return sorted(path.name for path in (config.home_dir / "cache/code").iterdir() if path.is_dir())


def test_docker_shows_the_cached_tree_itself_and_read_only(docker_config: Config, archive: Path) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    for _ in range(2):
        with DockerRunner(docker_config) as runner:
            result = runner.run(bot(file_path=str(archive), code_digest=digest))
        assert result.outcome is Outcome.SUCCEEDED, result
        assert result.value == {"written": False, "x": 1}
        assert result.metadata["code_digest"] == f"sha256:{digest}"
    assert trees(docker_config) == [digest]
    assert list((docker_config.home_dir / "cache/leases" / digest).iterdir()) == []


def test_code_that_is_evicted_meanwhile_stays_for_who_runs_it(
    make_docker_config: Callable[..., Config], archive: Path
) -> None:
    config = make_docker_config(code=CodeConfig(cache_bytes=1))
    with DockerRunner(config) as runner:
        execution = runner.start(bot(code=zipped({"main.py": WAITING, "later.py": "X = 2\n"}), file_path="waiting"))
        lines = execution.logs(follow=True)
        assert next(lines).text == "up"
        assert runner.run(bot(file_path=str(archive))).succeeded
        execution.stop()
        assert [line.text for line in lines] == ["later 2"]
    assert trees(config) == []


def test_the_process_engine_gives_each_run_a_copy(tmp_path: Path, archive: Path) -> None:
    config = Config(engine="process", home=str(tmp_path / "home"))
    with DockerRunner(config) as runner:
        results = [runner.run(bot(file_path=str(archive))) for _ in range(2)]
    assert [result.outcome for result in results] == [Outcome.SUCCEEDED] * 2, results
    assert all(result.value["x"] == 1 for result in results)
    (digest,) = trees(config)
    assert (config.home_dir / "cache/code" / digest / "main.py").read_text() == SOURCE


def test_runs_at_once_of_one_archive_fetch_it_once(tmp_path: Path) -> None:
    config = Config(
        engine="process", home=str(tmp_path / "home"), options={"local-fs": {"root": str(tmp_path / "store")}}
    )
    (tmp_path / "store/code/bots").mkdir(parents=True)
    (tmp_path / "store/code/bots/a.zip").write_bytes(zipped(FILES))
    succeeded: list[bool] = []
    with DockerRunner(config) as runner:
        runs = [
            threading.Thread(target=lambda: succeeded.append(runner.run(bot(file_path="bots/a.zip")).succeeded))
            for _ in range(8)
        ]
        for run in runs:
            run.start()
        for run in runs:
            run.join(timeout=120)
        counts = {name: stats.count for (name, _), stats in runner.metrics.get_metrics().operations.items()}
    assert succeeded == [True] * 8
    assert (counts["storage.get"], counts["cache.miss"], counts["cache.hit"]) == (1, 1, 7)
