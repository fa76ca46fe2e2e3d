"""Verifies one segment: its records against its bytes, and all of it against its seal."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from botdock.model.logs import Stream
from botdock.services.log_store.diagnosis import Misfit, WrongByte, mended, record_of, wrong_bytes
from botdock.services.log_store.files import PIECE, AnywhereFile
from botdock.services.log_store.findings import Finding
from botdock.services.log_store.layout import (
    RECORD,
    STREAMS,
    Kind,
    Record,
    compressed_name,
    data_name,
    index_name,
    parse_document,
    seal_name,
)
from botdock.services.log_store.meter import Meter
from botdock.services.log_store.packed import check_packed
from botdock.services.log_store.presence import content_size, missing_files
from botdock.services.log_store.seal import Seal
from botdock.services.log_store.tally import StreamTally, Tally

if TYPE_CHECKING:
    from botdock.services.log_store.segment import Hash

MOST = 20
"""Findings of one segment that are told; one that is damaged in more places is not looked at further."""
_RECORDS_AT_ONCE = 4096
_ROUNDS = 2
"""How often a segment is read: for its hashes, and record by record."""


class SegmentCheck:
    """Looks at one segment.

    Args:
        directory: Of the log.
        number: Of the segment.
        closed: Whether nothing more may be added to it, so that it has a seal.
        whole: Running SHA-256 of each stream up to here; goes on with what is there, of a segment that is not closed
            with what its records name.
        meter: Told what is read.

    Attributes:
        findings: What was found.
        tally: What was counted; its bytes are those that were hashed, its records those that fit.
        ends: The last byte of each stream; empty where it has none here.
    """

    def __init__(
        self, directory: Path, number: int, *, closed: bool, whole: Mapping[Stream, Hash], meter: Meter
    ) -> None:
        self.findings: list[Finding] = []
        self.tally = Tally()
        self.ends = dict.fromkeys(STREAMS, b"")
        self._directory = directory
        self._number = number
        self._whole = whole
        self._meter = meter
        self._offsets = dict.fromkeys(STREAMS, 0)
        self._sizes = dict.fromkeys(STREAMS, 0)
        self._index_size = 0
        self._files: dict[Stream, AnywhereFile] = {}
        self._right: dict[str, bool | None] = {}
        self._seal = self._read_seal(closed=closed)
        self._closed = closed or self._seal is not None

    def run(self) -> None:
        """Look at all of it.

        Raises:
            OSError: A file cannot be read.
        """
        missing = missing_files(self._directory, self._number)
        for name in missing:
            self._find(name, "it is missing")
        self._meter.begin(self._number, _ROUNDS * content_size(self._directory, self._number, self._seal))
        if missing or self._is_packed_badly():
            return
        with ExitStack() as stack:
            for stream in STREAMS:
                self._files[stream] = stack.enter_context(AnywhereFile(self._directory, self._data(stream)))
            index = stack.enter_context(AnywhereFile(self._directory, index_name(self._number)))
            self._measure(index)
            self._walk(index)
            self._judge()
            self._settle()
        packed = {self._data(stream) for stream in STREAMS if not (self._directory / self._data(stream)).exists()}
        self.findings = [
            attrs.evolve(one, file=compressed_name(one.file)) if one.file in packed else one for one in self.findings
        ]

    def _find(self, file: str, problem: str, offset: int | None = None, length: int | None = None) -> None:
        self.findings.append(Finding(file=file, offset=offset, length=length, problem=problem))

    def _data(self, stream: Stream) -> str:
        return data_name(stream, self._number)

    def _read_seal(self, *, closed: bool) -> Seal | None:
        name = seal_name(self._number)
        try:
            return Seal.of(parse_document((self._directory / name).read_bytes()), self._number)
        except FileNotFoundError:
            if closed:
                self._find(name, "it is missing")
        except ValueError as error:
            self._find(name, f"it is damaged: {error}")
        return None

    def _is_packed_badly(self) -> bool:
        """Look at compressed files; return whether there is no plain one beside one that is damaged."""
        hopeless = False
        for stream in STREAMS:
            path = self._directory / compressed_name(self._data(stream))
            digest = hashlib.sha256()
            problem = check_packed(path, digest) if path.exists() else None
            plain = (self._directory / self._data(stream)).exists()
            if problem is None and path.exists() and self._seal and digest.hexdigest() != self._seal.sha256[stream]:
                problem = "it does not hold what the seal says" if plain else None  # without a plain one, more is told
            if problem:
                self._find(path.name, problem)
                hopeless |= not plain
        return hopeless

    def _measure(self, index: AnywhereFile) -> None:
        """Take sizes and hashes of the files, and compare them with what the seal says."""
        if not self._closed:  # the bytes of a record come before it
            self._index_size = index.size()
            self._sizes = {stream: file.size() for stream, file in self._files.items()}
            return
        found: dict[str, str] = {}
        for stream, file in self._files.items():
            found[stream.value], self._sizes[stream] = self._hash(file, self._whole[stream])
        found["index"], self._index_size = self._hash(index)
        wanted = self._seal.sha256 if self._seal else {}
        self._right = {name: digest == wanted[name] if wanted else None for name, digest in found.items()}

    def _hash(self, file: AnywhereFile, whole: Hash | None = None) -> tuple[str, int]:
        """Return the SHA-256 of a file and its size; `whole` goes on with it."""
        digest, size = hashlib.sha256(), 0
        for piece in _pieces(file):
            digest.update(piece)
            if whole is not None:
                whole.update(piece)
            size += len(piece)
            self._meter.count(len(piece))
        return digest.hexdigest(), size

    def _walk(self, index: AnywhereFile) -> None:
        """Hold each record against its bytes, up to one behind which nobody can tell where bytes belong."""
        at, most = 0, _RECORDS_AT_ONCE * RECORD.size
        while packed := index.read_at(at * RECORD.size, min(most, self._index_size - at * RECORD.size)):
            for begin in range(0, len(packed) - RECORD.size + 1, RECORD.size):
                if len(self.findings) >= MOST or not self._step(at, packed[begin : begin + RECORD.size]):
                    return
                at += 1
            self._meter.count(len(packed))
            if len(packed) % RECORD.size:
                break
        self._look_behind()

    def _step(self, at: int, packed: bytes) -> bool:
        """Look at one record; return whether it is known where the next one's bytes begin."""
        record = record_of(packed)
        if record is not None and self._count(record):
            return True
        misfit = Misfit(number=self._number, at=at, packed=packed, offsets=self._offsets, sizes=self._sizes)
        if not self._right.get("index"):
            found = mended(misfit, self._files)
            if found:
                place, right = found
                self.findings.append(misfit.index_byte(place, right[place]))
                self._count(Record.of(*RECORD.unpack(right)))
                return True
        if record is None or record.kind is not Kind.DATA or self._right.get(record.stream):
            self.findings.append(misfit.whole_record())
            return record is not None and self._pass(record)
        return self._blame_bytes(misfit, record)

    def _blame_bytes(self, misfit: Misfit, record: Record) -> bool:
        name, size = self._data(record.stream), self._sizes[record.stream]
        end = self._offsets[record.stream] + record.length
        if size < end:
            self._find(
                name, f"it ends {end - size} bytes before the chunk of record {misfit.at} does", size, end - size
            )
            return False
        found = wrong_bytes(misfit, self._files)
        if len(found) > 1 and self._seal:  # the hash in the seal tells which it is
            wanted = self._seal.sha256[record.stream]
            found = [one for one in found if _mended_digest(self._files[record.stream], one) == wanted] or found
        self.findings += [one.finding(name) for one in found] or [misfit.whole_chunk(record)]
        return self._pass(record)

    def _count(self, record: Record) -> bool:
        """Count a record, and go behind its bytes, if it fits them."""
        crc, newlines, end = record.head_crc, 0, b""
        if record.kind is Kind.DATA:
            begin = self._offsets[record.stream]
            if record.length > self._sizes[record.stream] - begin:
                return False
            for at in range(begin, begin + record.length, PIECE):
                data = self._files[record.stream].read_at(at, min(PIECE, begin + record.length - at))
                crc, newlines, end = zlib.crc32(data, crc), newlines + data.count(b"\n"), data[-1:]
                self._meter.count(len(data))
        if crc != record.crc:
            return False
        self.tally.count(record, newlines)
        self.ends[record.stream] = end or self.ends[record.stream]
        if record.kind is Kind.DATA:
            self._offsets[record.stream] += record.length
        return True

    def _pass(self, record: Record) -> bool:
        """Go behind the bytes of a record that does not fit; return whether there are so many."""
        if record.kind is not Kind.DATA:
            return True
        self._offsets[record.stream] += record.length
        return self._offsets[record.stream] <= self._sizes[record.stream]

    def _look_behind(self) -> None:
        """Look at what lies behind the last record, where nothing may lie any more."""
        if not self._closed:
            return
        if rest := self._index_size % RECORD.size:
            name, end = index_name(self._number), self._index_size
            self._find(name, f"it ends with {rest} bytes of a record", end - rest, rest)
        for stream in STREAMS:
            more = self._sizes[stream] - self._offsets[stream]
            if more and self._right.get(stream):
                text = f"it ends {more} bytes of {stream} too early"
                self._find(index_name(self._number), text, self._index_size)
            elif more:
                text = f"{more} bytes follow the chunk of the last record"
                self._find(self._data(stream), text, self._offsets[stream], more)

    def _judge(self) -> None:
        """Hold hashes and counts against the seal, where the records alone have not told."""
        if not self._seal:
            return
        wrong = [name for name, right in self._right.items() if not right]
        if len(wrong) == len(self._right) and not self.findings:
            self._find(seal_name(self._number), "its hashes fit none of the files, although these fit each other")
            return
        told = {finding.file.split(".")[0] for finding in self.findings}
        for name in wrong:
            if name not in told:
                self._find(
                    f"{name}.{self._number}", "it does not have the hash that the seal says, although each record fits"
                )
        if not self.findings and self._seal.tally != self.tally:
            self._find(seal_name(self._number), "it does not say what its records count")

    def _settle(self) -> None:
        """Count the bytes that were hashed, also where no record fits them; of an open segment, hash those it names."""
        if self._closed and not self.findings:
            return
        for stream, file in self._files.items():
            tally = self.tally.streams[stream] = StreamTally(missing=self.tally.streams[stream].missing)
            size = self._sizes[stream] if self._closed else min(self._offsets[stream], self._sizes[stream])
            for piece in _pieces(file, size):
                if not self._closed:
                    self._whole[stream].update(piece)
                tally.bytes += len(piece)
                tally.newlines += piece.count(b"\n")
                self.ends[stream] = piece[-1:]
                self._meter.count(len(piece))


def _pieces(file: AnywhereFile, size: int | None = None) -> Iterator[bytes]:
    """Yield the first `size` bytes of a file, or all of it, in pieces."""
    at = 0
    while piece := file.read_at(at, PIECE if size is None else min(PIECE, size - at)):
        yield piece
        at += len(piece)


def _mended_digest(file: AnywhereFile, mend: WrongByte) -> str:
    """Return the SHA-256 of a file, as it would be with one byte mended."""
    digest, at = hashlib.sha256(), 0
    for piece in _pieces(file):
        place = mend.offset - at
        digest.update(piece[:place] + bytes([mend.was]) + piece[place + 1 :] if 0 <= place < len(piece) else piece)
        at += len(piece)
    return digest.hexdigest()
