"""How far a pull, a large unpack or another long step is, shown on a terminal."""

from __future__ import annotations

import sys
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Self

import attrs

from botdock.model import Phase, Progress
from botdock_cli.report import printable
from botdock_cli.session import is_terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from botdock.model import ByteReader

WORTH_SHOWING = 16 * 1024 * 1024
"""Bytes; to unpack less takes no longer than to read that it is being unpacked."""
WORTH_SHOWING_AFAR = 1024 * 1024
"""Bytes; the same for what may cross a network."""
_VERBS = {
    Phase.VALIDATE: "checking",
    Phase.FETCH: "fetching",
    Phase.EXTRACT: "unpacking",
    Phase.GENERATE: "packing",
    Phase.PULL: "pulling",
    Phase.STORE: "storing",
}


class ProgressBars:
    """One transient bar a step on stderr; gone before the bot's first byte is shown.

    rich is imported with the first report that is worth showing. Called from any thread.

    Args:
        least: Bytes below which no bar is shown; a pull always has one.
    """

    def __init__(self, *, least: int = WORTH_SHOWING) -> None:
        self._least = least
        self._lock = threading.Lock()
        self._bars: Bars | None = None
        self._tasks: dict[tuple[Phase, str], TaskID] = {}
        self._closed = False

    def __call__(self, progress: Progress) -> None:
        """Take a report."""
        is_large = progress.phase is Phase.PULL or max(progress.total, progress.current) >= self._least
        with self._lock:
            if is_large and not self._closed:
                self._show(progress)

    def _show(self, progress: Progress) -> None:
        bars = self._bars = self._bars or _start_bars()
        key = (progress.phase, progress.what)
        verb = _VERBS.get(progress.phase, progress.phase)
        text = f"{verb} {printable(progress.what, keep='')}" + (f" ({progress.note})" if progress.note else "")
        if key not in self._tasks:
            self._tasks[key] = bars.add_task(text, total=None)
        bars.update(self._tasks[key], description=text, completed=progress.current, total=progress.total or None)

    def close(self) -> None:
        """Take the bars away; reports that come later are dropped."""
        with self._lock:
            self._closed = True
            if self._bars is not None:
                self._bars.stop()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bars away."""
        self.close()


def bars_on_terminal(
    *, shown: bool = True, least: int = WORTH_SHOWING_AFAR
) -> AbstractContextManager[ProgressBars | None]:
    """Return the bars of a transfer, or None where stderr is not a terminal, or they are not to be shown."""
    return ProgressBars(least=least) if shown and is_terminal(sys.stderr) else nullcontext()


def reporting(bars: ProgressBars | None, phase: Phase, what: str) -> Callable[[int, int], None] | None:
    """Return what moves a bar, told how much of how much is done; None without a terminal."""
    if bars is None:
        return None
    return lambda done, total: bars(Progress(phase=phase, what=what, current=done, total=total))


def watched(source: ByteReader, bars: ProgressBars | None, *, phase: Phase, what: str, total: int) -> ByteReader:
    """Return `source`, or one that moves a bar as it is read."""
    return _Watched(source, bars, Progress(phase=phase, what=what, total=total)) if bars else source


class _Watched:
    """Passes bytes on, and reports how many."""

    def __init__(self, source: ByteReader, bars: ProgressBars, progress: Progress) -> None:
        self._source = source
        self._bars = bars
        self._progress = progress

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, and empty bytes at the end."""
        data = self._source.read(size)
        self._progress = attrs.evolve(self._progress, current=self._progress.current + len(data))
        self._bars(self._progress)
        return data


def _start_bars() -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(compact=True),
    )
    bars = Progress(*columns, console=Console(stderr=True), transient=True)
    bars.start()
    return bars
