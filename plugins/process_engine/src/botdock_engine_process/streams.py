"""Reading the log of a container, live or afterwards: the file is the truth, and the bell says when to look."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from threading import Lock

from botdock.model import LogChunk, LogCursor, LogStream, Stream
from botdock_engine_process.bell import Bell
from botdock_engine_process.folder import ContainerFolder
from botdock_engine_process.processes import wait_readable
from botdock_engine_process.supervisor import layout

BLOCK = 1024 * 1024
"""Bytes read at a time; holds any frame whole."""
LOOK_SECONDS = 0.5
"""How often a reader whom no supervisor has answered yet looks whether there will be one."""

_STREAMS = {layout.STDOUT: Stream.STDOUT, layout.STDERR: Stream.STDERR}


class FrameReader:
    """Reads whole frames from the log file, from a cursor on and up to an end, if there is one.

    Args:
        descriptor: The log file.
        cursor: How much of each stream to skip.
        end: Where to stop, in bytes of the file; None for never.
    """

    def __init__(self, descriptor: int, *, cursor: LogCursor, end: int | None = None) -> None:
        self._descriptor = descriptor
        self._skip = {Stream.STDOUT: cursor.stdout, Stream.STDERR: cursor.stderr}
        self._position = 0
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


class FileLogStream(LogStream):
    """The log from a cursor on.

    Args:
        folder: The container.
        cursor: How much of each stream to skip.
        follow: Whether to go on until the container ends.
    """

    def __init__(self, folder: ContainerFolder, *, cursor: LogCursor, follow: bool) -> None:
        self._folder = folder
        self._bell = Bell(folder)
        try:
            self._file = os.open(folder.file(layout.LOG), os.O_RDONLY)
        except OSError:
            self._bell.close()
            raise
        self._reader = FrameReader(self._file, cursor=cursor, end=None if follow else os.fstat(self._file).st_size)
        self._follow = follow
        self._lock = Lock()
        self._reading = False
        self._closed = False
        self._ended = False
        if not follow or folder.log_is_final():
            self._bell.let_go()  # there is nobody to wait for

    @property
    def ended(self) -> bool:
        """Whether the end of the log has been read."""
        return self._ended

    def read(self, timeout: float) -> Sequence[LogChunk]:
        """Return what has come; see `LogStream.read`."""
        if not self._enter():
            return []
        try:
            return self._read(time.monotonic() + timeout)
        finally:
            self._leave()

    def fileno(self) -> int | None:
        """Return the bell's descriptor, which is readable at the end too."""
        return None if self._closed else self._bell.descriptor

    def close(self) -> None:
        """Close everything, or let the thread that is reading do so."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._reading:
                self._bell.ring()
                return
        self._release()

    def _enter(self) -> bool:
        with self._lock:
            self._reading = not self._closed and not self._ended
            return self._reading

    def _leave(self) -> None:
        with self._lock:
            self._reading = False
            closed = self._closed
        if closed:
            self._release()

    def _release(self) -> None:
        self._bell.close()
        os.close(self._file)

    def _read(self, deadline: float) -> list[LogChunk]:
        while True:
            if chunks := self._look():
                return chunks
            left = deadline - time.monotonic()
            if self._ended or self._closed or left <= 0:
                return []
            self._listen(left)

    def _look(self) -> list[LogChunk]:
        if chunks := self._reader.next_chunks():
            return chunks  # the bell is left as it is: there may be more
        self._bell.hear()
        final = not self._follow or self._folder.log_is_final()  # asked first, so that what follows is all there is
        chunks = self._reader.next_chunks()
        if final and not chunks:
            self._ended = True
            self._bell.let_go()
        return chunks

    def _listen(self, left: float) -> None:
        slice_ = left if self._bell.connected else min(left, LOOK_SECONDS)
        wait_readable(self._bell.descriptor, slice_)
