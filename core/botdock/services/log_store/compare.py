"""Compares a stored log with the copy of it that the storage holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import attrs

from botdock.model import ByteReader
from botdock.services.log_store.files import PIECE, UNREADABLE, open_data
from botdock.services.log_store.findings import Comparison, Finding, Meter, OnProgress
from botdock.services.log_store.layout import (
    END,
    STREAMS,
    data_name,
    index_name,
    newest_segment,
    parse_document,
    seal_name,
)
from botdock.services.log_store.retention import read_removed
from botdock.services.log_store.tally import Seal, content_size

if TYPE_CHECKING:
    from botdock.services.log_store.segment import Hash

_LARGEST_DOCUMENT = 1024 * 1024


def compare(
    directory: Path, open_object: Callable[[str], ByteReader | None], *, on_progress: OnProgress | None = None
) -> Comparison:
    """Compare each sealed segment that is kept, and the end, with the storage's copy, byte by byte.

    What is not sealed yet is not in the storage yet, and not looked at; as long as the log has not ended, what is
    missing there is on its way. Segments may be compressed, and removed by retention, meanwhile.

    Args:
        directory: Of the log.
        open_object: Returns what the storage holds of the file of this name, or None where it holds nothing.
        on_progress: Told how far it is, of the bytes that the sealed segments had here when it began.

    Raises:
        OSError: The log cannot be read, or the storage fails.
    """
    return _Comparing(directory, open_object).run(on_progress)


@attrs.define
class _Difference:
    """How far two files have been read, and the first byte in which they differ, or None."""

    here: int = 0
    there: int = 0
    first: int | None = None
    hashes: tuple[Hash, Hash] = attrs.field(factory=lambda: (hashlib.sha256(), hashlib.sha256()))

    def add(self, here: bytes, there: bytes) -> None:
        """Go on with the next piece of both."""
        for digest, data in zip(self.hashes, (here, there), strict=True):
            digest.update(data)
        if here != there and self.first is None:
            common = min(len(here), len(there))
            self.first = self.here + next((at for at in range(common) if here[at] != there[at]), common)
        self.here += len(here)
        self.there += len(there)


class _Comparing:
    def __init__(self, directory: Path, open_object: Callable[[str], ByteReader | None]) -> None:
        self._directory = directory
        self._open_object = open_object
        self._ended = (directory / END).exists()
        self._findings: list[Finding] = []
        self._segments = 0
        self._bytes = 0

    def run(self, on_progress: OnProgress | None) -> Comparison:
        numbers = self._sealed()
        self._meter = Meter(self._directory, frozenset(numbers), on_progress)
        for number in numbers:
            self._compare_segment(number)
            self._meter.end(number)
        if self._ended:
            self._compare(END, None)
        self._meter.finish()
        return Comparison(segments=self._segments, bytes=self._bytes, ended=self._ended, findings=tuple(self._findings))

    def _sealed(self) -> list[int]:
        """Return the numbers of the segments that the storage ought to have."""
        newest = newest_segment(self._directory)
        there = range(self._removed(), -1 if newest is None else newest + 1)
        return [number for number in there if (self._directory / seal_name(number)).exists()]

    def _removed(self) -> int:
        try:
            return read_removed(self._directory)[0]
        except ValueError:  # `verify` says so
            return 0

    def _compare_segment(self, number: int) -> None:
        seal, findings, size = self._seal(number), len(self._findings), self._bytes
        self._meter.begin(number, content_size(self._directory, number, seal))
        hashes = dict(seal.sha256) if seal else {}
        for stream in STREAMS:
            self._bytes += self._compare(data_name(stream, number), hashes.get(stream))
        self._compare(index_name(number), hashes.get("index"))
        self._compare(seal_name(number), None)
        if self._removed() > number:  # meanwhile: what was found may be this
            del self._findings[findings:]
            self._bytes = size
        else:
            self._segments += 1

    def _seal(self, number: int) -> Seal | None:
        try:
            return Seal.of(parse_document((self._directory / seal_name(number)).read_bytes()), number)
        except (ValueError, FileNotFoundError):
            return None

    def _compare(self, name: str, sha256: str | None) -> int:
        """Compare a file with its copy; return how many bytes it has here, as far as that was looked at."""
        copy = self._open_object(name)
        if copy is None:
            if self._ended:
                self._find(name, "the storage does not hold it")
            return 0
        with ExitStack() as stack:
            stack.callback(getattr(copy, "close", bool))
            try:
                found = self._difference(stack.enter_context(open_data(self._directory, name)), copy)
            except (FileNotFoundError, *UNREADABLE) as error:
                self._find(name, f"it cannot be read here ({error}), the storage holds a copy")
                return 0
        if found.first is not None:
            self._findings.append(_finding(name, found, sha256))
        return found.here

    def _difference(self, file: BinaryIO, copy: ByteReader) -> _Difference:
        found = _Difference()
        while True:
            here, there = _whole_piece(file), _whole_piece(copy)
            if not here and not there:
                return found
            found.add(here, there)
            self._meter.count(len(here))

    def _find(self, name: str, problem: str) -> None:
        self._findings.append(Finding(file=name, problem=problem))


def _whole_piece(source: ByteReader) -> bytes:
    """Return the next piece, a short one only at the end: sockets give what has come."""
    return b"".join(_parts(source))


def _parts(source: ByteReader) -> Iterator[bytes]:
    left = PIECE
    while left and (part := source.read(left)):
        left -= len(part)
        yield part


def _finding(name: str, found: _Difference, sha256: str | None) -> Finding:
    text = f"the storage's copy differs from byte {found.first} on"
    if found.here != found.there:
        side = "longer" if found.there > found.here else "shorter"
        text += f", and is {abs(found.here - found.there)} bytes {side}"
    here, there = (digest.hexdigest() == sha256 for digest in found.hashes)
    if here or there:
        text += f"; the hashes prove {'what is here' if here else 'the copy'}"
    length = max(found.here, found.there) - (found.first or 0)
    return Finding(file=name, offset=found.first, length=length, problem=text)
