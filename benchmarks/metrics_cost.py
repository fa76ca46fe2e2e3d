"""What it costs to count: one record, against a plain counter behind a lock; and a look at the numbers meanwhile."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable

from botdock.services.metrics import MetricsService

CALLS = 20_000
ROUNDS = 25
SERIES = (10, 900)
"""How many series there are: what a record costs must not depend on it."""


class LockedCounter:
    """The least that a thread-safe counter can be."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def record(self, _operation: str, _seconds: float, _success: bool) -> None:  # noqa: FBT001 - as the service has it
        with self._lock:
            self.count += 1


def nanoseconds(call: Callable[[str, float, bool], None]) -> float:
    started = time.perf_counter_ns()
    for _ in range(CALLS):
        call("create", 0.02, True)  # noqa: FBT003 - the seed's signature
    return (time.perf_counter_ns() - started) / CALLS


def service_of(series: int) -> MetricsService:
    service = MetricsService()
    for number in range(series):
        service.record(f"container.operation-{number}", seconds=0.02)
    return service


def look(service: MetricsService) -> tuple[float, float]:
    """Return how long looking takes, and for how much of that it keeps those who record waiting; in microseconds."""
    service.get_metrics()
    wholes, waits = [], []
    live = service._live  # noqa: SLF001 - what it does with the lock held is what is measured
    for _ in range(ROUNDS):
        service.record("container.create", seconds=0.02)
        started = time.perf_counter_ns()
        live.take()
        taken = time.perf_counter_ns()
        service.get_metrics()
        waits.append((taken - started) / 1000)
        wholes.append((time.perf_counter_ns() - taken) / 1000)
    return statistics.median(wholes), statistics.median(waits)


def main() -> None:
    calls: dict[str, Callable[[str, float, bool], None]] = {"locked counter": LockedCounter().record}
    services = {series: service_of(series) for series in SERIES}
    for series, service in services.items():
        calls[f"record, {series} series"] = service.record_container_operation
    found: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(ROUNDS + 1):
        for name, call in calls.items():
            taken = nanoseconds(call)
            if number:  # the first round warms up
                found[name].append(taken)
    plain = statistics.median(found["locked counter"])
    for name, values in found.items():
        median = statistics.median(values)
        print(f"{name:20} median {median:6.0f} ns  best {min(values):6.0f} ns  ratio {median / plain:5.2f}")
    for series, service in services.items():
        whole, wait = look(service)
        print(f"get_metrics, {series:3} series: {whole:6.1f} us, for {wait:.1f} us of which records wait")


if __name__ == "__main__":
    main()
