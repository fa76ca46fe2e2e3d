"""What the testbed says, and how it runs programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


class TestbedError(Exception):
    """The testbed cannot do its part; the message says why, and what would help."""

    __test__ = False  # pytest takes it for a test class otherwise


def say(line: str) -> None:
    """Tell the user what is being done, on stderr."""
    print(f"testbed: {line}", file=sys.stderr, flush=True)


def run(
    command: Sequence[str],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    attempts: int = 1,
    cwd: Path | None = None,
) -> str:
    """Run a program quietly, and return its output.

    Raises:
        TestbedError: It failed `attempts` times; with the end of what it wrote.
    """
    problem = ""
    for _ in range(attempts):
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            problem = str(error)
            continue
        output = done.stdout.decode(errors="replace")
        if done.returncode == 0:
            return output
        problem = f"exit code {done.returncode}\n{output[-2000:]}"
    raise TestbedError(f"`{' '.join(command)}` failed: {problem}")
