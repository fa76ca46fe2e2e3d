"""The log of a container, live or afterwards: its files are the truth, of which the oldest may go meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Lock

from botdock.errors import ContainerError
from botdock.model import LogChunk, LogCursor, LogGap, LogStream, Stream
from botdock.shim._container import ContainerFolder, ring
from botdock.shim._events import Bell
from botdock.shim._process import wait_readable
from botdock.shim._program import files

BLOCK = 1024 * 1024
"""Bytes read at a time; holds any frame whole."""
LOOK_SECONDS = 0.5
"""How often a reader that no shim has answered yet looks whether there will be one."""

_STREAMS = {files.STDOUT: Stream.STDOUT, files.STDERR: Stream.STDERR}


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
        FileNotFoundError: The log is gone.
    """

    def __init__(self, folder: ContainerFolder, *, cursor: LogCursor, follow: bool) -> None:
        self._folder = folder
        self._at = {Stream.STDOUT: cursor.stdout, Stream.STDERR: cursor.stderr}
        self._last_ns = cursor.last_ns
        numbers = self._numbers()
        if not numbers:
            raise FileNotFoundError(folder.path / files.log_name(0))
        self._last = None if follow else numbers[-1]
        self._file: int | None = None
        self._end: int | None = None
        self.lost: Sequence[LogGap] = ()
        self.activity = 0
        self._delivered = self._broken = self._torn = False
        self._open(self._first_needed(numbers) if len(numbers) > 1 else numbers[0])

    def next_chunks(self) -> list[LogChunk]:
        """Return the next chunks; nothing when all that there is has been read, or was to be skipped.

        Raises:
            ContainerError: What would come next is gone: it was not read in time, or damaged.
        """
        while not self._broken:
            following = self._following()  # asked first, so that what is read then is all of this file
            chunks, read = self._read_block()
            self._position += read
            self.activity += read
            if chunks:
                self._delivered, self._last_ns = True, chunks[-1].time_ns
            if read or following is None:
                return chunks
            try:
                self._open(following)
            except FileNotFoundError:  # the container is being removed
                return []
        name = self._folder.path.name
        message = f"what came next in the log of container {name} was removed before it was read, or damaged"
        raise ContainerError(message, operation="read_logs", container_id=name)

    def _read_block(self) -> tuple[list[LogChunk], int]:
        """Return what is new in the whole frames of the next block, and how many bytes of the file these take."""
        if self._torn or self._file is None:
            return [], 0
        length = BLOCK if self._end is None else min(BLOCK, self._end - self._position)
        block = os.pread(self._file, length, self._position)
        if not block and os.fstat(self._file).st_size < self._position:
            self._torn = True  # shortened under us: what is added from now on begins anywhere
        chunks: list[LogChunk] = []
        read, unpack, head, at, passed = 0, files.FRAME.unpack_from, files.FRAME.size, self._at, self._passed
        while len(block) - read >= head:
            time_ns, size, number = unpack(block, read)
            stop = read + head + size
            if stop > len(block) or number not in _STREAMS:
                break
            stream = _STREAMS[number]
            passed[stream] += size
            if (new := passed[stream] - at[stream]) > 0:
                chunks.append(LogChunk(stream, block[stop - new : stop], time_ns))
                at[stream] += new
            read = stop
        return chunks, read

    def check_end(self) -> None:
        """Compare what was found with what the shim has counted, now that the log has ended.

        Raises:
            ContainerError: Something is missing behind what was read; the next reader is told how much.
        """
        counts = (self._folder.record(files.EXIT) or {}).get("logged")
        logged = dict(zip((Stream.STDOUT, Stream.STDERR), counts, strict=True)) if counts else None
        self._miss(self._at if logged is None else logged, 0)
        if logged is None and self._folder.path.is_dir() and not self._broken:  # its shim died: the end is not known
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

    def _first_needed(self, numbers: Sequence[int]) -> int:
        """Return the newest file that does not begin behind the cursor, or the oldest one."""
        for number in reversed(numbers[1:]):
            with suppress(FileNotFoundError):
                self._file = os.open(self._folder.path / files.log_name(number), os.O_RDONLY)
                before, _ = self._begins(number, self._file)
                self.close()
                if all(before[stream] <= at for stream, at in self._at.items()):
                    return number
        return numbers[0]

    def _open(self, number: int) -> None:
        """Go on to a file, or to the oldest one behind it, and note what is gone before its first byte."""
        while True:
            try:
                descriptor = os.open(self._folder.path / files.log_name(number), os.O_RDONLY)
                break
            except FileNotFoundError:
                behind = [other for other in self._numbers() if other > number]
                if not behind:
                    raise
                number = behind[0]
        self.close()
        self._number, self._file = number, descriptor
        before, first_ns = self._begins(number, descriptor)
        self._miss(before, first_ns)
        self._passed, self._position, self._torn = before, files.HEAD.size, False
        self._end = None if self._last is None or number < self._last else os.fstat(descriptor).st_size

    def _begins(self, number: int, descriptor: int) -> tuple[dict[Stream, int], int]:
        """Return how many bytes of each stream were logged before a file, and the time of its first frame or 0.

        One that does not say how many, because it was cut, begins where we are.
        """
        content = os.pread(descriptor, files.HEAD.size + files.FRAME.size, 0)
        head, frame = content[: files.HEAD.size], content[files.HEAD.size :]
        time_ns = int(files.FRAME.unpack(frame)[0]) if len(frame) == files.FRAME.size else 0
        if number == 0:
            return dict.fromkeys(Stream, 0), time_ns
        if len(head) < files.HEAD.size:
            return dict(self._at), time_ns
        return dict(zip(_STREAMS.values(), files.HEAD.unpack(head), strict=True)), time_ns

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

    def _numbers(self) -> list[int]:
        found = (name.removeprefix(files.LOG) for name in os.listdir(self._folder.path) if name.startswith(files.LOG))  # noqa: PTH208 - only names
        return sorted(int(number) for number in found if number.isdecimal())

    def _following(self) -> int | None:
        """Return the number of the file to read after this one, or None while this is the last one."""
        if self._last is not None and self._number >= self._last:
            return None
        for number in (self._number + 1, self._number):
            if (self._folder.path / files.log_name(number)).exists():
                return number if number > self._number else None
        with suppress(FileNotFoundError):  # the container is being removed
            return next((number for number in self._numbers() if number > self._number), None)
        return None


class ShimLogStream(LogStream):
    """The log from a cursor on.

    Args:
        folder: The container.
        cursor: How much of each stream to skip.
        follow: Whether to go on until the container ends.
    """

    ended = False

    def __init__(self, folder: ContainerFolder, *, cursor: LogCursor, follow: bool) -> None:
        self._folder = folder
        self._follow = follow
        self._bell = Bell(folder)
        try:
            self._files = LogFiles(folder, cursor=cursor, follow=follow)
        except OSError:
            self._bell.close()
            raise
        self._reading = Lock()
        self._closing = Lock()
        self._closed = False
        if not follow or folder.log_is_final():
            self._bell.let_go()  # no news will come

    @property
    def lost(self) -> Sequence[LogGap]:
        """What is gone before the first byte: of a bot that may write without an end, only the newest is kept."""
        return self._files.lost

    @property
    def activity(self) -> int:
        """Bytes of the log's files that were read, those that are skipped too."""
        return self._files.activity

    def read(self, timeout: float) -> Sequence[LogChunk]:
        """Return what has come; see `LogStream.read`."""
        deadline = time.monotonic() + timeout
        with self._reading:
            while not (self._closed or self.ended):
                before = self._files.activity
                if chunks := self._look():
                    return chunks
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    break
                if self._files.activity == before:
                    wait_readable(self._bell.descriptor, left if self._bell.connected else min(left, LOOK_SECONDS))
        return []

    def fileno(self) -> int | None:
        """Return the bell's descriptor, which is readable at the end too."""
        return None if self._closed else self._bell.descriptor

    def close(self) -> None:
        """Close everything, once the thread that reads has woken up and left."""
        with self._closing:
            closed, self._closed = self._closed, True
        if not closed:
            ring(self._bell.path, files.RUNG)
            with self._reading:
                self._bell.close()
                self._files.close()

    def _look(self) -> list[LogChunk]:
        if self._follow and self._bell.connected and not wait_readable(self._bell.descriptor, 0.0):
            return []  # nothing has come since it was heard, which is done only where there is nothing more
        before = self._files.activity
        chunks = self._files.next_chunks()
        if self._files.activity != before:
            return chunks  # the bell is left as it is: there may be more
        self._bell.hear()
        final = self._folder.log_is_final()  # asked first, so that what follows is all there is
        chunks = self._files.next_chunks()
        if self._files.activity != before:
            ring(self._bell.path, files.RUNG)  # it came meanwhile, and there may be more
        elif final or not self._follow:
            if final:
                self._files.check_end()
            self.ended = True
            self._bell.let_go()
        return chunks
