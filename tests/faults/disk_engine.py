"""An engine that outlives a killed process, for bots that all write the same and end at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from botdock.errors import ContainerNotFoundError
from botdock.model import (
    ContainerInfo,
    ContainerSpec,
    ContainerState,
    ContainerStatus,
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

    def create(self, spec: ContainerSpec, *, timeout: float) -> str:
        document = {"labels": dict(spec.labels), "state": "created"}
        self._write(spec.name, document)
        return spec.name

    def attach(self, container_id: str, *, timeout: float) -> LogStream:
        return self._stream(container_id, LogCursor())

    def read_logs(self, container_id: str, *, cursor: LogCursor, follow: bool, timeout: float) -> LogStream:
        self._read(container_id)
        return self._stream(container_id, cursor)

    def start(self, container_id: str, *, timeout: float) -> None:
        self._write(container_id, {**self._read(container_id), "state": "exited"})

    def inspect(self, container_id: str, *, timeout: float) -> ContainerStatus:
        state = ContainerState(self._read(container_id)["state"])
        return ContainerStatus(
            container_id=container_id, state=state, exit_code=0 if state is ContainerState.EXITED else None
        )

    def wait(self, container_id: str, *, timeout: float) -> ContainerStatus | None:
        return self.inspect(container_id, timeout=timeout)

    def stop(self, container_id: str, *, grace: float, timeout: float) -> None:
        self._read(container_id)

    def remove(self, container_id: str, *, timeout: float) -> None:
        (self._folder / container_id).unlink(missing_ok=True)

    def list(self, labels: Mapping[str, str], *, timeout: float) -> Sequence[ContainerInfo]:
        names = sorted(path.name for path in self._folder.iterdir() if path.suffix != ".tmp")
        infos = [
            ContainerInfo(
                container_id=name, name=name, image="", state=ContainerState(found["state"]), labels=found["labels"]
            )
            for name in names
            for found in [self._read(name)]
        ]
        return [info for info in infos if labels.items() <= info.labels.items()]

    def fetch_result(self, container_id: str, *, limit: int, timeout: float) -> bytes:
        self._read(container_id)
        return RESULT

    def _stream(self, container_id: str, cursor: LogCursor) -> LogStream:
        path = self._folder / container_id
        return DiskStream(cursor, lambda: path.exists() and self._read(container_id)["state"] == "created")

    def _read(self, container_id: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self._folder / container_id).read_text())
        except FileNotFoundError:
            raise ContainerNotFoundError("it is gone", container_id=container_id) from None
        return found

    def _write(self, container_id: str, document: dict[str, Any]) -> None:
        draft = self._folder / f"{container_id}.tmp"
        draft.write_text(json.dumps(document))
        draft.replace(self._folder / container_id)
