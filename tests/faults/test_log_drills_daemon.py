"""The daemon killed again and again under a bot that writes all the time.

The bot writes line by line. Of a line whose end the daemon has not seen yet it keeps the beginning in its own memory
(the copier of Docker 20.10, 16 KiB at most), and loses it when it is killed; nobody else has these bytes then.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from botdock import Config, DockerRunner, Outcome
from botdock.model import Stream
from faults.log_bots import Counts, flood_pieces, log_folder, slow_bot, stored_bytes, whole
from testbed.daemon import PrivateDaemon

pytestmark = pytest.mark.docker

KILLS = 4
MIB = 1024 * 1024
FLOOD = {"seed": 2, "bytes": 4 * MIB, "longest": 2000}


def test_not_a_byte_is_missing_or_doubled_when_the_daemon_is_killed_again_and_again(
    drill_daemon: PrivateDaemon, make_docker_config: Callable[..., Config], tmp_path: Path
) -> None:
    written = whole(flood_pieces(FLOOD))
    chance = random.Random(1)
    counts = Counts()
    with DockerRunner(make_docker_config(host=drill_daemon.host)) as runner:
        execution = runner.start(slow_bot(tmp_path / "code", FLOOD, pause=0.02, by_line=True))
        folder = log_folder(runner.config.home_dir, execution.execution_id)
        for _ in range(KILLS):
            wait_for_more(folder, chance.randint(1, MIB // 2))
            assert not execution.done, "it was to be killed while the bot writes"
            drill_daemon.restart()
        result = execution.wait(timeout=120)
        assert result is not None
        assert result.outcome is Outcome.SUCCEEDED, (result.outcome, result.error)
        counts.compare("the run", written, stored_bytes(folder))
        counts.check_summary("the run", result, written)
    counts.report("the daemon killed under a bot that writes", kills=KILLS)


def wait_for_more(folder: Path, size: int, timeout: float = 60.0) -> None:
    """Wait until so many bytes more are stored than there are now."""
    deadline = time.monotonic() + timeout
    before = stored_size(folder)
    while stored_size(folder) < before + size:
        assert time.monotonic() < deadline, f"nothing more than {stored_size(folder)} bytes was stored"
        time.sleep(0.005)


def stored_size(folder: Path) -> int:
    return sum(path.stat().st_size for stream in Stream for path in folder.glob(f"{stream}.*"))
