"""What Ctrl-C and SIGTERM do while a bot runs, or while something is being written."""

from __future__ import annotations

import io
import os
import select
import signal
import stat
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self

import attrs

from botdock.errors import BotdockError, UserError
from botdock_cli.report import EXIT_INTERRUPTED, say

if TYPE_CHECKING:
    from types import FrameType
    from typing import BinaryIO

    from _typeshed import WriteableBuffer

    from botdock import Execution

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SIGNAL_BASE = 128
_NO_SIGNAL = 0


@attrs.frozen
class Step:
    """What one more signal does.

    Attributes:
        text: What is told, once a signal leads here.
        act: What is done, in a thread of its own; None when it is only told.
        asks: Whether it only asks for a second Ctrl-C; the sender of a SIGTERM or SIGHUP is not asked.
    """

    text: str = ""
    act: Callable[[], object] | None = None
    asks: bool = False


class Interrupts:
    """Turns signals into an orderly end: the first one stops the bot, the second one kills it.

    While there is no execution yet, the first one ends the preparation by `KeyboardInterrupt`, and a second one is
    told to wait for the cleaning up; a third one is obeyed.

    Once there is one, the handler does nothing but put a note into a queue, which is safe wherever the main thread was
    interrupted; a thread acts on it, because stopping takes locks that the main thread may be holding.

    Args:
        tell: Shows a line to the user.
    """

    def __init__(self, tell: Callable[[str], None] = say) -> None:
        self.signal_number: int | None = None
        self._tell = tell
        self._notes: SimpleQueue[int | None] = SimpleQueue()
        self._leading = False
        self._before: dict[int, signal._HANDLER] = {}
        self._early = 0

    @property
    def exit_code(self) -> int:
        """What to exit with when the preparation was interrupted: 128 and the signal's number, as shells do."""
        return EXIT_INTERRUPTED if self.signal_number is None else _SIGNAL_BASE + self.signal_number

    def __enter__(self) -> Self:
        """Take over the signals, but for those that our parent wants ignored (`nohup`, a shell's `&`)."""
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self.handle)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back, and let the thread end."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._notes.put(None)

    def adopt(self, execution: Execution) -> None:
        """From now on, signals are for this execution."""
        self.lead(Step("stopping the bot; once more kills it", execution.stop), Step(act=execution.kill))

    def lead(self, *steps: Step) -> None:
        """From now on, each signal is a step further; the last one is repeated."""
        threading.Thread(target=self._serve, args=(deque(steps),), name="botdock-interrupts", daemon=True).start()
        self._leading = True

    def stop(self) -> None:
        """Do what a signal does, for another reason: the output has no reader any more."""
        self._notes.put(_NO_SIGNAL)

    def handle(self, number: int, _frame: FrameType | None = None) -> None:
        """Take a signal.

        Raises:
            KeyboardInterrupt: The execution has not begun.
        """
        self.signal_number = self.signal_number or number
        if self._leading:
            self._notes.put(number)
            return
        self._early += 1
        if self._early == 2:  # noqa: PLR2004 - the second one
            self._tell("cleaning up; a moment")
            return
        raise KeyboardInterrupt

    def _serve(self, steps: deque[Step]) -> None:
        while (number := self._notes.get()) is not None:
            step = _next(steps)
            while step.asks and number != signal.SIGINT:
                step = _next(steps)
            if step.text and number != _NO_SIGNAL:
                self._tell(step.text)
            if step.act is not None:
                threading.Thread(target=self._guarded, args=(step.act,), name="botdock-stop", daemon=True).start()

    def _guarded(self, act: Callable[[], object]) -> None:
        try:
            act()
        except BotdockError as error:
            self._tell(f"the bot could not be stopped: {error.message}")


def _next(steps: deque[Step]) -> Step:
    return steps.popleft() if len(steps) > 1 else steps[0]


@contextmanager
def interruptible_stdin() -> Iterator[BinaryIO]:
    """Open stdin for the main thread, so that no signal is slept through by a read.

    Python obeys a signal between two of its steps. One that comes in the last moment before a read blocks waits for
    the next byte, which a slow program may never write. So this one waits for a byte or a signal; a file never blocks.

    Raises:
        UserError: It was closed before we started.
    """
    if sys.stdin is None:
        raise UserError("stdin is closed", hint="Name a file in place of `-`.")
    if stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode):
        yield sys.stdin.buffer
        return
    hears, tells = os.pipe()
    os.set_blocking(tells, False)
    before = signal.set_wakeup_fd(tells, warn_on_full_buffer=False)
    try:
        with io.BufferedReader(_Stdin(sys.stdin.fileno(), hears)) as opened:
            yield opened
    finally:
        signal.set_wakeup_fd(before)
        os.close(tells)
        os.close(hears)


class _Stdin(io.RawIOBase):
    """The descriptor of stdin, which closing this leaves open.

    Args:
        descriptor: It.
        hears: Has a byte to read once a signal has come.
    """

    name = "<stdin>"

    def __init__(self, descriptor: int, hears: int) -> None:
        self._descriptor = descriptor
        self._hears = hears

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        while self._hears in select.select([self._descriptor, self._hears], [], [])[0]:
            os.read(self._hears, io.DEFAULT_BUFFER_SIZE)  # the handler of the signal is called here, if not before
        return os.readv(self._descriptor, [buffer])
