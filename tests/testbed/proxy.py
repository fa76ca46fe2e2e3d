"""An HTTP proxy on loopback that does to requests and answers what networks and tired servers do to them."""

from __future__ import annotations

import http.client
import re
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread
from typing import BinaryIO

import attrs

_PIECE = 64 * 1024
_TRICKLE = 16 * 1024
_TIMEOUT = 60.0
_HANDSHAKE = b"\x16"
"""Begins what a client sends that wants TLS."""


@attrs.frozen(kw_only=True)
class Fault:
    """What happens to a request that fits; what is not set does not happen.

    Attributes:
        method: Of the requests that fit; empty for any.
        target: Pattern that is searched for in the path and query of those that fit.
        times: How many requests it happens to.
        refuse: Cut the connection before anything is read of the body, or sent on.
        cut_request: Cut the connection after that many bytes of the request's body.
        flip_request: Change one bit of the request's body on the way.
        status: Answer with this status, without asking the server.
        body: Of that answer.
        content_type: Of that answer.
        headers: Of that answer, more of them.
        hang: Never answer.
        drip: Send the head of an answer, without an end, one byte at a time with this many seconds between them.
        lose_answer: Let the server do it, and cut the connection before the first byte of its answer.
        cut_answer: Close the connection after that many bytes of the answer's body.
        reset_answer: Reset the connection after that many bytes of the answer's body.
        stall_answer: Send nothing more after that many bytes of the answer's body.
        flip_answer: Change one bit of the answer's body on the way.
        trickle: Send the answer's body in pieces of 16 KiB, with this many seconds between them.
        short_answer: Send that many bytes of the answer's body as if they were all, with status 200.
        shrink_answer: The same, under the status and the `Content-Range` that the server sent.
    """

    method: str = ""
    target: str = ""
    times: int = 1
    refuse: bool = False
    cut_request: int | None = None
    flip_request: bool = False
    status: int = 0
    body: bytes = b""
    content_type: str = "text/plain"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    hang: bool = False
    drip: float = 0.0
    lose_answer: bool = False
    cut_answer: int | None = None
    reset_answer: int | None = None
    stall_answer: int | None = None
    flip_answer: bool = False
    trickle: float = 0.0
    short_answer: int | None = None
    shrink_answer: int | None = None


class CutError(Exception):
    """The connection was reset on purpose."""


class ClosedError(Exception):
    """The connection was closed on purpose, in order, so that what was sent before still arrives."""


@attrs.define
class _Request:
    method: str
    target: str
    head: bytes
    length: int


class FaultProxy:
    """Stands before a server, and lets everything through but for the faults it was told of.

    Args:
        upstream: `host:port` of the server.
        port: Where it listens; 0 for any that is free.
    """

    def __init__(self, upstream: str, *, port: int = 0) -> None:
        host, _, number = upstream.rpartition(":")
        self._upstream = (host, int(number))
        self._listener = socket.create_server(("127.0.0.1", port))
        self.endpoint = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.seen: list[str] = []
        self._faults: list[list[Fault]] = []
        self._lock = Lock()
        self._closing = Event()
        self._connections: set[socket.socket] = set()
        self._threads = [Thread(target=self._accept)]
        self._threads[0].start()

    def inject(self, fault: Fault) -> None:
        """Let a fault happen to the next requests that fit."""
        with self._lock:
            self._faults.append([fault] * fault.times)

    @property
    def left(self) -> int:
        """How many faults have not happened yet."""
        return sum(map(len, self._faults))

    def count(self, pattern: str) -> int:
        """Return how many requests, as `METHOD target`, fit a pattern."""
        return sum(re.search(pattern, line) is not None for line in self.seen)

    def close(self) -> None:
        """Cut all connections, and end the threads."""
        self._closing.set()
        with self._lock:
            for connection in [self._listener, *self._connections]:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_TIMEOUT)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(_TIMEOUT)
        with self._lock:
            self._connections.add(connection)
        with connection, connection.makefile("rb") as incoming:
            try:
                if incoming.peek(1)[:1] == _HANDSHAKE:  # as Docker tries first; it speaks HTTP when told
                    connection.sendall(_head(400, {"Connection": "close"}, 0))
                    return
                while (request := _read_request(incoming)) and not self._closing.is_set():
                    self._exchange(connection, incoming, request)
            except CutError:
                _reset(connection)
            except (OSError, ClosedError):
                pass  # either side has gone
        with self._lock:
            self._connections.discard(connection)

    def _exchange(self, connection: socket.socket, incoming: BinaryIO, request: _Request) -> None:
        fault = self._next(request)
        if fault.refuse:
            raise CutError
        if fault.hang:
            self._closing.wait(_TIMEOUT)
            raise CutError
        if fault.status:
            incoming.read(request.length)
            headers = {"Content-Type": fault.content_type, **fault.headers}
            connection.sendall(_head(fault.status, headers, len(fault.body)) + fault.body)
            return
        with self._asked(incoming, request, fault) as answer:
            if fault.lose_answer:
                answer.read()
                raise CutError
            if fault.drip:
                self._drip(connection, fault.drip)
            self._pass_on(connection, answer, request, fault)

    def _drip(self, connection: socket.socket, seconds: float) -> None:
        for byte in _head(200, {"X-Filler": "x" * 10_000}, 0):
            connection.sendall(bytes([byte]))
            if self._closing.wait(seconds):
                raise CutError

    def _pass_on(
        self, connection: socket.socket, answer: http.client.HTTPResponse, request: _Request, fault: Fault
    ) -> None:
        headers = {name: value for name, value in answer.getheaders() if name.lower() != "transfer-encoding"}
        length = int(headers.pop("Content-Length", -1))
        piece = _TRICKLE if fault.trickle else _PIECE
        body: Iterator[bytes] = iter(lambda: answer.read(piece), b"")
        if request.method == "HEAD":
            body = iter(())
        elif length < 0:  # it came in chunks
            whole = answer.read()
            body, length = iter([whole] if whole else []), len(whole)
        status, limit = answer.status, None
        if fault.short_answer is not None or fault.shrink_answer is not None:
            limit = fault.short_answer if fault.short_answer is not None else fault.shrink_answer or 0
            limit = length = min(length, limit)
        if fault.short_answer is not None:
            status = 200
            headers = {name: value for name, value in headers.items() if name.lower() != "content-range"}
        connection.sendall(_head(status, headers, max(length, 0)))
        self._send_answer(connection, body, limit, fault)

    def _send_answer(self, connection: socket.socket, body: Iterator[bytes], limit: int | None, fault: Fault) -> None:
        sent = 0
        ends = [end for end in (fault.cut_answer, fault.reset_answer, fault.stall_answer) if end is not None]
        for piece in body:
            bound = min([len(piece), *(end - sent for end in ends), *([] if limit is None else [limit - sent])])
            data = piece[:bound]
            if fault.flip_answer and not sent and data:
                data = bytes([data[0] ^ 1]) + data[1:]
            connection.sendall(data)
            sent += bound
            if fault.trickle and self._closing.wait(fault.trickle):
                raise CutError
            if sent in ends:
                self._break_off(fault)

    def _break_off(self, fault: Fault) -> None:
        """End the answer in the way that the fault says."""
        if fault.stall_answer is not None:
            self._closing.wait(_TIMEOUT)
        if fault.cut_answer is not None:
            raise ClosedError
        raise CutError

    def _next(self, request: _Request) -> Fault:
        line = f"{request.method} {request.target}"
        with self._lock:
            self.seen.append(line)
            for waiting in self._faults:
                if waiting and waiting[0].method in {"", request.method} and re.search(waiting[0].target, line):
                    return waiting.pop()
        return Fault()

    @contextmanager
    def _asked(self, incoming: BinaryIO, request: _Request, fault: Fault) -> Iterator[http.client.HTTPResponse]:
        with socket.create_connection(self._upstream, timeout=_TIMEOUT) as server:
            server.sendall(request.head)
            _send_body(server, incoming, request.length, fault)
            answer = http.client.HTTPResponse(server, method=request.method)
            try:
                answer.begin()
                yield answer
            finally:
                answer.close()


def _read_request(incoming: BinaryIO) -> _Request | None:
    lines = []
    while (line := incoming.readline()) not in {b"", b"\r\n"}:
        lines.append(line)
    if not lines:
        return None
    method, target, _ = lines[0].decode().split()
    headers = dict(line.decode().lower().rstrip().split(": ", 1) for line in lines[1:] if b": " in line)
    length = int(headers.get("content-length", 0))
    return _Request(method=method, target=target, head=b"".join([*lines, b"\r\n"]), length=length)


def _send_body(server: socket.socket, incoming: BinaryIO, length: int, fault: Fault) -> None:
    sent = 0
    while sent < length:
        if fault.cut_request is not None and sent >= fault.cut_request:
            raise CutError
        end = length if fault.cut_request is None else min(length, fault.cut_request)
        piece = incoming.read(min(_PIECE, end - sent))
        if not piece:
            raise CutError
        if fault.flip_request and not sent:
            piece = bytes([piece[0] ^ 1]) + piece[1:]
        server.sendall(piece)
        sent += len(piece)


def _head(status: int, headers: dict[str, str], length: int) -> bytes:
    phrase = http.client.responses.get(status, "Status")
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode("latin-1")


def _reset(connection: socket.socket) -> None:
    """Let the kernel send RST in place of FIN, as a crashed machine would."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
