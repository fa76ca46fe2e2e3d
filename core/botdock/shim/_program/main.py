"""The shim's own life: start the bot, copy what it writes, do as told, record its end."""

# ruff: noqa: PTH108 - importing pathlib would lengthen the start of every bot

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress
from functools import partial
from math import inf

from . import files
from .cgroups import oom_killed
from .child import Child
from .files import identity_of, read_record, write_record
from .log import Bells, Log, Pace
from .processes import kill_below, take_in_orphans

TYPE_CHECKING = False  # type checkers take it for typing's, whose import alone would take a third of our start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

READ_BYTES = 256 * 1024
LONGEST_POLL = 86_400.0
"""Seconds; `poll` takes no more milliseconds than fit into a C int."""
QUIET_SECONDS = 0.2
"""How long, after the end of the main program, what it has left running may hold its pipes open without a word."""
DRAIN_SECONDS = 1.0
"""How long, after the bot's end, what could not be killed may hold the bot's pipes open."""
RETRY_SECONDS = 0.5
"""Between two tries to write down how the bot ended, on a disk that takes nothing."""
WRITABLE_SECONDS, FAILED_SECONDS = 600.0, 10.0
"""How long that is tried; and how long where the end is an error anyhow, such as a log that could not be written."""
SHUTDOWN_GRACE = 5.0
"""Between SIGTERM and SIGKILL when the shim itself is told to end, as at the shutdown of the machine."""


class Shim:
    """Runs one bot once; the working directory is the folder of the container.

    The log is the truth: it is written whether or not it has a reader, so neither a slow reader nor the death of the
    runner stops the bot.
    """

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._log = Log(plan["output"], newest=plan["endless"])
        self._bells = Bells(files.BELLS)
        self._pace = Pace()
        self._control = os.open(files.CONTROL, os.O_RDWR | os.O_NONBLOCK)  # writing too: so it never ends
        self._unread = b""
        self._kill_at = inf
        self._ended = False
        self._error = ""
        self._output_limited = False
        self._started_at: float | None = None
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._pipes: set[int] = set()

    def run(self, report: Callable[[str], None]) -> None:
        """Run the bot to its end.

        Args:
            report: Told once how the start went: an empty text, or what went wrong.
        """
        take_in_orphans()
        self._listen_for_signals()
        self._on(self._control, self._obey)
        self._bells.scan()
        self._child = Child(self._plan)
        try:
            problem = self._begin()
            if not problem:
                report("")
                self._attend()
            self._finish()
            if problem:
                report(problem)  # only now, so that a runner that hears of it finds it recorded
        except BaseException:  # the bot would be left alone
            self._child.signal(signal.SIGKILL)
            raise

    def _begin(self) -> str:
        child = self._child
        self._started_at = time.time()
        self._record_bot()
        self._error = child.release()
        if self._plan["pid_file"]:
            self._record_bot()
        for pipe, stream in ((child.stdout, files.STDOUT), (child.stderr, files.STDERR)):
            self._pipes.add(pipe)
            self._on(pipe, partial(self._copy, pipe, stream))
        if self._error:
            self._started_at = None
        elif self._plan["temporary"]:
            child.hold(self._plan["temporary"])
        return self._error

    def _record_bot(self) -> None:
        pid = self._child.pid
        write_record(files.BOT, {"pid": pid, "identity": identity_of(pid), "started_at": self._started_at})

    def _attend(self) -> None:
        while not self._ended:
            self._turn(self._kill_at)
            if time.monotonic() >= self._kill_at:
                self._child.signal(signal.SIGKILL)
                self._kill_at = inf

    def _on(self, descriptor: int, handler: Callable[[], None]) -> None:
        self._handlers[descriptor] = handler
        self._poll.register(descriptor, select.POLLIN)

    def _turn(self, deadline: float) -> bool:
        left = min(max(0.0, deadline - time.monotonic()), LONGEST_POLL)
        events = self._poll.poll(left * 1000)
        for descriptor, _ in events:
            self._handlers[descriptor]()
        return bool(events)

    def _listen_for_signals(self) -> None:
        self._signals, write = os.pipe()
        for descriptor in (self._signals, write):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda *_: None)  # what matters is that its number comes through the pipe
        for number in (signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        self._on(self._signals, self._on_signal)

    def _on_signal(self) -> None:
        if signal.SIGTERM in os.read(self._signals, 1024):
            self._stop(SHUTDOWN_GRACE)
        self._ended = self._child.has_ended()

    def _obey(self) -> None:
        *lines, self._unread = (self._unread + os.read(self._control, 4096)).split(b"\n")
        for line in lines:
            word, _, argument = line.partition(b" ")
            if word == files.BELL:
                self._bells.scan()
            elif word == files.STOP:
                self._stop(float(argument))

    def _stop(self, grace: float) -> None:
        self._child.signal(signal.SIGTERM if grace > 0 else signal.SIGKILL)
        self._kill_at = min(self._kill_at, time.monotonic() + grace)

    def _copy(self, pipe: int, stream: int) -> None:
        data = os.read(pipe, READ_BYTES)
        if not data:
            self._close_pipe(pipe)
        elif not self._error:
            self._keep(stream, data)
            self._pace.has_read(pipe, len(data))

    def _keep(self, stream: int, data: bytes) -> None:
        try:
            if not self._log.append(stream, data):
                self._output_limited = True
                self._error = f"output limit: it wrote more than {self._plan['output']} bytes"
        except OSError as error:
            self._error = _unwritten(error)
        if self._error:
            self._child.signal(signal.SIGKILL)
        self._bells.ring()

    def _close_pipe(self, pipe: int) -> None:
        self._poll.unregister(pipe)
        self._pipes.discard(pipe)
        os.close(pipe)

    def _finish(self) -> None:
        finished_at = time.time()
        self._drain(QUIET_SECONDS)  # a `tee` of the bot's passes on what it has been given
        self._child.signal(signal.SIGKILL)  # what the bot has left running
        kill_below(os.getpid(), ended=self._child.pid)
        self._drain(DRAIN_SECONDS)
        status = self._child.reap()
        try:
            self._log.close()
        except OSError as error:
            self._error = self._error or _unwritten(error)
        self._record(self._ending(status, finished_at))
        self._bells.scan()
        self._bells.ring()
        self._bells.close()

    def _record(self, ending: dict[str, Any]) -> None:
        """Write down how it ended; where the disk takes nothing, once it does, unless we are told to stop before."""
        give_up_at = time.monotonic() + (FAILED_SECONDS if self._error else WRITABLE_SECONDS)
        self._kill_at = inf
        while True:
            try:
                write_record(files.EXIT, ending)
            except FileNotFoundError:  # the container was removed
                raise
            except OSError:
                if time.monotonic() >= min(give_up_at, self._kill_at):
                    raise
                self._turn(time.monotonic() + RETRY_SECONDS)
            else:
                return

    def _drain(self, silence: float) -> None:
        """Copy what is still written, until its pipes are closed, or silent for so many seconds."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._pipes and (left := deadline - time.monotonic()) > 0:
            if not self._turn(time.monotonic() + min(left, silence)):
                return

    def _ending(self, status: int, finished_at: float) -> dict[str, Any]:
        code = os.waitstatus_to_exitcode(status)
        number = -code if code < 0 else None
        started = self._started_at is not None
        return {
            "exit_code": (code if number is None else 128 + number) if started else None,
            "signal": number if started else None,
            "started_at": self._started_at,
            "finished_at": finished_at,
            "relayed": bool(self._plan["pid_file"]),
            "oom_killed": oom_killed(self._plan["cgroups"]),
            "error": self._error,
            "output_limited": self._output_limited,
            "logged": [self._log.logged[files.STDOUT], self._log.logged[files.STDERR]],
        }


def _unwritten(error: OSError) -> str:
    return f"the log could not be written: {error.strerror}"


def run_shim(folder: str, report: Callable[[str], None]) -> None:
    """Run the bot of a container to its end, unless another shim does."""
    os.umask(0o077)
    os.chdir(folder)
    if not write_record(files.SHIM, {"pid": os.getpid(), "identity": identity_of(os.getpid())}, once=True):
        report("it has been started already")
        return
    plan = read_record(files.PLAN)
    try:
        os.unlink(files.PLAN)
    except FileNotFoundError:  # a removal took it meanwhile, and so nothing is started
        plan = None
    if plan is None:
        report("its plan is gone")
    else:
        Shim(plan).run(report)


def main() -> None:  # pragma: no cover - runs without site-packages, so where nothing is measured
    """Leave the runner, and run the bot of the container whose folder is the one argument."""
    if os.fork():  # so that no runner need reap us: we belong to init as soon as the first process ends
        os._exit(0)
    run_to_end(sys.argv[1])


def run_to_end(folder: str) -> NoReturn:  # pragma: no cover - as `main`
    """Be the shim of a container, which answers on stdout how the start went, and end as it does."""
    try:
        run_shim(folder, _report_on_stdout)
    except OSError as error:  # who started us reads this
        sys.exit(f"the folder of the container cannot be used: {error}")
    os._exit(0)  # at once: there is nothing that the interpreter would have to put in order


def _report_on_stdout(problem: str) -> None:  # pragma: no cover - as `main`
    with suppress(BrokenPipeError):  # the runner has died meanwhile: its successor finds out without it
        os.write(1, f"-{problem}".encode() if problem else b"+")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # the reader of our answer sees its end
    os.close(null)
