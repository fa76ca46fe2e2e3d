"""What botdock counts about itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import attrs

from botdock._log import logger
from botdock.errors import UserError
from botdock.model.execution import ExecutionResult
from botdock.model.metrics import Labels, MetricsExporter, MetricsSnapshot
from botdock.services.metrics.series import LiveSeries, Operations, add_counters
from botdock.services.metrics.table import summary_table
from botdock.services.metrics.total import TotalExporter

NO_EXPORTERS: Mapping[str, Callable[[], MetricsExporter]] = MappingProxyType({})
CLOSE_TIMEOUT = 5.0
"""Seconds that all exporters together have to take the last snapshot when the runner closes."""
KEEP_PAUSE = 1.0
"""Seconds between two writes of a runner's numbers to the state folder at least, and after which it looks for new ones
once more: a SIGKILL costs twice as much at most."""


def metrics_folder(home: Path) -> Path:
    """Return where the runners of a state folder keep their numbers."""
    return home / "metrics"


class MetricsService:
    """Counts operations, errors, bytes and durations; safe to use from many threads.

    Labels come from bounded sets (operation, runtime, engine, outcome); an id is never one. Should they not be bounded
    after all, the surplus is counted as one series, `OTHER`.

    Args:
        exporters: How to open each, by name. They are opened by `start`, and told of the state of things after
            executions and every `interval`; one that does not open, raises, or blocks, is logged and delays no other.
        folder: Where the numbers are kept for `botdock metrics` and for exporters that want the sum over all runners
            (see `metrics_folder`); None means nowhere.
        interval: Seconds. What the folder holds is never older than two, however long that is.
    """

    def __init__(
        self,
        exporters: Mapping[str, Callable[[], MetricsExporter]] = NO_EXPORTERS,
        *,
        folder: Path | None = None,
        interval: float = 10.0,
    ) -> None:
        self._openers = dict(exporters)
        self._since = datetime.now(UTC)
        self._total = TotalExporter(folder, self._since, self.get_metrics) if folder else None
        self._interval = interval
        self._live = LiveSeries()
        self._reading = threading.Lock()  # between those who look; those who record do not need it
        self._operations: Operations = {}
        self._version = 0
        self._starting = threading.Lock()
        self._threads: list[_ExporterThread] | None = None
        self._closed = False

    def record_container_operation(self, operation: str, duration: float, success: bool) -> None:  # noqa: FBT001 - the seed's signature
        """Record one call to an engine, such as `create`, that took `duration` seconds."""
        self._live.record((f"container.{operation}", ()), duration, 0, success)

    def record_log_operation(self, operation: str, success: bool, size: int = 0) -> None:  # noqa: FBT001 - the seed's signature
        """Record one step of collecting logs, such as `collect`, over `size` bytes."""
        self._live.record((f"log.{operation}", ()), None, size, success)

    def record_storage_operation(
        self,
        operation: str,
        size: int,
        success: bool,  # noqa: FBT001 - the seed's signature
        duration: float | None = None,
    ) -> None:
        """Record one call to a storage, such as `put`, that moved `size` bytes in `duration` seconds."""
        self._live.record((f"storage.{operation}", ()), duration, size, success)

    def record_execution(self, result: ExecutionResult) -> None:
        """Record a finished execution and each of its phases, and let the exporters know, without waiting for them."""
        engine, runtime = ("engine", result.engine), ("runtime", result.runtime)
        outcome = result.outcome.value if result.outcome else "unknown"
        labels = (engine, ("outcome", outcome), runtime)
        self._live.record(("execution", labels), result.duration, result.log.bytes, result.succeeded)
        for phase, seconds in result.phases.items():
            self._live.record((f"phase.{phase}", (engine, runtime)), seconds, 0, True)  # noqa: FBT003 - as declared
        self.start()
        for thread in self._threads or ():
            thread.poked.set()

    def record(
        self, name: str, *, labels: Labels = (), seconds: float | None = None, size: int = 0, success: bool = True
    ) -> None:
        """Record one operation under `name` and `labels`.

        Args:
            name: Such as `container.create`.
            labels: Sorted pairs, from a bounded set.
            seconds: How long it took; None when it was not timed.
            size: Bytes it moved.
            success: Whether it did what it should.
        """
        self._live.record((name, labels), seconds, size, success)

    def get_metrics(self) -> MetricsSnapshot:
        """Return everything that was counted, as of one instant."""
        return self._versioned()[1]

    def reset_metrics(self) -> MetricsSnapshot:
        """Begin again from nothing, and return what there was; no record falls between the two.

        What the state folder holds goes on counting; `botdock metrics --reset` lets that begin again.
        """
        with self._reading:
            self._collect(forget=True)
            dropped, self._operations = self._operations, {}
            since, now = self._since, datetime.now(UTC)
            self._since = now
        return MetricsSnapshot(taken_at=now, since=since, operations=dropped)

    def log_metrics_summary(self) -> str:
        """Write a table of all operations to botdock's log, and return it."""
        table = summary_table(self.get_metrics())
        logger.bind(table=table).info("metrics\n{}", table)
        return table

    def start(self) -> None:
        """Open the exporters, and begin to keep the numbers in the state folder; a second time does nothing.

        Raises:
            UserError: The settings of an exporter are wrong.
        """
        with self._starting:
            if self._threads is not None or self._closed:
                return
            self._threads = []
            for name, exporter in self._open_exporters().items():
                source = self._with_total if self._total and exporter.wants_total else self._versioned
                self._threads.append(_ExporterThread(name, exporter, source, interval=self._interval))
            if self._total:  # last: an exporter may want the sum, of which this runner's numbers are a part
                interval = min(self._interval, KEEP_PAUSE)
                thread = _ExporterThread("state", self._total, self._versioned, interval=interval, pause=KEEP_PAUSE)
                self._threads.append(thread)

    def close(self) -> None:
        """Give the exporters the last numbers, within a bounded time, and let go of them; may be called twice."""
        self.start()
        with self._starting:
            self._closed, threads, self._threads = True, self._threads or [], []
        exporters = threads[:-1] if self._total else threads
        for together in (exporters, threads[len(exporters) :]):
            deadline = time.monotonic() + CLOSE_TIMEOUT
            for thread in together:
                thread.begin_close()
            for thread in together:
                thread.end_close(deadline)

    def _open_exporters(self) -> dict[str, MetricsExporter]:
        opened: dict[str, MetricsExporter] = {}
        for name, opener in self._openers.items():
            try:
                opened[name] = opener()
            except UserError:
                for exporter in opened.values():
                    exporter.close()
                raise
            except Exception as error:  # noqa: BLE001 - bots run without a third party's exporter
                logger.bind(exporter=name, error=str(error) or repr(error)).warning("metrics exporter not opened")
        return opened

    def _with_total(self) -> tuple[int, MetricsSnapshot]:
        version, snapshot = self._versioned()
        return version, attrs.evolve(snapshot, total=self._total.total() if self._total else None)

    def _versioned(self) -> tuple[int, MetricsSnapshot]:
        with self._reading:
            self._collect()
            version, since, operations = self._version, self._since, self._operations.copy()
        return version, MetricsSnapshot(taken_at=datetime.now(UTC), since=since, operations=operations)

    def _collect(self, *, forget: bool = False) -> None:
        """Add what was recorded meanwhile; with `_reading` held."""
        counters = self._live.take(forget=forget)
        self._version += bool(counters) or forget
        add_counters(self._operations, counters)
        if self._total is not None:
            self._total.add(counters)


class _ExporterThread:
    """Tells one exporter how things stand, so that no caller ever waits for it.

    The thread takes the snapshot when it gets to it: what it exports is always the newest, and however much happens
    while an exporter is busy, it is told once.

    Args:
        name: Of the exporter, for messages.
        exporter: Told by this thread alone.
        source: Returns a snapshot, and a number that differs from the last one's when anything was recorded in between.
        interval: Seconds after which the exporter is told of something new even if `poked` is not set.
        pause: Seconds between two exports at least.

    Attributes:
        poked: Is set to say that there is something new.
    """

    def __init__(
        self,
        name: str,
        exporter: MetricsExporter,
        source: Callable[[], tuple[int, MetricsSnapshot]],
        *,
        interval: float,
        pause: float = 0.0,
    ) -> None:
        self._name = name
        self._exporter = exporter
        self._source = source
        self._interval = interval
        self._pause = pause
        self._exported = -1
        self._failing = False
        self.poked = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"botdock-metrics-{name}", daemon=True)
        self._thread.start()

    def begin_close(self) -> None:
        """Let the exporter take the last snapshot, and close it; never waits."""
        self._closing.set()
        self.poked.set()

    def end_close(self, deadline: float) -> None:
        """Wait until the exporter is closed, until `deadline` of the monotonic clock at most."""
        self._thread.join(max(deadline - time.monotonic(), 0.0))
        if self._thread.is_alive():
            logger.bind(exporter=self._name).warning("metrics exporter did not finish in time")

    def _run(self) -> None:
        while not self._closing.is_set():
            self.poked.wait(self._interval)
            self.poked.clear()
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
