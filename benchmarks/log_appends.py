"""Appending to a log: what the last of many appends costs against the first, in the writer and in the storage."""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from botdock.model import LogChunk, StorageArea, StorageBackend, Stream, new_execution_id
from botdock.services import StorageService
from botdock.services.log_store import LogWriter
from botdock_storage_local_fs.backend import LocalFsBackend

APPENDS = 200_000
CHUNK = 4 * 1024
SEGMENTS = 1000
SEGMENT = 10 * 1024
PART = 10
"""The first and the last of so many parts are compared."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        append_to_writer(Path(folder) / "log")
        append_to_storage(Path(folder) / "storage")


def append_to_writer(folder: Path) -> None:
    writer = LogWriter(folder)
    chunk = LogChunk(Stream.STDOUT, (b"x" * 99 + b"\n") * (CHUNK // 100), time.time_ns())
    report(
        f"{APPENDS} chunks of {CHUNK // 1024} KiB to a log", timed(lambda _: writer.append(chunk), APPENDS), 1e6, "µs"
    )
    started = time.perf_counter()
    writer.summary(complete=True)
    print(f"its counts and hashes, known as they are: {(time.perf_counter() - started) * 1e6:.0f} µs")
    writer.close()


def append_to_storage(root: Path) -> None:
    def open_backend(area: StorageArea) -> StorageBackend:
        return LocalFsBackend(root, area)

    service = StorageService(open_backend)
    execution_id = new_execution_id()

    def store(number: int) -> None:
        service.store_logs(execution_id, "bot", f"stdout.{number}", io.BytesIO(b"x" * SEGMENT))

    report(f"{SEGMENTS} segments of {SEGMENT // 1024} KiB to the storage", timed(store, SEGMENTS), 1e3, "ms")
    service.close()


def timed(action: Callable[[int], object], count: int) -> list[float]:
    """Return the seconds of each of `count` calls."""
    seconds = []
    for number in range(count):
        started = time.perf_counter()
        action(number)
        seconds.append(time.perf_counter() - started)
    return seconds


def report(what: str, seconds: list[float], factor: float, unit: str) -> None:
    part = len(seconds) // PART
    first, last = statistics.median(seconds[:part]), statistics.median(seconds[-part:])
    print(
        f"{what}: median of the first {part} {first * factor:.2f} {unit}, "
        f"of the last {part} {last * factor:.2f} {unit}, ratio {last / first:.2f}"
    )


if __name__ == "__main__":
    main()
