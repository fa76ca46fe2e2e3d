"""Whoever compresses, removes, takes over and reads at the same time: no byte of a log is lost by it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from botdock.model import LogChunk, LogGap, Stream
from botdock.services.log_store import LogWriter, StoredLog, files, layout, ledger, reader, retention, takeover
from botdock.services.log_store.retention import compress_segment
from botdock.services.log_store.verify import verify
from testbed.every_line import interleaved, lines_of

TRACED = lines_of(files, layout, ledger, reader, retention, takeover)
CHUNKS = [b"line %02d\n" % number for number in range(9)]
WHOLE = b"".join(CHUNKS)
SEGMENT = 16
"""Two chunks fill a segment: four are closed, and the fifth is not full."""
WHOLES = {gone: b"*" * gone + WHOLE[gone:] for gone in range(0, 5 * SEGMENT, SEGMENT)}


class Log:
    """A log of which the first segment is compressed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.writer = LogWriter(directory, segment_bytes=SEGMENT)
        for time_ns, data in enumerate(CHUNKS):
            self.writer.append(LogChunk(Stream.STDOUT, data, time_ns))
        self.writer.seal_closed()
        compress_segment(directory, 0)

    def compress_first(self) -> None:
        compress_segment(self.directory, 0)

    def compress(self) -> None:
        with suppress(FileNotFoundError):  # somebody else was quicker
            compress_segment(self.directory, 1)

    def remove(self) -> None:
        self.writer.remove_oldest()

    def take_over(self) -> None:
        LogWriter(self.directory, segment_bytes=SEGMENT).close()

    def read(self) -> None:
        assert self.text() in WHOLES.values()

    def hash(self) -> None:
        assert self.writer.summary(complete=False).bytes in {len(WHOLE), len(WHOLE) - SEGMENT}

    def text(self) -> bytes:
        found = StoredLog(self.directory).entries()
        return b"".join(b"*" * (entry.size or 0) if isinstance(entry, LogGap) else entry.data for entry in found)


Step = Callable[[Log], None]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(first, second, id=f"{first.__name__}-{second.__name__}")
        for first, second in [
            (Log.compress, Log.compress),
            (Log.compress, Log.remove),
            (Log.compress, Log.take_over),
            (Log.compress, Log.hash),
            (Log.remove, Log.compress),
            (Log.take_over, Log.compress),
            (Log.read, Log.compress),
            (Log.read, Log.remove),
        ]
    ],
)
def test_two_at_once_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: Step, second: Step) -> None:
    monkeypatch.setattr(os, "fsync", lambda _fd: None)  # nobody is killed here, and this is quicker
    monkeypatch.setattr(os, "fdatasync", lambda _fd: None)
    gone = SEGMENT * (Log.remove in {first, second})
    for number in itertools.count(1):
        log = Log(tmp_path / str(number))
        if not interleaved(number, partial(first, log), partial(second, log), TRACED):
            break
        log.writer.finish(complete=True)
        log.writer.close()
        found = verify(log.directory)
        assert (found.findings, log.text()) == ((), WHOLES[gone]), f"{number} lines had been passed"
        assert not [path for path in log.directory.iterdir() if path.name.startswith(".")]
    assert number > 15
