"""Stores a log, and keeps counts and hashes as it goes; an append costs the same however long the log is."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from botdock.errors import LogError
from botdock.model.logs import LogChunk, LogCursor, LogGap, LogSummary, Stream
from botdock.services.log_store.layout import END, STREAMS, VERSION, Kind, Record, records_of, write_document
from botdock.services.log_store.segment import Segment, take_over
from botdock.services.log_store.tail_buffer import Piece, TailBuffer
from botdock.services.log_store.tally import Tally, hash_stream, read_removed, remove_segment, sealed, sum_of, summarise
from botdock.services.masking import Masked, Masker

SEGMENT_BYTES = 64 * 1024 * 1024
_MOST_SHORT = 256
"""Chunks of a log that is kept in memory: each takes some hundred bytes beside its own."""


class LogWriter:
    """Writes the log in a folder, one at a time; goes on with what lies there.

    One thread appends, flushes and finishes. `sync`, `seal_closed` and `remove_oldest` wait for the disk and are for
    another one. After a `LogError`, the stream has to be read again from the cursor on, once `rewind` was called.

    Args:
        directory: Is made if it is not there.
        limit: Bytes of both streams together that are stored, as `Tally.charged` counts them; None for no limit. Of
            what comes after, the end is kept and the rest counted as a gap.
        tail: Bytes of that end; never more than the limit. A log with no more is kept in memory, too.
        segment_bytes: Bytes, counted so too, after which a new segment is begun.
        secrets: What is masked.

    Attributes:
        found: What lay there when it began.
        over_limit: Whether more came than the limit.
        removed_segments: How many of the oldest segments retention has removed.
        short: All that is stored, while that is little and came from this writer alone; None else.
        segment: The segment that is being written.

    Raises:
        LogError: The files cannot be written, or the log has ended.
    """

    def __init__(
        self,
        directory: Path,
        *,
        limit: int | None = None,
        tail: int = 0,
        segment_bytes: int = SEGMENT_BYTES,
        secrets: Iterable[bytes] = (),
    ) -> None:
        self.directory, self.over_limit = directory, False
        self._limit, self._segment_bytes = limit, segment_bytes
        known = tuple(secrets)
        self._maskers = {stream: Masker(known) for stream in STREAMS} if known else {}
        self._times = dict.fromkeys(STREAMS, 0)
        self._tail, self._most_short = tail if limit is None else min(tail, limit), tail
        self.short: list[LogChunk] | None = []
        self._rest: TailBuffer | None = None
        self._housekeeping, self._counting, self._ended = threading.RLock(), threading.Lock(), False
        self._closed, self._unsealed = Tally(), deque[Segment]()
        with self._explained():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.removed_segments, self._removed, self.found = 0, Tally(), Tally()
            self.segment = Segment(directory, 0)
            if any(directory.iterdir()):
                self._take_over()
            self._hashed_from = self.removed_segments
            if self.segment.sealed:
                self._next_segment()
            else:
                self.segment.create()

    def _take_over(self) -> None:
        """Go on with what another one wrote."""
        if (self.directory / END).exists():
            raise LogError(f"the log in {self.directory} has ended", hint="Nothing can be added to it.")
        self.short = None
        self.removed_segments, self._removed = read_removed(self.directory)
        found = take_over(self.directory, self.removed_segments)
        self.segment = next(found, None) or Segment(self.directory, self.removed_segments)
        for following in found:
            self._go_on(following)
        self.found = self.whole()

    def kept(self) -> Tally:
        """Return what is stored, without what retention has removed; of one segment, what goes on to count."""
        with self._counting:
            return sum_of(self._closed, self.segment.tally) if self._closed.records else self.segment.tally

    def whole(self) -> Tally:
        """Return what was ever stored, by any writer, whatever retention has removed since."""
        with self._counting:
            return sum_of(self._removed, self._closed, self.segment.tally)

    @property
    def cursor(self) -> LogCursor:
        """From where on the engine has to deliver."""
        whole, tails = self.whole(), self.segment.tails
        out, err = (whole.streams[stream].bytes + whole.streams[stream].missing for stream in STREAMS)
        return LogCursor(
            stdout=out,
            stderr=err,
            first_ns=whole.first_ns,
            last_ns=whole.last_ns,
            stdout_tail=tails[Stream.STDOUT],
            stderr_tail=tails[Stream.STDERR],
        )

    def open_lines(self) -> dict[Stream, bytes]:
        """Return what is stored of the line that each stream is in the middle of: its end, where it is very long."""
        return {stream: tail.rpartition(b"\n")[2] for stream, tail in self.segment.tails.items()}

    def append(self, chunk: LogChunk) -> bytes:
        """Store a chunk; return what has been stored now: less where a secret may begin, more where one did not.

        Raises:
            LogError: The disk took no more; nothing of what it did not take counts as stored.
        """
        self._times[chunk.stream] = chunk.time_ns
        masked = self._maskers[chunk.stream].feed(chunk.data) if self._maskers else Masked(chunk.data)
        return self._admit(Piece(chunk.stream, masked, chunk.time_ns))

    def note_gap(self, gap: LogGap) -> None:
        """Store that bytes are missing; raises as `append` does."""
        with self._explained():
            for record in records_of(gap):
                self.segment.append(record)

    def rewind(self) -> None:
        """Forget what is held back: the stream is read again from the cursor on."""
        for masker in self._maskers.values():
            masker.reset()
        self._rest = None

    def flush(self) -> list[LogChunk]:
        """Store what is held back, for nothing more will come; return what has been stored by it.

        Raises:
            LogError: The disk took no more.
        """
        stored = [
            LogChunk(stream, data, self._times[stream])
            for stream, masker in self._maskers.items()
            if (data := self._admit(Piece(stream, masker.finish(torn=True), self._times[stream])))
        ]
        rest, self._rest = self._rest, None
        for gap in rest.gaps(since_ns=self.segment.tally.last_ns) if rest else ():
            self.note_gap(gap)
        for piece in rest.pieces if rest else ():
            self._store(piece)
            stored.append(LogChunk(piece.stream, piece.masked.data, piece.time_ns))
        return stored

    def _admit(self, piece: Piece) -> bytes:
        """Store what the limit has room for, and keep the end of the rest."""
        whole, room = piece.masked, 0 if self.over_limit else len(piece.masked.data)
        if self._limit is not None:
            room = min(room, max(self._limit - self.kept().charged, 0))
        admitted, rest = (whole, None) if room >= len(whole.data) else whole.split(room)
        self._store(attrs.evolve(piece, masked=admitted))
        if rest is not None:
            self.over_limit = True
            self._rest = self._rest or TailBuffer(self._tail)
            self._rest.add(attrs.evolve(piece, masked=rest))
        return admitted.data

    def _store(self, piece: Piece) -> None:
        data = piece.masked.data
        if not data:
            return
        with self._explained():
            if self.segment.tally.charged >= self._segment_bytes:  # going on failed before
                self._next_segment()
            record = Record(piece.time_ns, piece.stream, Kind.DATA, len(data), len(piece.masked.spans))
            self.segment.append(record, data)
        if (short := self.short) is not None:
            short.append(LogChunk(piece.stream, data, piece.time_ns))
            if len(short) > _MOST_SHORT or self.kept().bytes > self._most_short:
                self.short = None
        if self.segment.tally.charged >= self._segment_bytes:
            with suppress(OSError):  # it is stored: the next chunk will say what is wrong, if it still is
                self._next_segment()

    def _next_segment(self) -> None:
        following = Segment(self.directory, self.segment.number + 1, self.segment)
        following.create()
        self._go_on(following)

    def _go_on(self, following: Segment) -> None:
        if not self.segment.sealed:
            self._unsealed.append(self.segment)  # before the next one takes its place: `sync` misses neither
        with self._counting:
            self._closed.add(self.segment.tally)
            self.segment = following

    def sync(self) -> None:
        """Make safe from a power cut what is stored; raises a `LogError` when the disk failed."""
        with self._explained():
            for segment in (*self._unsealed, self.segment):  # in their order: no hole may be left in the middle
                segment.sync()

    def seal_closed(self) -> list[int]:
        """Seal the segments that the log no longer goes on in; return their numbers.

        Raises:
            LogError: The disk took no more.
        """
        numbers = []
        with self._explained(), self._housekeeping:
            while self._unsealed:
                self._unsealed[0].seal()
                numbers.append(self._unsealed.popleft().number)
        return numbers

    def remove_oldest(self) -> bool:
        """Remove the oldest segment, if it is sealed and the log has not ended; return whether it was.

        Raises:
            LogError: The disk refused.
        """
        with self._explained(), self._housekeeping:
            number = self.removed_segments
            if self._ended or (tally := sealed(self.directory, number)) is None:
                return False
            removed = sum_of(self._removed, tally)
            self.short = None
            remove_segment(self.directory, number, removed)
            with self._counting:
                self._closed.add(tally, sign=-1)
                self._removed, self.removed_segments = removed, number + 1
        return True

    def finish(self, *, complete: bool) -> LogSummary:
        """Seal the log, to which nothing more is added; return counts and hashes, which `end.json` holds too.

        Args:
            complete: Whether the log was read to its end and the exit is known.

        Raises:
            LogError: The disk took no more.
        """
        with self._explained(), self._housekeeping:
            self._ended = True
            if self._unsealed:
                self.seal_closed()
            self.segment.seal(named=False)  # its name comes to the disk with that of the end, which is written next
            summary = self.summary(complete=complete)
            document = {"version": VERSION, "ended_ns": time.time_ns(), **attrs.asdict(summary)}
            write_document(self.directory / END, document)
        return summary

    def summary(self, *, complete: bool) -> LogSummary:
        """Return counts and hashes of what is stored so far.

        Raises:
            LogError: What has to be read again for them, since its beginning is gone, cannot be.
        """
        with self._explained(), self._housekeeping:
            segments = range(self.removed_segments, self.segment.number + 1)
            hashes = {stream: digest.hexdigest() for stream, digest in self.segment.whole.items()}
            if segments.start != self._hashed_from:  # the running ones begin with bytes that are gone
                hashes = {stream: hash_stream(self.directory, stream, segments) for stream in STREAMS}
            return summarise(
                kept=self.kept(),
                removed=self._removed,
                hashes=hashes,
                open_lines={stream: tail[-1:] not in {b"", b"\n"} for stream, tail in self.segment.tails.items()},
                segments=len(segments),
                removed_segments=segments.start,
                complete=complete,
            )

    def close(self) -> None:
        """Close the files until something is stored again; another writer can go on with what is stored."""
        for segment in (*self._unsealed, self.segment):
            segment.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            raise LogError(
                f"cannot write the log in {self.directory}: {said}",
                hint="Free some space, or move the state folder with BOTDOCK_HOME.",
            ) from error
