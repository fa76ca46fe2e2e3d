"""Reading the files of a log, of which the oldest may go meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

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
    """

    def __init__(self, descriptor: int, *, skip: dict[Stream, int], position: int = 0, end: int | None = None) -> None:
        self._descriptor = descriptor
        self._skip = skip
        self._position = position
        self._end = end

    def next_chunks(self) -> list[LogChunk]:
        """Return the chunks of the next block that holds any; nothing when no whole frame is left."""
        while frames := self._next_frames():
            if chunks := [chunk for frame in frames if (chunk := self._cut(frame)).data]:
                return chunks
        return []

    def _next_frames(self) -> list[LogChunk]:
        length = BLOCK if self._end is None else min(BLOCK, self._end - self._position)
        block = os.pread(self._descriptor, length, self._position)
        frames: list[LogChunk] = []
        at = 0
        while len(block) - at >= layout.FRAME.size:
            time_ns, size, stream = layout.FRAME.unpack_from(block, at)
            start, stop = at + layout.FRAME.size, at + layout.FRAME.size + size
            if stop > len(block):
                break
            frames.append(LogChunk(_STREAMS[stream], block[start:stop], time_ns))
            at = stop
        self._position += at
        return frames

    def _cut(self, frame: LogChunk) -> LogChunk:
        skipped = min(self._skip[frame.stream], len(frame.data))
        self._skip[frame.stream] -= skipped
        return LogChunk(frame.stream, frame.data[skipped:], frame.time_ns) if skipped else frame


class LogFiles:
    """Reads a log from a cursor on, file after file.

    Args:
        folder: The container.
        cursor: How much of each stream to skip.
        follow: Whether to read what is added, too.

    Attributes:
        lost: What lies between the cursor and the first byte, and is gone.

    Raises:
        FileNotFoundError: There is no log.
    """

    def __init__(self, folder: ContainerFolder, *, cursor: LogCursor, follow: bool) -> None:
        self._folder = folder
        self._at = {Stream.STDOUT: cursor.stdout, Stream.STDERR: cursor.stderr}
        numbers = sorted(self._numbers())
        if not numbers:
            raise FileNotFoundError(folder.file(layout.log_name(0)))
        self._last = None if follow else numbers[-1]
        self._file: int | None = None
        self.lost: Sequence[LogGap] = self._open(numbers[0], since_ns=cursor.last_ns)
        self._broken = False

    def next_chunks(self) -> list[LogChunk]:
        """Return the next chunks; nothing when all that there is has been read.

        Raises:
            ContainerError: What would come next is gone: it was not read in time.
        """
        while not self._broken:
            following = self._following()  # asked first, so that what is read then is all of this file
            if chunks := self._reader.next_chunks():
                for chunk in chunks:
                    self._at[chunk.stream] += len(chunk.data)
                return chunks
            if following is None:
                return []
            try:
                self._broken = bool(self._open(following))
            except FileNotFoundError:  # the container is being removed
                return []
        message = f"what came next in the log of container {self._folder.name} was removed before it was read"
        raise ContainerError(message, engine=ENGINE, operation="read_logs", container_id=self._folder.name)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self, number: int, *, since_ns: int = 0) -> tuple[LogGap, ...]:
        """Go on to a file, or to the oldest one behind it; return what is gone before its first byte."""
        number, descriptor = self._oldest_from(number)
        self.close()
        self._number, self._file = number, descriptor
        before = dict(
            zip(_STREAMS.values(), layout.HEAD.unpack(os.pread(descriptor, layout.HEAD.size, 0)), strict=True)
        )
        until_ns = _first_time(descriptor)
        gaps = tuple(
            LogGap(stream=stream, size=before[stream] - at, since_ns=since_ns, until_ns=until_ns)
            for stream, at in self._at.items()
            if at < before[stream]
        )
        self._at = {stream: max(at, before[stream]) for stream, at in self._at.items()}
        self._reader = FrameReader(
            descriptor,
            skip={stream: at - before[stream] for stream, at in self._at.items()},
            position=layout.HEAD.size,
            end=None if self._last is None or number < self._last else os.fstat(descriptor).st_size,
        )
        return gaps

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
