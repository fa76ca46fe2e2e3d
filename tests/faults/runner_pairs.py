"""Stops a runner at every line of finding and taking over executions, while others do all of their work; judges both.

    python runner_pairs.py FOLDER PAIR

A program of its own, since it forks: in a process with threads that is unsafe.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from unittest.mock import patch

from botdock.executions import _files as files
from botdock.executions import _lease as lease
from botdock.orchestrator import execution, journal, recovery
from faults.runner_life import Life, judge
from testbed.drills import lines
from testbed.every_line import KILLED, SHARE, at_line, forked, in_child, lines_of, stopped_at, tracer
from testbed.waiting import until

TRACED = lines_of(journal, lease, files, recovery)
PATIENCE = 8.0
"""Seconds that a runner has to end that was about to."""


class Scene:
    """A state folder with what was there before, and what two do in it."""

    executions = 1
    times = 1
    """How often each line counts."""

    def __init__(self, folder: Path) -> None:
        self.life = Life(folder)

    def first(self) -> None:
        self.life.succeed()

    def second(self) -> None:
        self.life.succeed()

    def die_in(self, function: str) -> None:
        """Let a runner have died there."""
        trace = tracer(lines_of(execution, journal), signalled_in(function, signal.SIGKILL))
        assert in_child(self.life.live, trace, threads=True) == KILLED

    def end(self) -> None:
        """Wait for the others that were there."""

    def judged(self) -> Iterator[str]:
        yield from judge(self.life, self.executions)
        outcomes = [json.loads(path.read_text()) for path in self.life.home.glob("executions/*/outcome.json")]
        if [outcome["outcome"] for outcome in outcomes] != ["succeeded"] * self.executions:
            yield f"outcomes: {outcomes}"
        for path in self.life.home.glob("executions/*/events.jsonl"):
            times = path.read_text().count('"event": "finished"')
            if times != 1:
                yield f"finished {times} times"


class TwoRecover(Scene):
    """Both recover one execution, whose runner was killed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.die_in("_look")


class OneBegins(TwoRecover):
    """One recovers what another left that was killed; meanwhile a bot runs from its begin to its end."""

    executions = 2

    def second(self) -> None:
        self.life.live()


class OneLives(Scene):
    """A bot runs, and at each moment of it another process looks whether its runner is dead."""

    def first(self) -> None:
        self.life.live()


class OneEnds(Scene):
    """One recovers; meanwhile a runner that lives writes its outcome, and ends."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ending = forked(self.life.live, tracer(lines_of(journal), signalled_in("finish")))
        os.waitpid(self.ending, os.WUNTRACED)

    def second(self) -> None:
        until(self.has_ended, timeout=PATIENCE)

    def has_ended(self) -> bool:
        os.kill(self.ending, signal.SIGCONT)
        return any(self.life.home.glob("executions/*/outcome.json")) and not self.holders()

    def holders(self) -> list[Path]:
        return list(self.life.home.glob("executions/*/runner"))

    def end(self) -> None:
        until(self.has_ended, timeout=PATIENCE)  # where no runner waited for it
        assert os.waitpid(self.ending, 0)[1] == 0


class OneTookOver(OneEnds):
    """One finds a dead runner's execution, which another takes over then, and ends meanwhile."""

    times = 2

    def __init__(self, folder: Path) -> None:
        Scene.__init__(self, folder)
        self.die_in("finish")  # its container is gone
        (self.dead,) = map(Path.read_text, self.holders())
        self.ending = forked(self.take_over, tracer(lines_of(journal), signalled_in("finish")))
        os.waitpid(self.ending, os.WUNTRACED)

    def take_over(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)
        self.life.succeed()

    def first(self) -> None:
        def claiming_later(directory: Path) -> AbstractContextManager[bool]:
            os.kill(self.ending, signal.SIGCONT)
            until(
                lambda: self.dead not in map(Path.read_text, self.holders()) and is_stopped(self.ending),
                timeout=PATIENCE,
            )
            return lease.claiming(directory)

        with patch.object(recovery, "claiming", claiming_later):
            self.life.succeed()


def signalled_in(function: str, number: int = signal.SIGSTOP) -> Callable[[FrameType], None]:
    """Return what sends this process a signal at the first line of a function."""
    send = at_line(1, lambda: os.kill(os.getpid(), number))
    return lambda frame: send(frame) if frame.f_code.co_name == function else None


def is_stopped(pid: int) -> bool:
    """Tell whether a process does nothing for now, or for ever."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"T", "Z"}


PAIRS: dict[str, Callable[[Path], Scene]] = {
    made.__name__: made for made in (TwoRecover, OneBegins, OneLives, OneEnds, OneTookOver)
}


def main(folder: Path, pair: str) -> None:
    """Stop at one line after another, until one comes to its end without."""
    os.fsync = lambda fd: None  # no process is killed here, and this is quicker
    recovery.ENGINE_PATIENCE = 0.0  # no container of this engine appears late
    wrong: list[str] = []
    for number in lines(SHARE):
        scene = PAIRS[pair](folder / str(number))
        met = stopped_at(number, scene.first, scene.second, TRACED, times=scene.times)
        scene.end()
        wrong += [f"stopped at line {number}: {problem}" for problem in scene.judged()] if met else []
        shutil.rmtree(folder / str(number))
        if not met:
            break
    print(json.dumps({"lines": number - 1, "wrong": wrong[:20]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
