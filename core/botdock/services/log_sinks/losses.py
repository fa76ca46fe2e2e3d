"""Says in botdock's own log what sinks lost, without waiting for that log."""

from __future__ import annotations

import threading
import time

import attrs

from botdock._log import logger, where

LAST_WORD = 1.0
"""Seconds that the last warnings may take when everything closes."""
_NEVER = float("-inf")


@attrs.define
class _Loss:
    """What has happened to a sink since it was last told of."""

    dropped: int = 0
    errors: int = 0
    last_error: str = ""
    hung: bool = False

    def __bool__(self) -> bool:
        return self != _Loss()


class SinkLosses:
    """Warns of each sink that loses lines: once at the first loss, and then once an interval with the sums.

    It has a thread of its own: botdock's log may end in the very sink that is stuck, so neither who offers lines nor
    who closes may wait for it.

    Args:
        interval: Seconds between two warnings about one sink.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._losses: dict[str, _Loss] = {}
        self._told: dict[str, float] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="botdock-sink-losses", daemon=True)
        self._thread.start()

    def dropped(self, sink: str, lines: int) -> None:
        """Note that a sink did not get lines."""
        with self._changed:
            self._of(sink).dropped += lines

    def failed(self, sink: str, error: BaseException) -> None:
        """Note that a sink raised."""
        with self._changed:
            loss = self._of(sink)
            loss.errors += 1
            loss.last_error = where(error)

    def hung(self, sink: str) -> None:
        """Note that a sink did not return when it was to close."""
        with self._changed:
            self._of(sink).hung = True

    def close(self) -> None:
        """Tell what is left to tell, for `LAST_WORD` seconds at most."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not threading.current_thread():  # a handler of the application may close the runner
            self._thread.join(LAST_WORD)

    def _of(self, sink: str) -> _Loss:
        """Return what is to be told of a sink, as somebody is about to add to it."""
        loss = self._losses.setdefault(sink, _Loss())
        if not loss:  # of one that has something to tell, the thread knows when it is time
            self._changed.notify()
        return loss

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(self._pause())
                closing = self._closing
                due = self._due()
            for sink, loss in due:
                _warn(sink, loss)
            if closing:
                return

    def _pause(self) -> float | None:
        """Return how long there is nothing to tell; None for until somebody wakes the thread."""
        if self._closing:
            return 0.0
        open_ones = [self._told.get(sink, _NEVER) for sink, loss in self._losses.items() if loss]
        return max(min(open_ones) + self._interval - time.monotonic(), 0.0) if open_ones else None

    def _due(self) -> list[tuple[str, _Loss]]:
        now = time.monotonic()
        due = [
            (sink, loss)
            for sink, loss in self._losses.items()
            if loss and (self._closing or self._told.get(sink, _NEVER) + self._interval <= now)
        ]
        for sink, _ in due:
            self._told[sink] = now
            self._losses[sink] = _Loss()
        return due


def _warn(sink: str, loss: _Loss) -> None:
    bound = logger.bind(sink=sink, dropped=loss.dropped, errors=loss.errors)
    if loss.last_error:
        bound = bound.bind(last_error=loss.last_error)
    bound.warning("a log sink did not finish in time" if loss.hung else "a log sink loses lines")
