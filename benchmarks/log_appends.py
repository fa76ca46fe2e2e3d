"""Appending to a stored log: what the last of a thousand segments costs, against the first."""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from pathlib import Path

from botdock.model import StorageArea, StorageBackend, new_execution_id
from botdock.services import StorageService
from botdock_storage_local_fs.backend import LocalFsBackend

APPENDS = 1000
SEGMENT = 10 * 1024
EDGE = 100


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)

        def open_backend(area: StorageArea) -> StorageBackend:
            return LocalFsBackend(root, area)

        service = StorageService(open_backend)
        execution_id = new_execution_id()
        seconds = []
        for number in range(APPENDS):
            started = time.perf_counter()
            service.store_logs(execution_id, "bot", f"stdout.{number}", io.BytesIO(b"x" * SEGMENT))
            seconds.append(time.perf_counter() - started)
        service.close()
    first, last = statistics.median(seconds[:EDGE]), statistics.median(seconds[-EDGE:])
    print(
        f"{APPENDS} segments of {SEGMENT // 1024} KiB: median of the first {EDGE} {first * 1000:.2f} ms, "
        f"of the last {EDGE} {last * 1000:.2f} ms, ratio {last / first:.2f}"
    )


if __name__ == "__main__":
    main()
