"""What a Python bot is told from outside: when to begin, and what SIGTERM does, unless it brings a handler of its own.

This file lies beside `wrapper.py`.
"""

# ruff: noqa: INP001 - part of a program, not of a package
# ruff: noqa: PTH110, PTH113, PTH116, PTH118, PTH123 - pathlib costs each run its import
from __future__ import annotations

import atexit
import json
import os
import signal
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from _botdock_result import Result  # type: ignore[import-not-found]  # it lies beside this file

NOTHING = 125
"""The exit code of one that waited for a run which never came."""
PATIENCE = 1.0
"""Seconds that an asynchronous bot has to take notice of its cancellation, before it is interrupted."""


def wait_until_ready(folder: str) -> None:
    """Wait for the other side to close the FIFO, where there is one: then everything else is there, or there is none.

    What it reads until then means nothing but that it reads.
    """
    ready = os.path.join(folder, "ready")
    if not (os.path.exists(ready) and stat.S_ISFIFO(os.stat(ready).st_mode)):
        return
    with open(ready, "rb") as fifo:
        fifo.read()
    if not os.path.exists(os.path.join(folder, "context.json")):
        raise SystemExit(NOTHING)
    if os.path.isfile(os.path.join(folder, "secrets")):
        keep_secrets(folder)


def keep_secrets(folder: str) -> None:
    """Write each secret into the folder in memory that is for them, as `entrypoint.sh` does where they come in time."""
    with open(os.path.join(folder, "secrets"), encoding="utf-8") as file:
        place, *names = file.read().splitlines()
    with open(os.path.join(folder, "context.json"), "rb") as document:
        environment = json.load(document)["environment"]
    mask = os.umask(0o377)
    try:
        for name in names:
            with open(os.path.join(place, name), "wb") as secret:
                secret.write(environment[name].encode())
    except OSError:
        sys.stderr.write("botdock: the secrets cannot be written to the folder in memory that is for them\n")
        raise SystemExit(126) from None
    finally:
        os.umask(mask)


class Termination:
    """What SIGTERM does, unless the bot brings a handler of its own, which is left alone."""

    def __init__(self) -> None:
        self.handler: Any = signal.SIG_DFL
        self.signum = 0
        self.again = False
        self.become(self.exit)
        os.register_at_fork(after_in_child=lambda: self.become(signal.SIG_DFL))  # a bot's children end as children do

    def become(self, handler: Any) -> None:
        """Replace our handler by another one of ours."""
        if signal.getsignal(signal.SIGTERM) == self.handler:
            signal.signal(signal.SIGTERM, handler)
            self.handler = handler

    def begin(self) -> None:
        """Remember that SIGTERM ends the bot; let no further one disturb the `finally` blocks that run from now on."""
        self.signum = signal.SIGTERM
        self.become(self.note)

    def exit(self, signum: int, _frame: object) -> None:
        """End the bot from within."""
        self.begin()
        raise SystemExit(128 + signum)

    def note(self, _signum: int, _frame: object) -> None:
        """Remember the signal for later."""
        self.again = True

    def cancel(self, loop: Any, task: Any) -> None:
        """Cancel an asynchronous bot instead."""
        self.become(Cancellation(loop, task, self).ask)


class Leaving:
    """What SIGTERM does once `main` is over and only threads of the bot keep the process: nothing can unwind them."""

    def __init__(self, result: Result, termination: Termination) -> None:
        self.result, self.termination = result, termination
        termination.become(self)
        atexit.register(termination.become, termination.note)  # the last one in is the first to run

    def __call__(self, signum: int, _frame: object) -> None:
        """Say how it ended, run what `atexit` knows, and go."""
        self.termination.begin()
        self.result.write(128 + signum, signum)
        atexit._run_exitfuncs()  # noqa: SLF001 - what `exit` does, without waiting for threads
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        finally:
            os._exit(128 + signum)


class Cancellation:
    """What SIGTERM does to an asynchronous bot: it is cancelled, and interrupted where it lets no event through."""

    def __init__(self, loop: Any, task: Any, termination: Termination) -> None:
        self.loop, self.task, self.termination = loop, task, termination

    def ask(self, _signum: int, _frame: object) -> None:
        """Cancel it, and look again a second later."""
        import _thread

        self.termination.signum = signal.SIGTERM
        self.termination.become(self.insist)
        self.task.cancel()
        self.loop.call_soon_threadsafe(self.termination.begin)  # once the loop turns, the bot knows
        _thread.start_new_thread(self.remind, ())

    def remind(self) -> None:
        """Signal again, from another thread, if the loop has not turned."""
        import time

        time.sleep(PATIENCE)
        if self.termination.handler == self.insist:
            os.kill(os.getpid(), signal.SIGTERM)

    def insist(self, signum: int, frame: object) -> None:
        """Get it out of a call that blocks; the loop has not turned, so no `finally` block awaits anything."""
        self.termination.exit(signum, frame)
