"""HTTP with a bound on everything: connecting, waiting, the whole answer, and its size."""

from __future__ import annotations

import http.client
import io
import os
import socket
import ssl
import time
from contextlib import closing, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import certifi
import urllib3
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ProtocolError

from botdock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from urllib3.response import BaseHTTPResponse

LARGEST_ANSWER = 16 * 1024 * 1024
"""Bytes of an answer that is not an object; a page of 1,000 keys of 1,024 bytes, each escaped, is a quarter of it."""
_IDLE_CONNECTIONS = 64
"""Kept for the next request; with more at one time, urllib3 closes the rest of them afterwards."""
_SENT_AT_ONCE = 256 * 1024
"""Bytes. A socket's timeout bounds the whole of what it is given, and a large part may take longer than one wait."""
_BUFFER = 64 * 1024
_ERROR_STATUS = 300


class NotS3Error(Exception):
    """An error that is not in S3's form. Its text may repeat our request, so it is not kept.

    Attributes:
        status: Of HTTP.
        content_type: Of the answer, such as `text/html`.
        wants_tls: Whether it is what Go's servers answer to plain HTTP on a port for TLS.
    """

    def __init__(self, response: BaseHTTPResponse) -> None:
        self.status = response.status
        self.content_type = response.headers.get("content-type", "")[:80]
        self.wants_tls = b"HTTP request to an HTTPS server" in response.data
        super().__init__(f"HTTP status {self.status}, {self.content_type or 'without a type'}")


class Deadline:
    """A moment on the monotonic clock.

    Args:
        timeout: Seconds from now.
        silence: Seconds that the server may neither send nor take a byte.
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
        """Return the seconds to wait for the next byte.

        Raises:
            TimeoutError: It has passed.
        """
        if not (left := self.left):
            raise TimeoutError(f"not done within {self._timeout:g} s")
        return min(self._silence, left)


_CURRENT: ContextVar[Deadline] = ContextVar("botdock_storage_minio_deadline")


@contextmanager
def until(deadline: Deadline) -> Iterator[None]:
    """Bound all that this thread asks for, sends and reads by a deadline."""
    token = _CURRENT.set(deadline)
    try:
        yield
    finally:
        _CURRENT.reset(token)


class Transport(urllib3.PoolManager):
    """Sends requests for `Minio`, once each: `Client` repeats them. The current deadline bounds them.

    Args:
        connect_timeout: Seconds to open a connection.
        context: Checks certificates; None for plain HTTP.
    """

    def __init__(self, *, connect_timeout: float, context: ssl.SSLContext | None) -> None:
        super().__init__(num_pools=8, maxsize=_IDLE_CONNECTIONS, ssl_context=context)
        self.pool_classes_by_scheme = {"http": _BoundedPool, "https": _BoundedTLSPool}
        self._connect_timeout = connect_timeout

    def urlopen(  # type: ignore[override]  # as urllib3 itself does
        self,
        method: str,
        url: str,
        redirect: bool = False,  # noqa: ARG002, FBT001, FBT002 - urllib3's; a signed request fits no other address
        **arguments: Any,
    ) -> BaseHTTPResponse:
        """Send one request, and read the answer, except the body of an object that is asked for as a stream.

        Raises:
            NotS3Error: The answer is an error, and not one in S3's form.
            TimeoutError: The deadline has passed.
        """
        streams = not arguments.pop("preload_content", True)
        wait = _CURRENT.get().wait()
        timeout = urllib3.Timeout(connect=min(self._connect_timeout, wait), read=wait)
        arguments |= {"retries": False, "preload_content": False, "decode_content": False}
        response = super().urlopen(method, url, redirect=False, timeout=timeout, **arguments)
        if streams and response.status < _ERROR_STATUS:
            return response
        whole = _read_whole(response, method)
        kind = whole.headers.get("content-type", "").partition(";")[0].strip()
        is_s3 = kind == "application/xml" and bool(whole.data)
        if whole.status >= _ERROR_STATUS and method != "HEAD" and not is_s3:
            raise NotS3Error(whole)
        return whole


def _read_whole(response: BaseHTTPResponse, method: str) -> BaseHTTPResponse:
    with closing(response):
        data = response.read(LARGEST_ANSWER)
        if response.read(1):
            raise ProtocolError(f"an answer of more than {LARGEST_ANSWER} bytes, which is not an object")
        response.release_conn()
    return urllib3.HTTPResponse(
        body=io.BytesIO(data),
        headers=response.headers,
        status=response.status,
        reason=response.reason,
        request_method=method,
        decode_content=False,
    )


class _BoundedSocket(io.RawIOBase):
    """Reads a socket until the deadline: a timeout of the socket alone would not bound one byte now and then."""

    def __init__(self, plain: io.RawIOBase, sock: socket.socket) -> None:
        self._plain = plain
        self._sock = sock

    def readable(self) -> bool:
        return not self.closed

    def readinto(self, buffer: Any, /) -> int:
        self._sock.settimeout(_CURRENT.get().wait())
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
                self.sock.settimeout(_CURRENT.get().wait())
            super().send(view[start : start + _SENT_AT_ONCE])  # type: ignore[misc] # it stands before a connection


class _BoundedConnection(_Bounded, HTTPConnection):
    response_class = _BoundedResponse  # http.client's, of which urllib3 makes its own


class _BoundedTLSConnection(_Bounded, HTTPSConnection):
    response_class = _BoundedResponse


class _BoundedPool(HTTPConnectionPool):
    ConnectionCls = cast("Any", _BoundedConnection)  # urllib3 declares a protocol that its own class does not meet


class _BoundedTLSPool(HTTPSConnectionPool):
    ConnectionCls = cast("Any", _BoundedTLSConnection)


def trust(cert_file: str) -> ssl.SSLContext:
    """Return a context that checks certificates against `cert_file`, else against SSL_CERT_FILE, else the usual ones.

    The usual ones are those of the system and, for images that have none, those that come with `certifi`.

    Raises:
        ConfigError: The file holds no certificates.
    """
    try:
        context = ssl.create_default_context(cafile=str(Path(cert_file).expanduser()) if cert_file else None)
    except OSError as error:
        raise ConfigError(
            [f"minio.cert_file: {cert_file!r} holds no certificates that can be read: {error}"],
            hint="It must be PEM: one or more blocks that begin with -----BEGIN CERTIFICATE-----.",
        ) from error
    if not cert_file and not os.environ.get("SSL_CERT_FILE"):
        context.load_verify_locations(certifi.where())
    return context
