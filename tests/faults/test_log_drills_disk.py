"""A full disk below the state folder, while a bot writes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from botdock import Config, DockerRunner, Outcome
from faults.log_bots import Counts, flood_bot, flood_pieces, log_folder, proof, stored_bytes, whole

pytestmark = pytest.mark.docker

MIB = 1024 * 1024
FLOOD = {"seed": 6, "bytes": 12 * MIB}
SMALL_FLOOD = {"seed": 7, "bytes": 100_000}


@pytest.fixture
def small_home(tmp_path: Path, mount_small: Callable[..., Path]) -> Path:
    """A state folder on a file system of 4 MiB."""
    return mount_small(tmp_path / "small", 4 * MIB)


def test_a_full_disk_ends_the_bot_with_a_clear_error_and_leaves_a_proven_prefix(
    small_home: Path, make_mounted_config: Callable[..., Config]
) -> None:
    counts = Counts()
    with DockerRunner(make_mounted_config(home=str(small_home))) as runner:
        result = runner.run(flood_bot(FLOOD))
        assert result.outcome is Outcome.INFRASTRUCTURE_ERROR, result.outcome
        assert "No space left on device" in result.error
        assert "BOTDOCK_HOME" in result.error
        folder = log_folder(small_home, result.execution_id)
        written, stored = whole(flood_pieces(FLOOD)), stored_bytes(folder)
        assert sum(map(len, stored.values())) > MIB
        assert not result.log.complete
        for stream, data in stored.items():
            counts.compare(f"{stream}", {**stored, stream: written[stream][: len(data)]}, stored)
            assert result.log.streams[stream.value] == proof(data)
        assert runner.list_managed_containers() == []
        assert list(small_home.glob("executions/*/workspace")) == []
        shutil.rmtree(folder)

        after = runner.run(flood_bot(SMALL_FLOOD))
        assert after.outcome is Outcome.SUCCEEDED, after.error
        counts.check_summary("the run after it", after, whole(flood_pieces(SMALL_FLOOD)))
    counts.report("a full disk")


def test_another_runner_on_another_disk_notices_nothing(
    small_home: Path, make_mounted_config: Callable[..., Config]
) -> None:
    written = whole(flood_pieces(FLOOD))
    counts = Counts()
    full = make_mounted_config(home=str(small_home))
    with DockerRunner(full) as poor, DockerRunner(make_mounted_config()) as rich:
        execution = poor.start(flood_bot(FLOOD))
        result = rich.run(flood_bot(FLOOD))
        assert result.outcome is Outcome.SUCCEEDED, result.error
        counts.compare("the other", written, stored_bytes(log_folder(rich.config.home_dir, result.execution_id)))
        counts.check_summary("the other", result, written)
        ended = execution.wait(timeout=60)
        assert ended is not None
        assert ended.outcome is Outcome.INFRASTRUCTURE_ERROR
    counts.report("beside a full disk")
