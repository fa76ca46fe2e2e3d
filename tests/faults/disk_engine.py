"""An engine that outlives a killed process, for bots that all write the same and end at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from botdock.errors import ContainerNotFoundError
from botdock.model import (
    ContainerHandle,
    ContainerInfo,
    ContainerRun,
    ContainerState,
    ContainerStatus,
    ContainerTemplate,
    LogChunk,
    LogCursor,
    LogStream,
    Stream,
)
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.script import envelope

OUTPUT = [(Stream.STDOUT, b"line %d\n" % number) for number in range(5)] + [
    (Stream.STDERR, b"\x00\xff" * 600),
    (Stream.STDOUT, b"no newline at the end"),
]
WRITTEN = {stream: b"".join(data for one, data in OUTPUT if one is stream) for stream in Stream}
RESULT = envelope(b'{"pnl": 1.5}')


class DiskStream(LogStream):
    """All that a container has written, from a cursor on; one chunk a read."""

    def __init__(self, cursor: LogCursor, waits: Callable[[], bool]) -> None:
        skip = {Stream.STDOUT: cursor.stdout, Stream.STDERR: cursor.stderr}
        self._chunks = []
        for stream, data in OUTPUT:
            skipped = min(skip[stream], len(data))
            skip[stream] -= skipped
            if data[skipped:]:
                self._chunks.append(LogChunk(stream, data[skipped:], 1))
        self._waits = waits

    @property
    def ended(self) -> bool:
        return not self._chunks and not self._waits()

    def read(self, timeout: float) -> Sequence[LogChunk]:
        return () if self._waits() or not self._chunks else (self._chunks.pop(0),)

    def fileno(self) -> None:
        return None

    def close(self) -> None:
        pass


class DiskEngine(FakeEngine):
    """An engine whose containers are files, so that they outlive a killed process: each writes and ends at once."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def create(self, template: ContainerTemplate, run: ContainerRun, *, timeout: float) -> ContainerHandle:
        self._write(run.name, {"labels": {**run.annotations, **run.selectors}, "state": "created"})
        return ContainerHandle(id=run.name, state={"name": run.name})

    def attach(self, container: ContainerHandle, *, timeout: float) -> LogStream:
        return self._stream(container.id, LogCursor())

    def read_logs(self, container: ContainerHandle, *, cursor: LogCursor, follow: bool, timeout: float) -> LogStream:
        self._read(container.id)
        return self._stream(container.id, cursor)

    def start(self, container: ContainerHandle, *, timeout: float) -> None:
        self._write(container.id, {**self._read(container.id), "state": "exited"})

    def inspect(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus:
        state = ContainerState(self._read(container.id)["state"])
        return ContainerStatus(
            container_id=container.id, state=state, exit_code=0 if state is ContainerState.EXITED else None
        )

    def wait(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus | None:
        return self.inspect(container, timeout=timeout)

    def stop(self, container: ContainerHandle, *, grace: float, timeout: float) -> None:
        self._read(container.id)

    def remove(self, container: ContainerHandle, *, timeout: float) -> None:
        (self._folder / container.id).unlink(missing_ok=True)

    def list(self, selectors: Mapping[str, str], *, timeout: float) -> Sequence[ContainerInfo]:
        names = sorted(path.name for path in self._folder.iterdir() if path.suffix != ".tmp")
        infos = [
            ContainerInfo(
                container_id=name, name=name, image="", state=ContainerState(found["state"]), labels=found["labels"]
            )
            for name in names
            for found in [self._read(name)]
        ]
        return [info for info in infos if selectors.items() <= info.labels.items()]

    def fetch_result(self, container: ContainerHandle, *, limit: int, timeout: float) -> bytes:
        self._read(container.id)
        return RESULT

    def _stream(self, name: str, cursor: LogCursor) -> LogStream:
        path = self._folder / name
        return DiskStream(cursor, lambda: path.exists() and self._read(name)["state"] == "created")

    def _read(self, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self._folder / name).read_text())
        except FileNotFoundError:
            raise ContainerNotFoundError("it is gone", container_id=name) from None
        return found

    def _write(self, name: str, document: dict[str, Any]) -> None:
        draft = self._folder / f"{name}.tmp"
        draft.write_text(json.dumps(document))
        draft.replace(self._folder / name)
