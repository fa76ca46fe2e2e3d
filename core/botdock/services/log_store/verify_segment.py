"""Checks one segment: its records against its bytes, and all of it against its seal."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import attrs

from botdock.model.logs import Stream
from botdock.services.log_store.layout import (
    PIECE,
    RECORD,
    STREAMS,
    Kind,
    Record,
    compressed_name,
    data_name,
    index_name,
    open_data,
    pieces,
    seal_name,
)
from botdock.services.log_store.tally import Seal, Tally, sealed

if TYPE_CHECKING:
    from botdock.services.log_store.segment import Hash

OnProgress = Callable[[int, int], object]
"""Told how many bytes have been checked, of how many; never fewer than before, and all of them at last."""
_Misfit = tuple[int, Record | None, int]
"""The first record that does not fit: its number, itself if it is one, and where its chunk begins."""
_RECORDS_AT_ONCE = 4096


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that is not as it was stored.

    Attributes:
        file: Name of the file in the folder of the log.
        offset: Its byte from which on it is wrong, or None where it is about the file; of a compressed one, a byte of
            its content.
        length: How many bytes, or None where that cannot be said.
        problem: What is wrong, in people's words.
    """

    file: str
    offset: int | None = None
    length: int | None = None
    problem: str


class Meter:
    """Tells how far a check is, about once for each MiB of what the log held when it began, unpacked.

    Args:
        directory: Of the log.
        numbers: Of the segments that are checked, in their order.
        on_progress: Told; None for no listener.
    """

    def __init__(self, directory: Path, numbers: Iterable[int], on_progress: OnProgress | None) -> None:
        self._on_progress = on_progress
        self._sizes = {} if on_progress is None else {number: _content_size(directory, number) for number in numbers}
        self._total = sum(self._sizes.values())
        self._checked = self._end = 0
        self._told = -PIECE
        self.count(0)

    def begin(self, number: int) -> None:
        """Leave the segment before behind, and come to this one."""
        self._checked = self._end
        self._end += self._sizes.get(number, 0)

    def count(self, size: int) -> None:
        """Take note that so many bytes of it were read; costs next to nothing."""
        self._checked = min(self._checked + size, self._end)
        if self._checked >= self._told + PIECE:
            self._tell(self._checked)

    def finish(self) -> None:
        """Tell that all was checked."""
        if self._told != self._total:
            self._tell(self._total)

    def _tell(self, checked: int) -> None:
        self._told = checked
        if self._on_progress is not None:
            self._on_progress(checked, self._total)


def _content_size(directory: Path, number: int) -> int:
    if tally := sealed(directory, number):
        return tally.bytes + tally.records * RECORD.size
    paths = [directory / name for name in (*(data_name(stream, number) for stream in STREAMS), index_name(number))]
    return sum(path.stat().st_size for path in paths if path.exists())


@attrs.define
class _Content:
    """A stream's file, read once from its beginning: all that is read of it is hashed and counted."""

    name: str
    file: BinaryIO
    whole: Hash
    digest: Hash = attrs.field(factory=hashlib.sha256)
    size: int = 0
    newlines: int = 0
    end: bytes = b""
    damage: str = ""

    def take(self, size: int | None = None) -> Iterator[bytes]:
        """Yield the next bytes, or all the rest; fewer where it ends before, or cannot be unpacked."""
        try:
            for piece in pieces(self.file, size):
                self.digest.update(piece)
                self.whole.update(piece)
                self.size += len(piece)
                self.newlines += piece.count(b"\n")
                self.end = piece[-1:]
                yield piece
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.damage = f"it cannot be unpacked behind byte {self.size} of what it holds ({error})"


class SegmentCheck:
    """Looks at one segment, reading each of its files once.

    Args:
        directory: Of the log.
        number: Of the segment.
        closed: Whether nothing more may be added to it, so that it has a seal.
        whole: Running SHA-256 of each stream up to here; goes on with what is there, of a segment that is not closed
            with what its records name.
        meter: Told what is read.

    Attributes:
        findings: What was found; of its chunks, the first that does not fit.
        tally: What was counted; its bytes are those that were hashed, its records those that fit.
        ends: The last byte of each stream; empty where it has none here.
    """

    def __init__(
        self, directory: Path, number: int, *, closed: bool, whole: Mapping[Stream, Hash], meter: Meter
    ) -> None:
        self.findings: list[Finding] = []
        self.tally = Tally()
        self.ends = dict.fromkeys(STREAMS, b"")
        self._directory, self._number, self._whole, self._meter = directory, number, whole, meter
        self._index_name = index_name(number)
        self._index_hash, self._index_size = hashlib.sha256(), 0
        self._contents: dict[Stream, _Content] = {}
        self._seal = self._read_seal(closed=closed)
        self._closed = closed or self._seal is not None

    def run(self) -> None:
        """Look at all of it."""
        with ExitStack() as stack:
            names = {stream: data_name(stream, self._number) for stream in STREAMS}
            files = {name: self._opened(name, stack) for name in (*names.values(), self._index_name)}
            there = {name: file for name, file in files.items() if file}
            if len(there) < len(files):
                return
            self._contents = {
                stream: _Content(name, there[name], self._whole[stream]) for stream, name in names.items()
            }
            misfit = self._walk(there[self._index_name])
            named = {stream: content.size for stream, content in self._contents.items()}
            for piece in chain(*(content.take() for content in self._contents.values() if self._closed)):
                self._meter.count(len(piece))
        for stream, content in self._contents.items():
            self.tally.streams[stream].bytes, self.tally.streams[stream].newlines = content.size, content.newlines
            self.ends[stream] = content.end
        self._judge(misfit, named)

    def _opened(self, name: str, stack: ExitStack) -> BinaryIO | None:
        try:
            return stack.enter_context(open_data(self._directory, name))
        except FileNotFoundError:
            self._find(name, "it is missing")
            return None

    def _find(self, file: str, problem: str, offset: int | None = None, length: int | None = None) -> None:
        is_packed = file in {content.name for content in self._contents.values()}
        if is_packed and not (self._directory / file).exists():
            file = compressed_name(file)
        self.findings.append(Finding(file=file, offset=offset, length=length, problem=problem))

    def _read_seal(self, *, closed: bool) -> Seal | None:
        name = seal_name(self._number)
        try:
            return Seal.of(self._directory, self._number)
        except FileNotFoundError:
            if closed:
                self._find(name, "it is missing")
        except ValueError as error:
            self._find(name, f"it is damaged: {error}")
        return None

    def _walk(self, index: BinaryIO) -> _Misfit | None:
        """Hold each record against its bytes, up to the first that does not fit: behind it, bytes belong nowhere."""
        at, misfit, left = 0, None, os.fstat(index.fileno()).st_size
        self._index_size = left
        while packed := index.read(min(left, _RECORDS_AT_ONCE * RECORD.size)):
            left -= len(packed)
            self._index_hash.update(packed)
            self._meter.count(len(packed))
            for begin in range(0, len(packed) - RECORD.size + 1, RECORD.size):
                if misfit is None:
                    misfit = self._step(at, packed[begin : begin + RECORD.size])
                    at += 1
        return misfit

    def _step(self, at: int, packed: bytes) -> _Misfit | None:
        """Count a record and read its bytes; return it if it does not fit them."""
        try:
            record = Record.of(*RECORD.unpack(packed))
        except ValueError:
            return at, None, 0
        content = self._contents[record.stream]
        begin, crc = content.size, record.proof()
        for piece in content.take(record.length) if record.kind is Kind.DATA else ():
            crc = zlib.crc32(piece, crc)
            self._meter.count(len(piece))
        if crc != record.crc:
            return at, record, begin
        self.tally.count(record)
        return None

    def _judge(self, misfit: _Misfit | None, named: Mapping[Stream, int]) -> None:
        """Say what does not fit: records and bytes first, then the hashes and counts of the seal."""
        for content in self._contents.values():
            if content.damage:
                self._find(content.name, content.damage)
        digests = {stream.value: content.digest.hexdigest() for stream, content in self._contents.items()}
        digests["index"] = self._index_hash.hexdigest()
        sealed = self._seal.sha256 if self._seal else {}
        right = {name for name, digest in digests.items() if sealed.get(name) == digest}
        if misfit is not None:
            self._blame(misfit, right)
        elif self._closed:
            self._look_behind(named, right)
        if self._seal:
            self._hold_against(self._seal, set(digests) - right)

    def _blame(self, misfit: _Misfit, right: set[str]) -> None:
        """Say whether it is a record or its chunk that is wrong: where no hash proves the chunk, that counts as it."""
        at, record, begin = misfit
        if record is None or record.kind is not Kind.DATA or record.stream in right:
            text = f"record {at} is damaged: it does not fit itself, or the bytes that it is about"
            self._find(self._index_name, text, at * RECORD.size, RECORD.size)
            return
        content, end = self._contents[record.stream], begin + record.length
        if content.damage:
            return
        if content.size < end:
            lacking = end - content.size
            text = f"it ends {lacking} bytes before the chunk of record {at} does"
            self._find(content.name, text, content.size, lacking)
            return
        text = f"bytes {begin} to {end - 1} are not what was stored (the chunk of record {at})"
        self._find(content.name, text, begin, record.length)

    def _look_behind(self, named: Mapping[Stream, int], right: set[str]) -> None:
        """Look at what lies behind the last record, where nothing may lie any more."""
        if rest := self._index_size % RECORD.size:
            begin = self._index_size - rest
            self._find(self._index_name, f"it ends with {rest} bytes of a record", begin, rest)
        for stream, content in self._contents.items():
            more = content.size - named[stream]
            if more and stream in right:
                self._find(self._index_name, f"it ends {more} bytes of {stream} too early", self._index_size)
            elif more:
                text = f"{more} bytes follow the chunk of the last record"
                self._find(content.name, text, named[stream], more)

    def _hold_against(self, seal: Seal, wrong: set[str]) -> None:
        """Hold hashes and counts against the seal, where the records alone have not told."""
        if len(wrong) == len(seal.sha256) and not self.findings:
            self._find(seal_name(self._number), "its hashes fit none of the files, although these fit each other")
            return
        told = {finding.file.split(".")[0] for finding in self.findings}
        for name in sorted(wrong - told):
            text = "it does not have the hash that the seal says, although each record fits"
            self._find(f"{name}.{self._number}", text)
        if not self.findings and seal.tally != self.tally:
            self._find(seal_name(self._number), "it does not say what its records count")
