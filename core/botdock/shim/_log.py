"""The log of a container, live or afterwards: its files are the truth, of which the oldest may go meanwhile."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any

from botdock.errors import ContainerError
from botdock.model import LogChunk, LogCursor, LogGap, LogStream, Stream
from botdock.shim._container import ContainerFolder, tell
from botdock.shim._process import is_alive, wait_readable
from botdock.shim._program import files

BLOCK = 1024 * 1024
"""Bytes read at a time; holds any frame whole."""
LOOK_SECONDS = 0.5
"""How often a reader that waits looks by itself: a shim that was killed rings no bell."""

_STREAMS = {files.STDOUT: Stream.STDOUT, files.STDERR: Stream.STDERR}


class ShimLogStream(LogStream):
    """The log from a cursor on, file after file.

    Its bell is a FIFO in the container's folder. The shim rings it when there is news, a removal does, and we do it as
    long as there may be more: so it is readable whenever there is something to look at.

    Args:
        folder: The container.
        cursor: How much of each stream to skip.
        follow: Whether to go on until the container ends.

    Attributes:
        lost: What lies between the cursor and the first byte, or the end, and is gone: of a bot that may write without
            an end, only the newest is kept.
        activity: Bytes of the files that were read, those that are skipped too.

    Raises:
        FileNotFoundError: The log is gone.
    """

    ended = False
    lost: Sequence[LogGap] = ()
    activity = 0

    def __init__(self, folder: ContainerFolder, *, cursor: LogCursor, follow: bool) -> None:
        self._folder, self._follow = folder, follow
        self._shim: Mapping[str, Any] | None = None
        self._at = {Stream.STDOUT: cursor.stdout, Stream.STDERR: cursor.stderr}
        self._last_ns = cursor.last_ns
        self._file: int | None = None
        self._end: int | None = None
        self._delivered = self._broken = self._torn = self._closed = False
        self._reading, self._closing = Lock(), Lock()
        self._path = folder.path / files.BELLS / secrets.token_hex(8)
        hidden = folder.path / self._path.name  # the shim takes down a bell without a listener, so we listen first
        os.mkfifo(hidden, 0o600)
        self._bell = os.open(hidden, os.O_RDWR | os.O_NONBLOCK)  # writing too: so it never ends
        hidden.rename(self._path)
        try:
            self._last = None if follow else max(self._numbers(), default=0)
            self._open(0)
        except OSError:
            self.close()
            raise
        tell(folder.path / files.CONTROL, files.BELL + b"\n")
        self._ring()

    def read(self, timeout: float) -> Sequence[LogChunk]:
        """Return what has come; see `LogStream.read`."""
        deadline = time.monotonic() + timeout
        with self._reading:
            while not (self._closed or self.ended):
                chunks = self._look()
                left = deadline - time.monotonic()
                if chunks or left <= 0:
                    return chunks
                wait_readable(self._bell, min(left, LOOK_SECONDS))
        return []

    def fileno(self) -> int | None:
        """Return the bell's descriptor, which is readable at the end too."""
        return None if self._closed else self._bell

    def close(self) -> None:
        """Close everything, once the thread that reads has woken up and left."""
        with self._closing:
            closed, self._closed = self._closed, True
        if not closed:
            self._ring()
            with self._reading:
                with suppress(OSError):
                    self._path.unlink()
                os.close(self._bell)
                if self._file is not None:
                    os.close(self._file)

    def _ring(self) -> None:
        with suppress(BlockingIOError):  # full: it is heard anyway
            os.write(self._bell, files.RUNG)

    def _look(self) -> list[LogChunk]:
        """Return the next chunks, and note the end."""
        before, chunks = self.activity, self._next_chunks()
        if self.activity == before:
            with suppress(BlockingIOError):
                os.read(self._bell, 65536)
            path = self._folder.path
            shim = self._shim = self._shim or files.read_record(path / files.SHIM)
            lives = is_alive(shim) if shim else path.exists()  # else it was removed before it was started
            is_final = not lives or (path / files.EXIT).exists()
            chunks = self._next_chunks()  # after that was asked: before an end, this is all there is
            if self.activity == before and (is_final or not self._follow):
                if is_final:
                    self._check_end()
                self.ended = True
        if self.ended or self.activity != before:  # there may be more
            self._ring()
        return chunks

    def _next_chunks(self) -> list[LogChunk]:
        """Return the next chunks; nothing when all that there is has been read, or was to be skipped.

        Raises:
            ContainerError: What would come next is gone: it was not read in time, or damaged.
        """
        path = self._folder.path
        while not self._broken:
            this, following = (f"{path}/{files.LOG}{number}" for number in (self._number, self._number + 1))
            goes_on = self._last is None or self._number < self._last
            # asked first, as above
            is_over = goes_on and (os.path.exists(following) or not os.path.exists(this))  # noqa: PTH110 - at each look
            chunks, read = self._read_block()
            if read or not is_over:
                return chunks
            try:
                self._open(self._number + 1)
            except FileNotFoundError:  # the container is being removed
                return []
        message = f"what came next in the log of container {path.name} was removed before it was read, or damaged"
        raise ContainerError(message, operation="read_logs", container_id=path.name)

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
        self._position += read
        self.activity += read
        if chunks:
            self._delivered, self._last_ns = True, chunks[-1].time_ns
        return chunks, read

    def _check_end(self) -> None:
        """Compare what was found with what the shim has counted, now that the log has ended.

        Raises:
            ContainerError: Something is missing behind what was read; the next reader is told how much.
        """
        logged = (files.read_record(self._folder.path / files.EXIT) or {}).get("logged")
        if logged and logged != list(self._at.values()):
            self._miss(dict(zip(self._at, logged, strict=True)), 0)
        elif not logged and self._folder.path.is_dir():  # its shim died: the end is not known
            known = {gap.stream: gap for gap in self.lost}
            self.lost = tuple(
                known.get(stream) or LogGap(stream=stream, size=None, since_ns=self._last_ns, until_ns=self._last_ns)
                for stream in Stream
            )
        if self._broken:
            self._next_chunks()

    def _open(self, number: int) -> None:
        """Go on to a file, or to the oldest one behind it, and note what is gone before its first byte.

        Raises:
            FileNotFoundError: There is none.
        """
        while True:
            try:
                descriptor = os.open(self._folder.path / f"{files.LOG}{number}", os.O_RDONLY)
                break
            except FileNotFoundError:
                behind = [other for other in self._numbers() if other > number]
                if not behind:
                    raise
                number = behind[0]
        if self._file is not None:
            os.close(self._file)
        self._number, self._file = number, descriptor
        self._passed, self._position, self._torn = dict.fromkeys(Stream, 0), files.HEAD.size, False
        if number:  # nothing comes before the first one
            self._passed, first_ns = self._begins(descriptor)
            self._miss(self._passed, first_ns)
        self._end = None if self._last is None or number < self._last else os.fstat(descriptor).st_size

    def _numbers(self) -> list[int]:
        found = (name.removeprefix(files.LOG) for name in os.listdir(self._folder.path) if name.startswith(files.LOG))  # noqa: PTH208 - only names
        return sorted(int(number) for number in found if number.isdecimal())

    def _begins(self, descriptor: int) -> tuple[dict[Stream, int], int]:
        """Return how many bytes of each stream were logged before a file, and the time of its first frame or 0.

        One that does not say how many, because it was cut, begins where we are.
        """
        content = os.pread(descriptor, files.HEAD.size + files.FRAME.size, 0)
        head, frame = content[: files.HEAD.size], content[files.HEAD.size :]
        time_ns = int(files.FRAME.unpack(frame)[0]) if len(frame) == files.FRAME.size else 0
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
