"""How far a pull or a large unpack is, shown on a terminal."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from botdock.model.outcome import Phase

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from botdock.model import Progress

WORTH_SHOWING = 16 * 1024 * 1024
"""Bytes; to unpack less takes no longer than to read that it is being unpacked."""
_VERBS = {Phase.FETCH: "fetching", Phase.EXTRACT: "unpacking", Phase.PULL: "pulling"}


class ProgressBars:
    """One transient bar a step on stderr; gone before the bot's first byte is shown.

    rich is imported with the first report that is worth showing. Called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bars: Bars | None = None
        self._tasks: dict[tuple[Phase, str], TaskID] = {}
        self._closed = False

    def __call__(self, progress: Progress) -> None:
        """Take a report."""
        with self._lock:
            if not self._closed and _worth_showing(progress):
                self._show(progress)

    def _show(self, progress: Progress) -> None:
        bars = self._bars = self._bars or _start_bars()
        key = (progress.phase, progress.what)
        if key not in self._tasks:
            self._tasks[key] = bars.add_task(f"{_VERBS.get(progress.phase, progress.phase)} {progress.what}")
        bars.update(self._tasks[key], completed=progress.current, total=progress.total or None)

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


def _worth_showing(progress: Progress) -> bool:
    return progress.phase is Phase.PULL or max(progress.total, progress.current) >= WORTH_SHOWING


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
