"""Tells exporters how things stand without ever waiting for one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from botdock._log import logger
from botdock.model.metrics import MetricsExporter, MetricsSnapshot

CLOSE_TIMEOUT = 5.0
"""Seconds that all exporters together have to take the last snapshot when the runner closes."""

Source = Callable[[], tuple[int, MetricsSnapshot]]
"""Returns a snapshot, and a number that differs from the last one's when anything was recorded in between."""


class Lane:
    """One exporter with a thread of its own, whose mailbox holds a single mark: there is something new.

    The thread itself takes the snapshot when it gets to it, so that what it exports is always the newest, and however
    much happens while an exporter is busy, it is told once.

    Args:
        name: Of the exporter, for messages.
        exporter: Told by this thread alone.
        source: Where snapshots come from.
        interval: Seconds after which the exporter is told of something new even if nobody called `poke`.
        pause: Seconds between two exports at least.
    """

    def __init__(
        self, name: str, exporter: MetricsExporter, source: Source, *, interval: float, pause: float = 0.0
    ) -> None:
        self._name = name
        self._exporter = exporter
        self._source = source
        self._interval = interval
        self._pause = pause
        self._exported = -1
        self._failing = False
        self._poked = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"botdock-metrics-{name}", daemon=True)
        self._thread.start()

    def poke(self) -> None:
        """Say that there is something new; never waits."""
        self._poked.set()

    def begin_close(self) -> None:
        """Let the exporter take the last snapshot, and close it; never waits."""
        self._closing.set()
        self._poked.set()

    def end_close(self, deadline: float) -> None:
        """Wait until the exporter is closed, until `deadline` of the monotonic clock at most."""
        self._thread.join(max(deadline - time.monotonic(), 0.0))
        if self._thread.is_alive():
            logger.bind(exporter=self._name).warning("metrics exporter did not finish in time")

    def _run(self) -> None:
        while not self._closing.is_set():
            self._poked.wait(self._interval)
            self._poked.clear()
            if not self._closing.is_set():
                self._export()
                self._closing.wait(self._pause)
        self._export(last=True)
        self._guarded(self._exporter.close, "metrics exporter not closed")

    def _export(self, *, last: bool = False) -> None:
        self._failing = not self._guarded(lambda: self._pass_on(last=last), "metrics export failed")

    def _pass_on(self, *, last: bool) -> None:
        version, snapshot = self._source()
        if version != self._exported or last:
            self._exported = -1  # until it has worked: what failed is tried again
            self._exporter.export(snapshot)
            self._exported = version

    def _guarded(self, call: Callable[[], None], failure: str) -> bool:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - a third party's exporter must not stop its thread
            # one that fails all the time is told of once, and then again when it has worked in between
            level = "DEBUG" if self._failing else "WARNING"
            logger.bind(exporter=self._name, error=str(error) or repr(error)).log(level, failure)
            return False
        return True


def close_lanes(lanes: Sequence[Lane]) -> None:
    """Close all exporters at once, within `CLOSE_TIMEOUT` seconds."""
    deadline = time.monotonic() + CLOSE_TIMEOUT
    for lane in lanes:
        lane.begin_close()
    for lane in lanes:
        lane.end_close(deadline)
