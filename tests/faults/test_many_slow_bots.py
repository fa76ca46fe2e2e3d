"""Two hundred bots at once, each with a line now and then: what the runner needs for them stays bounded."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from botdock import Config, DockerRunner, Executable, Execution, Limits, Outcome
from botdock.model import ContainerState
from testbed.drills import count
from testbed.waiting import wait_until

pytestmark = pytest.mark.docker

BOTS = count(200, 24)
AT_ONCE = 4
"""Starts and stops at one time; more of them do not get through faster on two processors."""
LINES = 3
SOURCE = """
exec 3<> <(:)
trap 'stopping=1' TERM
number=0
while [ -z "$stopping" ]; do
    echo "line $number of $ID"
    number=$((number + 1))
    read -r -t 1 _ <&3
done
echo "$number lines of $ID"
"""
"""Writes a line each second until it is stopped, and then how many it wrote; starts no process for it."""

THREADS = 12
"""However many bots there are: the loop of the logs, and those that wait for disks, events, stops and the clock."""
FILES_PER_BOT, FILES = 2, 160
"""The log's socket and what watches it; and the files of at most 64 logs."""


def test_many_slow_bots_need_few_threads_and_files(docker_config: Config, tmp_path: Path) -> None:
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow/main.sh").write_text(SOURCE)
    limits = Limits(memory=16 * 1024 * 1024, pids=8)
    threads, files = threading.active_count(), open_files()
    with DockerRunner(docker_config) as runner, ThreadPoolExecutor(AT_ONCE) as pool:

        def start(number: int) -> Execution:
            return runner.start(
                Executable(
                    id=f"slow-{number}",
                    runtime="bash",
                    file_path=str(tmp_path / "slow"),
                    is_long_running=True,
                    limits=limits,
                )
            )

        executions = list(pool.map(start, range(BOTS)))
        assert wait_until(lambda: all(lines_of(execution) >= LINES for execution in executions), timeout=60)
        states = [container.state for container in runner.list_managed_containers()]
        assert states == [ContainerState.RUNNING] * BOTS, "all of them run at once"
        of_the_pool = AT_ONCE
        quiet = wait_until(lambda: threading.active_count() - threads - of_the_pool <= THREADS, timeout=30)
        used_threads, used_files = threading.active_count() - threads - of_the_pool, open_files() - files
        names = sorted(thread.name for thread in threading.enumerate())
        list(pool.map(lambda execution: execution.stop(grace=20), executions))
        problems = [problem for execution in executions if (problem := problem_of(execution))]
    print(f"\n{BOTS} bots at once: {used_threads} threads and {used_files} files more than without", names)
    assert problems == []
    assert quiet, names
    assert used_files <= BOTS * FILES_PER_BOT + FILES
    assert wait_until(lambda: threading.active_count() <= threads, timeout=10)
    assert wait_until(lambda: open_files() <= files, timeout=10)


def problem_of(execution: Execution) -> str:
    """Say what is wrong with the end or the log of a bot, or nothing."""
    result = execution.wait(timeout=60)
    if result is None or result.outcome is not Outcome.STOPPED or not result.log.complete or result.log.gaps:
        return f"{execution.execution_id}: {result}"
    lines = [line.text for line in execution.logs()]
    count = len(lines) - 1
    expected = [*(f"line {number} of {result.id}" for number in range(count)), f"{count} lines of {result.id}"]
    return "" if count >= LINES and lines == expected else f"{result.id}: {lines}"


def lines_of(execution: Execution) -> int:
    return len(list(execution.logs()))


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only names
