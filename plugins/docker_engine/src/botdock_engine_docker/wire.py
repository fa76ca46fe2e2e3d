"""Connections whose answer is a stream without end: opened here, so that no byte waits in somebody's buffer.

`requests` reads ahead while it looks for the end of the headers, cannot read with a timeout twice, and hides the
socket. A stream of bytes needs none of it: one socket, one request, and the bytes as they come.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from threading import Lock, Timer
from typing import TYPE_CHECKING

from botdock_engine_docker.bodies import Answer
from botdock_engine_docker.deadline import Deadline
from botdock_engine_docker.errors import translated
from botdock_engine_docker.refusals import ERROR_STATUS, explanation, refusal
from botdock_engine_docker.transport import connect_unix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdock_engine_docker.endpoint import Endpoint
    from botdock_engine_docker.refusals import Call

PIECE = 256 * 1024
"""Bytes that are read at once: what a socket holds."""
LARGEST_ERROR = 64 * 1024
"""Bytes that are read of an answer that is an error."""


class Wire:
    """The bytes of one answer. Read by one thread; another may close it."""

    def __init__(self, connection: socket.socket, call: Call) -> None:
        self._socket = connection
        self._call = call
        self._answer = Answer()
        self._refused = b""
        self._reading = Lock()
        self.closed = False
        self.received = 0

    @property
    def ended(self) -> bool:
        """Whether all of the answer has been read."""
        return self._answer.ended

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def begin(self, timeout: float) -> None:
        """Wait for the answer to begin.

        It is read byte by byte until then (some 200, in 0.2 ms), so that what comes afterwards stays in the socket,
        whose descriptor tells of it.

        Raises:
            ContainerError: It did not come in time, or it is a refusal.
        """
        deadline = Deadline(timeout)
        with self._reading, translated(self._call):
            while not self._answer.begun or self._is_refusal:
                data = self._read(PIECE if self._is_refusal else 1, deadline.timeout)
                if data is None or deadline.passed:
                    raise TimeoutError
                self._take(data)

    def receive(self, timeout: float) -> bytes:
        """Return what has come, waiting at most `timeout` seconds; empty for nothing in time, and at the end.

        Raises:
            ContainerError: The connection broke before the end, or the answer is a refusal.
        """
        with self._reading, translated(self._call):
            if self.closed or self.ended:
                return b""
            data = self._read(PIECE, timeout)
            return b"" if data is None else self._take(data)

    def interrupt(self) -> None:
        """Let the connection look as if the other side had closed it; never raises."""
        with contextlib.suppress(OSError):  # the other side has, or we have
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection and wake who reads; never raises."""
        self.closed = True
        self.interrupt()
        with self._reading:  # the reader is awake, and lets go of it
            self._socket.close()

    @property
    def _is_refusal(self) -> bool:
        return self._answer.status >= ERROR_STATUS

    def _read(self, size: int, timeout: float) -> bytes | None:
        self._socket.settimeout(timeout)
        try:
            data = self._socket.recv(size)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            return None
        except (OSError, ValueError):
            if self.closed:  # that is why
                return None
            raise
        self.received += len(data)
        return data

    def _take(self, data: bytes) -> bytes:
        payload = self._answer.feed(data)
        if self._is_refusal:
            self._refused += payload
            if self.ended or not data or len(self._refused) > LARGEST_ERROR:
                raise refusal(self._answer.status, explanation(self._refused), self._call)
            return b""
        if not data and not self.closed:
            self._answer.finish()
        return payload


def pause(seconds: float, call: Call) -> Wire:
    """Return a connection whose answer comes after so many seconds, and is empty: to wait without blocking."""
    ours, theirs = socket.socketpair()

    def answer() -> None:
        with theirs, contextlib.suppress(OSError):  # nobody waits any more
            theirs.sendall(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")

    timer = Timer(seconds, answer)
    timer.daemon = True
    timer.start()
    return Wire(ours, call)


def send_request(endpoint: Endpoint, method: str, target: str, *, headers: Mapping[str, str], call: Call) -> Wire:
    """Make one request on a connection of its own; the answer is waited for by who reads it.

    Raises:
        ContainerError: There is no connection.
    """
    deadline = Deadline(call.timeout)
    with translated(call):
        connection = _connect(endpoint, deadline)
        try:
            connection.settimeout(deadline.timeout)
            connection.sendall(_request(method, target, headers))
        except BaseException:
            connection.close()
            raise
    return Wire(connection, call)


def _connect(endpoint: Endpoint, deadline: Deadline) -> socket.socket:
    if endpoint.socket:
        return connect_unix(endpoint.socket, deadline.timeout)
    connection = socket.create_connection(endpoint.address, timeout=deadline.timeout)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a silent bot is no dead connection
    return _secure(connection, endpoint)


def _secure(connection: socket.socket, endpoint: Endpoint) -> socket.socket:
    if (certificates := endpoint.certificates) is None:
        return connection
    try:
        context = ssl.create_default_context(cafile=certificates.authority)
        if certificates.client:
            context.load_cert_chain(*certificates.client)
        return context.wrap_socket(connection, server_hostname=endpoint.address[0])
    except BaseException:
        connection.close()
        raise


def _request(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: docker", "Content-Length: 0"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()
