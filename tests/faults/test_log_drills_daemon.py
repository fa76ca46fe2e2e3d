"""The daemon killed again and again under a bot that writes all the time.

Of a line whose end the daemon has not seen yet it keeps the beginning in its own memory (up to 16 KiB, the buffer of
the log copier of Docker 20.10), and loses it when it is killed; nothing else has these bytes then. A bot that writes
line by line loses nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from botdock import Config, DockerRunner, Outcome
from botdock.model import Stream
from faults.log_bots import Counts, flood_pieces, log_folder, slow_bot, stored_bytes, whole
from testbed.daemon import PrivateDaemon
from testbed.drills import count
from testbed.waiting import until

pytestmark = pytest.mark.docker

KILLS = count(4, 2)
MIB = 1024 * 1024
LONGEST_ENTRY = 16 * 1024
"""Bytes of a line that the daemon holds back until it has seen its end."""
FLOOD = {"seed": 2, "bytes": KILLS * MIB, "longest": 2000}


def test_not_a_byte_is_missing_or_doubled_when_the_daemon_is_killed_again_and_again(
    drill_daemon: PrivateDaemon, make_docker_config: Callable[..., Config], tmp_path: Path
) -> None:
    counts = Counts()
    drill(drill_daemon, make_docker_config(host=drill_daemon.host), tmp_path, counts, by_line=True)
    counts.report("the daemon killed under a bot that writes", kills=KILLS)


def test_nothing_is_doubled_and_little_lost_when_the_daemon_is_killed_in_the_middle_of_lines(
    drill_daemon: PrivateDaemon, make_docker_config: Callable[..., Config], tmp_path: Path
) -> None:
    counts = Counts()
    drill(drill_daemon, make_docker_config(host=drill_daemon.host), tmp_path, counts, by_line=False)
    print(f"\nthe daemon killed in mid-line: {KILLS} kills, {counts.lost} lost by the daemon, {counts.doubled} doubled")
    assert counts.doubled <= KILLS, counts.problems  # a newline that the daemon keeps for each line it has broken off
    assert counts.lost <= KILLS * 2 * LONGEST_ENTRY, counts.problems


def drill(daemon: PrivateDaemon, config: Config, folder: Path, counts: Counts, *, by_line: bool) -> None:
    """Kill the daemon several times under one bot, and compare what is stored with what it wrote."""
    written = whole(flood_pieces(FLOOD))
    chance = random.Random(1)
    with DockerRunner(config) as runner:
        execution = runner.start(slow_bot(folder / "code", FLOOD, pause=0.02, by_line=by_line))
        logs = log_folder(runner.config.home_dir, execution.execution_id)
        for _ in range(KILLS):
            wait_for_more(logs, chance.randint(1, MIB // 2))
            assert not execution.done, "it was to be killed while the bot writes"
            daemon.restart()
        result = execution.wait(timeout=120)
        assert result is not None
        assert result.outcome is Outcome.SUCCEEDED, (result.outcome, result.error)
        counts.compare("the run", written, stored_bytes(logs))
        if by_line:
            counts.check_summary("the run", result, written)


def wait_for_more(folder: Path, size: int, timeout: float = 60.0) -> None:
    """Wait until so many bytes more are stored than there are now."""
    before = stored_size(folder)
    until(lambda: stored_size(folder) >= before + size, timeout=timeout)


def stored_size(folder: Path) -> int:
    return sum(path.stat().st_size for stream in Stream for path in folder.glob(f"{stream}.*"))
