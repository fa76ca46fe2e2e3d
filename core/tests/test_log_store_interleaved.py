"""Threads that compress, remove, take over and read at the same time: no byte of a log is lost by it."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from botdock.model import LogChunk, LogGap, Stream
from botdock.services.log_store import (
    LogWriter,
    StoredLog,
    layout,
    reader,
    segment,
    tally,
    verify_segment,
    writer,
)
from botdock.services.log_store import verify as verifying
from botdock.services.log_store.layout import compress_segment
from botdock.services.log_store.segment import Segment
from botdock.services.log_store.verify import Comparison, Verification, compare, verify
from testbed.every_line import lines_of, met_at_every_line

CHUNKS = [b"line %02d\n" % number for number in range(5)]
WHOLE = b"".join(CHUNKS)
SEGMENT = 16
"""Two chunks fill a segment: two are closed, and the third is not full."""
WHOLES = {gone: b"*" * gone + WHOLE[gone:] for gone in range(0, 3 * SEGMENT, SEGMENT)}
LOOKING = {
    *("__init__", "_removed", "_look_at", "_first", "_opened", "_compare"),
    *("run", "_read_seal", "_walk", "_find", "_compare_segment", "_compare_content", "open_data", "read_removed"),
}
"""What looks at the disk in a check: while the rest works, a change is seen no earlier or later than before it."""
NAMING = {"data_name", "index_name", "seal_name", "compressed_name", "draft_name", "is_draft", "segment_of"}
PACKING = {"of", "gap", "head", "head_crc", "pack", "_packed", "parse_document"}
WRITING = {"create", "append", "seal", "compress_segment", "_compress", "remove_segment", "remove_segments"}
CHECKING = lines_of(layout, tally, verify_segment, verifying)
WORKING = lines_of(layout, reader, segment, tally)
CHANGING = lines_of(layout, segment, tally)


def works(code: CodeType) -> bool:
    """Let all lines count but those that only name and pack."""
    return code.co_name not in NAMING | PACKING and WORKING(code)


def changes(code: CodeType) -> bool:
    """Let the lines count that write to the disk."""
    return code.co_name in WRITING and CHANGING(code)


def looks(code: CodeType) -> bool:
    """Let the lines of a check count that look at the disk."""
    return code.co_name in LOOKING and CHECKING(code)


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
        with suppress(FileNotFoundError):  # who takes over sweeps what is not whole
            compress_segment(self.directory, 1)

    def remove(self) -> None:
        self.writer.remove_oldest()

    def remove_both(self) -> None:
        self.remove()
        self.remove()

    def finish(self) -> None:
        self.writer.finish(complete=True)

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
            (Log.compress, Log.remove_both),
            (Log.remove_both, Log.compress),
            (Log.take_over, Log.compress),
            (Log.read, Log.compress),
            (Log.read, Log.remove),
        ]
    ],
)
def test_two_at_once_lose_nothing(memory: Path, first: Step, second: Step) -> None:
    gone = SEGMENT * ((Log.remove in {first, second}) + 2 * (Log.remove_both in {first, second}))
    for number, log in met_at_every_line(lambda at: Log(memory / str(at)), first, second, works):
        log.writer.finish(complete=True)
        log.writer.close()
        found = verify(log.directory)
        assert (found.findings, log.text()) == ((), WHOLES[gone]), f"{number} lines had been passed"
        assert not [path for path in log.directory.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("removes_first", [True, False])
def test_nothing_goes_of_a_log_that_has_ended(memory: Path, removes_first: bool) -> None:
    first, second = (Log.remove, Log.finish) if removes_first else (Log.finish, Log.remove)
    for number, log in met_at_every_line(lambda at: Log(memory / str(at)), first, second, works):
        assert not log.writer.remove_oldest()
        log.writer.close()
        found = verify(log.directory)
        assert (found.findings, found.ended) == ((), True), f"{number} lines had been passed"
        assert log.text() == WHOLES[found.summary.removed_bytes]


class Checked:
    """A log of some sealed segments and one that is not full, which has ended or lives while it is checked."""

    def __init__(self, directory: Path, *, ended: bool = False, chunks: int = 3) -> None:
        self.directory = directory
        self.writer = LogWriter(directory, segment_bytes=SEGMENT)
        for time_ns, data in enumerate(CHUNKS[:chunks]):
            self.writer.append(LogChunk(Stream.STDOUT, data, time_ns))
        self.writer.seal_closed()
        if ended:
            self.writer.finish(complete=True)
        self.copies = {path.name: path.read_bytes() for path in directory.iterdir()}
        self.found: Verification | Comparison | None = None

    def verify(self) -> None:
        self.found = verify(self.directory)
        summary, whole = self.found.summary, WHOLE[self.found.summary.removed_bytes :][: self.found.summary.bytes]
        assert summary.streams["stdout"]["sha256"] == hashlib.sha256(whole).hexdigest()
        assert (summary.bytes, summary.lines) == (len(whole), whole.count(b"\n"))

    def compare(self) -> None:
        self.found = compare(self.directory, lambda name: io.BytesIO(self.copies[name]))

    def compress(self) -> None:
        compress_segment(self.directory, 0)

    def remove(self) -> None:
        self.writer.remove_oldest()
        self.writer.remove_oldest()

    def append_and_roll(self) -> None:
        for time_ns, data in enumerate(CHUNKS[3:], start=3):
            self.writer.append(LogChunk(Stream.STDOUT, data, time_ns))
        self.writer.seal_closed()

    def append_roll_and_compress(self) -> None:
        self.append_and_roll()
        compress_segment(self.directory, 1)


Check = Callable[[Checked], None]


@pytest.mark.parametrize(
    ("check", "change", "ended"),
    [
        pytest.param(check, change, ended, id=f"{check.__name__}-{change.__name__}-{'ended' if ended else 'alive'}")
        for check, change, ended in [
            (Checked.verify, Checked.compress, True),
            (Checked.verify, Checked.remove, False),
            (Checked.verify, Checked.append_and_roll, False),
            (Checked.verify, Checked.append_roll_and_compress, False),
            (Checked.compare, Checked.compress, True),
            (Checked.compare, Checked.remove, False),
        ]
    ],
)
def test_a_log_that_changes_while_it_is_checked_is_no_damage(
    memory: Path, check: Check, change: Check, ended: bool
) -> None:
    chunks = 5 if change is Checked.remove else 3  # two sealed segments, or one
    folders = (memory / str(number) for number in itertools.count())
    for first, second, traced in [(check, change, looks), (change, check, changes)]:
        for number, log in met_at_every_line(
            lambda _number: Checked(next(folders), ended=ended, chunks=chunks), first, second, traced
        ):
            log.writer.close()
            assert log.found is not None
            assert log.found.findings == (), f"{number} lines of {first.__name__} had been passed"


def test_a_sync_while_the_log_goes_on_leaves_no_segment_out(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr("os.fdatasync", lambda file: synced.append(Path(f"/proc/self/fd/{file}").readlink().name))

    def begin(at: int) -> LogWriter:
        synced.clear()
        log = LogWriter(memory / str(at), segment_bytes=SEGMENT)
        log.append(LogChunk(Stream.STDOUT, CHUNKS[0], 1))
        return log

    def go_on(log: LogWriter) -> None:
        log.append(LogChunk(Stream.STDOUT, CHUNKS[1], 2))
        assert log.segment.number == 1

    for number, log in met_at_every_line(begin, go_on, LogWriter.sync, lines_of(writer), least=5):
        log.close()
        assert "stdout.0" in synced, f"{number} lines had been passed"


def test_two_that_close_at_once_close_each_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second closes behind each instruction of the first: its descriptor may be another file's by then."""
    closed: list[int] = []
    monkeypatch.setattr(os, "close", closed.append)
    code = Segment.close.__code__
    for step in itertools.count(1):
        part, left = Segment(tmp_path, step), [step]
        part.create()

        def meet(frame: FrameType, event: str, _: object, left: list[int] = left, part: Segment = part) -> Any:
            frame.f_trace_opcodes = frame.f_code is code
            if event == "opcode":
                left[0] -= 1
                if not left[0]:
                    part.close()
            return meet if frame.f_code is code else None

        before = sys.gettrace()  # that of coverage, which counts nothing more in this process without it
        sys.settrace(meet)
        try:
            part.close()
        finally:
            sys.settrace(before)
        assert len(set(closed)) == len(closed) == 3, f"{step} instructions had been passed"
        closed.clear()
        if left[0] > 0:
            break
