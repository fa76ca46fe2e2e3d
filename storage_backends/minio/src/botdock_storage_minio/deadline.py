"""How long a request may take, in all and without a byte; held by every read and write of its connection."""

from __future__ import annotations

import http.client
import io
import socket
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

_SENT_AT_ONCE = 256 * 1024
"""Bytes. A socket's timeout bounds the whole of what it is given, and a large part may take longer than one wait."""
_BUFFER = 64 * 1024


class Deadline:
    """A moment on the monotonic clock.

    Args:
        timeout: Seconds from now.
        silence: Seconds that the other side may neither send nor take a byte.
    """

    def __init__(self, timeout: float, *, silence: float) -> None:
        self._timeout = timeout
        self._silence = silence
        self._end = time.monotonic() + timeout

    @property
    def left(self) -> float:
        """Seconds until then; 0 when it has passed."""
        return max(0.0, self._end - time.monotonic())

    def wait(self) -> float:
        """Return the seconds that may be waited for the next byte.

        Raises:
            TimeoutError: It has passed.
        """
        if not (left := self.left):
            raise TimeoutError(f"not done within {self._timeout:g} s")
        return min(self._silence, left)


_CURRENT: ContextVar[Deadline] = ContextVar("botdock_storage_minio_deadline")


@contextmanager
def until(deadline: Deadline) -> Iterator[None]:
    """Give what this thread asks for, sends and reads until then."""
    token = _CURRENT.set(deadline)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def seconds_left() -> float:
    """Return the seconds that may be waited for the next byte now.

    Raises:
        TimeoutError: The deadline has passed.
    """
    return _CURRENT.get().wait()


class _BoundedSocket(io.RawIOBase):
    """Reads a socket as long as there is time: a byte now and then would else be waited for without an end."""

    def __init__(self, plain: io.RawIOBase, sock: socket.socket) -> None:
        self._plain = plain
        self._sock = sock

    def readable(self) -> bool:
        return not self.closed

    def readinto(self, buffer: Any, /) -> int:
        self._sock.settimeout(seconds_left())
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        self._plain.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        self.fp = io.BufferedReader(_BoundedSocket(self.fp.detach(), sock), _BUFFER)


class _Bounded:
    """What both kinds of connections do otherwise than urllib3's."""

    sock: socket.socket | None

    def send(self, data: Any) -> None:
        view = memoryview(data)
        for start in range(0, len(view), _SENT_AT_ONCE):
            if self.sock is not None:
                self.sock.settimeout(seconds_left())
            super().send(view[start : start + _SENT_AT_ONCE])  # type: ignore[misc] # it stands before a connection


class _BoundedConnection(_Bounded, HTTPConnection):
    response_class = _BoundedResponse  # http.client's, of which urllib3 makes its own


class _BoundedTLSConnection(_Bounded, HTTPSConnection):
    response_class = _BoundedResponse


class BoundedPool(HTTPConnectionPool):
    """Connections that hold the deadline."""

    ConnectionCls = cast("Any", _BoundedConnection)  # urllib3 declares a protocol that its own class does not meet


class BoundedTLSPool(HTTPSConnectionPool):
    """Connections with TLS that hold the deadline."""

    ConnectionCls = cast("Any", _BoundedTLSConnection)
