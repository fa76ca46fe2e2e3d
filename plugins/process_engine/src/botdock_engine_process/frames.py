"""Reading the files of a log, of which the oldest may go meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from botdock.errors import ContainerError
from botdock.model import LogChunk, LogCursor, LogGap, Stream
from botdock_engine_process.capabilities import ENGINE
from botdock_engine_process.folder import ContainerFolder
from botdock_engine_process.supervisor import layout

BLOCK = 1024 * 1024
"""Bytes read at a time; holds any frame whole."""

_STREAMS = {layout.STDOUT: Stream.STDOUT, layout.STDERR: Stream.STDERR}


class FrameReader:
    """Reads whole frames from a file, from a cursor on and up to an end, if there is one.

    Args:
        descriptor: The file.
        skip: How many bytes of each stream to skip.
        position: Where its first frame begins, in bytes of the file.
        end: Where to stop, in bytes of the file; None for never.

    Attributes:
        position: Where the next frame begins, in bytes of the file.
    """

    def __init__(self, descriptor: int, *, skip: dict[Stream, int], position: int = 0, end: int | None = None) -> None:
        self.position = position
        self._descriptor = descriptor
        self._skip = skip
        self._end = end
        self._torn = False

    def next_chunks(self) -> list[LogChunk]:
        """Return the chunks of the next block; nothing where all of it is skipped, or no whole frame is left."""
        length = BLOCK if self._end is None else min(BLOCK, self._end - self.position)
        block = b"" if self._torn else os.pread(self._descriptor, length, self.position)
        if not block and os.fstat(self._descriptor).st_size < self.position:
            self._torn = True  # shortened under us: what is added from now on begins anywhere
        chunks: list[LogChunk] = []
        at, unpack, head, skip = 0, layout.FRAME.unpack_from, layout.FRAME.size, self._skip
        while len(block) - at >= head:
            time_ns, size, number = unpack(block, at)
            stop = at + head + size
            if stop > len(block) or number not in _STREAMS:
                break
            stream = _STREAMS[number]
            skipped = min(skip[stream], size)
            if skipped:
                skip[stream] -= skipped
            if skipped < size:
                chunks.append(LogChunk(stream, block[at + head + skipped : stop], time_ns))
            at = stop
        self.position += at
        return chunks


class LogFiles:
    """Reads a log from a cursor on, file after file.

    Args:
        folder: The container.
        cursor: How much of each stream to skip.
        follow: Whether to read what is added, too.

    Attributes:
        lost: What lies between the cursor and the first byte, or the end, and is gone.
        activity: Bytes of the files that were read, those that are skipped too.

    Raises:
        FileNotFoundError: There is no log.
    """

    def __init__(self, folder: ContainerFolder, *, cursor: LogCursor, follow: bool) -> None:
        self._folder = folder
        self._at = {Stream.STDOUT: cursor.stdout, Stream.STDERR: cursor.stderr}
        self._last_ns = cursor.last_ns
        numbers = sorted(self._numbers())
        if not numbers:
            raise FileNotFoundError(folder.file(layout.log_name(0)))
        self._last = None if follow else numbers[-1]
        self._file: int | None = None
        self.lost: Sequence[LogGap] = ()
        self.activity = 0
        self._delivered = self._broken = False
        self._open(self._begin(numbers))

    def next_chunks(self) -> list[LogChunk]:
        """Return the next chunks; nothing when all that there is has been read, or was to be skipped.

        Raises:
            ContainerError: What would come next is gone: it was not read in time, or damaged.
        """
        while not self._broken:
            following = self._following()  # asked first, so that what is read then is all of this file
            before = self._reader.position
            chunks = self._reader.next_chunks()
            self.activity += self._reader.position - before
            for chunk in chunks:
                self._at[chunk.stream] += len(chunk.data)
                self._delivered, self._last_ns = True, chunk.time_ns
            if self._reader.position != before or following is None:
                return chunks
            try:
                self._open(following)
            except FileNotFoundError:  # the container is being removed
                return []
        message = (
            f"what came next in the log of container {self._folder.name} was removed before it was read, or damaged"
        )
        raise ContainerError(message, engine=ENGINE, operation="read_logs", container_id=self._folder.name)

    def check_end(self) -> None:
        """Compare what was found with what the supervisor has counted, now that there is no more.

        Raises:
            ContainerError: Something is missing behind what was read; whoever reads on is told how much.
        """
        logged = self._folder.logged()
        self._miss(self._at if logged is None else logged, 0)
        if logged is None and self._folder.exists() and not self._broken:  # its supervisor died: the end is not known
            unknown = {gap.stream: gap for gap in self.lost}
            self.lost = tuple(
                unknown.get(stream) or LogGap(stream=stream, size=None, since_ns=self._last_ns, until_ns=self._last_ns)
                for stream in Stream
            )
        if self._broken:
            self.next_chunks()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _begin(self, numbers: Sequence[int]) -> int:
        """Return the newest file that does not begin behind the cursor, or the oldest one."""
        for number in reversed(numbers[1:]):
            with suppress(FileNotFoundError):
                descriptor = os.open(self._folder.file(layout.log_name(number)), os.O_RDONLY)
                try:
                    before = self._head(number, descriptor)
                finally:
                    os.close(descriptor)
                if all(before[stream] <= at for stream, at in self._at.items()):
                    return number
        return numbers[0]

    def _open(self, number: int) -> None:
        """Go on to a file, or to the oldest one behind it, and note what is gone before its first byte."""
        number, descriptor = self._oldest_from(number)
        self.close()
        self._number, self._file = number, descriptor
        before = self._head(number, descriptor)
        self._miss(before, _first_time(descriptor))
        self._reader = FrameReader(
            descriptor,
            skip={stream: at - before[stream] for stream, at in self._at.items()},
            position=layout.HEAD.size,
            end=None if self._last is None or number < self._last else os.fstat(descriptor).st_size,
        )

    def _head(self, number: int, descriptor: int) -> dict[Stream, int]:
        """Return how many bytes of each stream were logged before a file; where it does not say, those before us."""
        head = os.pread(descriptor, layout.HEAD.size, 0)
        if number == 0:
            return dict.fromkeys(Stream, 0)
        if len(head) < layout.HEAD.size:
            return dict(self._at)
        return dict(zip(_STREAMS.values(), layout.HEAD.unpack(head), strict=True))

    def _miss(self, until: Mapping[Stream, int], until_ns: int) -> None:
        """Note what is gone up to a place; behind something that was delivered, only the next reader can be told."""
        gaps = {gap.stream: gap for gap in self.lost}
        for stream, at in self._at.items():
            if at >= until[stream]:
                continue
            if self._delivered:
                self._broken = True
                return
            known = gaps.get(stream)
            size = until[stream] - at + ((known.size or 0) if known else 0)
            gaps[stream] = LogGap(stream=stream, size=size, since_ns=self._last_ns, until_ns=until_ns or self._last_ns)
            self._at[stream] = until[stream]
        self.lost = tuple(gaps.values())

    def _oldest_from(self, number: int) -> tuple[int, int]:
        """Return the number and the descriptor of a file, or of the oldest behind it where it is gone."""
        while True:
            try:
                return number, os.open(self._folder.file(layout.log_name(number)), os.O_RDONLY)
            except FileNotFoundError:
                following = self._oldest_behind(number)
                if following is None:
                    raise
                number = following

    def _oldest_behind(self, number: int) -> int | None:
        return min((other for other in self._numbers() if other > number), default=None)

    def _numbers(self) -> Iterator[int]:
        for name in os.listdir(self._folder.path):  # noqa: PTH208 - only names
            number = name.removeprefix(layout.LOG)
            if name.startswith(layout.LOG) and number.isdecimal():
                yield int(number)

    def _following(self) -> int | None:
        """Return the number of the file to read after this one, or None where there is none."""
        if self._last is not None and self._number >= self._last:
            return None
        if self._exists(self._number + 1):
            return self._number + 1
        if self._exists(self._number):
            return None
        try:
            return self._oldest_behind(self._number)
        except FileNotFoundError:  # the container is being removed
            return None

    def _exists(self, number: int) -> bool:
        return self._folder.file(layout.log_name(number)).exists()


def _first_time(descriptor: int) -> int:
    """Return the time of a file's first frame, or 0 where it has none yet."""
    frame = os.pread(descriptor, layout.FRAME.size, layout.HEAD.size)
    return int(layout.FRAME.unpack(frame)[0]) if len(frame) == layout.FRAME.size else 0
