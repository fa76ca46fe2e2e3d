"""Kills a runner at every line of removing and of writing the programs of runtimes, and judges what the next one finds.

    python programs_life.py FOLDER

A program of its own, since it forks: in a process with threads that is unsafe.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from botdock import _locks
from botdock.archive import _remove
from botdock.entrypoints import EntrypointManager, program
from botdock.model import Runtime
from testbed.every_line import Life, kill_at_every_line, lines_of

UNUSED = 3600.0
WRITTEN = {"entrypoint.sh": b"#!/bin/sh\n", "wrapper": b"x" * 10_000}
SHELL = Runtime(
    name="shell",
    image="shell:1",
    interpreters=("sh",),
    suffixes=(".sh",),
    scripts={"bot": ("main.sh",)},
    files=lambda: WRITTEN,
)


def keep(programs: Path) -> Path:
    return EntrypointManager({}, {}).create_entrypoint_script(SHELL, programs).parent


def live(programs: Path) -> None:
    """Remove the program, which none has used for long, and write it again."""
    os.utime(keep(programs), (0, 0))
    program.remove_programs(programs, frozenset, unused=UNUSED)
    keep(programs)


def judge(programs: Path) -> Iterator[str]:
    """The next run has the whole program, and what was half is gone once no run needs it."""
    kept = keep(programs)
    if {path.name: path.read_bytes() for path in kept.iterdir()} != WRITTEN:
        yield "the program is not whole"
    program.remove_programs(programs, lambda: {kept.name}, unused=UNUSED)
    if left := {path.name for path in programs.iterdir()} - {kept.name}:
        yield f"left: {left}"
    shutil.rmtree(programs.parent)


def main() -> None:
    place = Path(sys.argv[1])

    def lives(passed: int) -> Life:
        programs = place / f"home{passed}" / "cache/program"
        return partial(live, programs), partial(judge, programs)

    print(json.dumps(kill_at_every_line(lives, lines_of(_locks, _remove, program))))


if __name__ == "__main__":
    main()
