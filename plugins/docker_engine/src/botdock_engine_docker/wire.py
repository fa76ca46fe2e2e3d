"""Connections whose answer is a stream without end: opened here, so that no byte waits in somebody's buffer.

`requests` reads ahead while it looks for the end of the headers, cannot read with a timeout twice, and hides the
socket. A stream of bytes needs none of it: one socket, one request, and the bytes as they come.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from threading import Lock
from typing import TYPE_CHECKING

from botdock_engine_docker.bodies import Body, body_of
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
LARGEST_HEAD = 64 * 1024
"""Bytes of the status line and the headers."""
LARGEST_ERROR = 64 * 1024
"""Bytes that are read of an answer that is an error."""
_END_OF_HEAD = b"\r\n\r\n"


class Wire:
    """The bytes of one answer. Read by one thread; another may close it."""

    def __init__(self, connection: socket.socket, body: Body, call: Call) -> None:
        self._socket = connection
        self._body = body
        self._call = call
        self._reading = Lock()
        self.closed = False

    @property
    def ended(self) -> bool:
        """Whether all of the answer has been read."""
        return self._body.ended

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def receive(self, timeout: float) -> bytes:
        """Return what has come, waiting at most `timeout` seconds; empty for nothing in time, and at the end.

        Raises:
            ContainerError: The connection broke before the end.
        """
        with self._reading, translated(self._call):
            if self.closed or self.ended:
                return b""
            if (data := self._read(timeout)) is None:
                return b""
            return self._body.feed(data) if data else self._finish()

    def close(self) -> None:
        """Close the connection and wake who reads; never raises."""
        self.closed = True
        with contextlib.suppress(OSError):  # the other side may have gone
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the reader, who then lets go of the lock
        with self._reading:
            self._socket.close()

    def _read(self, timeout: float) -> bytes | None:
        self._socket.settimeout(timeout)
        try:
            return self._socket.recv(PIECE)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            return None
        except (OSError, ValueError):
            if self.closed:  # that is why
                return None
            raise

    def _finish(self) -> bytes:
        if not self.closed:
            self._body.finish()
        return b""


def open_wire(endpoint: Endpoint, method: str, target: str, *, headers: Mapping[str, str], call: Call) -> Wire:
    """Make one request on a connection of its own, and return the connection once its answer begins.

    Raises:
        ContainerError: Of the kind that fits.
    """
    deadline = Deadline(call.timeout)
    with translated(call):
        connection = _connect(endpoint, deadline)
        try:
            connection.settimeout(deadline.timeout)
            connection.sendall(_request(method, target, headers))
            return _answer(connection, deadline, call)
        except BaseException:
            connection.close()
            raise


def _answer(connection: socket.socket, deadline: Deadline, call: Call) -> Wire:
    status, body = body_of(_read_head(connection, deadline))
    if status >= ERROR_STATUS:
        raise refusal(status, explanation(_read_error(connection, body, deadline)), call)
    return Wire(connection, body, call)


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


def _read_head(connection: socket.socket, deadline: Deadline) -> bytes:
    """Return the status line and headers.

    They are read byte by byte (some 200, in 0.2 ms), so that what comes after them stays in the socket: there it is
    not lost, and the descriptor tells of it.
    """
    head = bytearray()
    while not head.endswith(_END_OF_HEAD):
        if len(head) > LARGEST_HEAD:
            raise ValueError("an answer whose headers do not end")
        connection.settimeout(deadline.timeout)
        if not (byte := connection.recv(1)):
            raise http.client.RemoteDisconnected("it closed the connection without an answer")
        head += byte
    return bytes(head).removesuffix(_END_OF_HEAD)


def _read_error(connection: socket.socket, body: Body, deadline: Deadline) -> bytes:
    data = b""
    while not body.ended and len(data) < LARGEST_ERROR:
        connection.settimeout(deadline.timeout)
        if not (piece := connection.recv(PIECE)):
            break
        data += body.feed(piece)
    return data
