"""Connections to the daemon: one for each call, whose answer is read as it comes.

No step blocks by itself, neither the connecting nor the handshake of TLS: so the reader says how long it waits, and one
loop can serve the streams of many containers, whatever the daemon does.
"""

from __future__ import annotations

import contextlib
import select
import selectors
import socket
import ssl
import time
from functools import partial
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any, Self, TypeVar

import attrs

from botdock.errors import ContainerError
from botdock_engine_docker.bodies import Answer
from botdock_engine_docker.errors import ERROR_STATUS, explanation, not_taken, refusal, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from botdock_engine_docker.errors import Call

_Result = TypeVar("_Result")

PIECE = 256 * 1024
"""Bytes that are read at once: what a socket holds."""
LARGEST_ERROR = 64 * 1024
"""Bytes that are read of an answer that is an error."""
LARGEST_ANSWER = 256 * 1024 * 1024
"""Bytes of an answer that is read as a whole; a listing of 50,000 containers is smaller."""
QUEUE_PAUSE = 0.01
"""Seconds until a Unix socket is tried again whose queue is full: the kernel tells nothing of it."""


class Deadline:
    """The end of an operation that may take so many seconds, on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left; 0 when it has passed."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.left == 0.0


@attrs.frozen(kw_only=True)
class Route:
    """How the daemon is reached.

    Attributes:
        family: Of sockets.
        address: Of that family.
        timeout: Seconds until a connection has to be there.
        context: For TLS; None for a plain connection.
        host: Whom the daemon's certificate has to name.
    """

    family: int
    address: Any
    timeout: float
    context: ssl.SSLContext | None = None
    host: str = ""


class Wire:
    """One call: the connection, and the bytes of its answer. Read by one thread; another may close it.

    Args:
        connection: Belongs to the wire from now on.
        call: For messages.
        method: Of HTTP.
    """

    def __init__(self, connection: socket.socket, call: Call, *, method: str = "GET") -> None:
        connection.settimeout(0.0)
        self.closed = False
        self.received = 0
        self.events = selectors.EVENT_READ
        """What the descriptor is to be watched for."""
        self._socket = connection
        self._call = call
        self._answer = Answer(method)
        self._refused = b""
        self._reading = Lock()
        self._opening: Iterator[int] | None = None
        self._open_by = Deadline(0.0)
        self._connected = False

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
                data = self._read(PIECE if self._is_refusal else 1, deadline)
                if data is None or deadline.passed:
                    raise self._late()
                self._take(data)

    def receive(self, timeout: float) -> bytes:
        """Return what has come, waiting at most `timeout` seconds; empty for nothing in time, and at the end.

        Raises:
            ContainerError: The connection broke before the end, or the answer is a refusal.
        """
        with self._reading, translated(self._call):
            if self.ended:
                return b""
            data = self._read(PIECE, Deadline(timeout))
            return b"" if data is None else self._take(data)

    def receive_in_time(self, deadline: Deadline, timeout: float = float("inf")) -> bytes:
        """Return what has come, as `receive`, waiting until the deadline, and at most `timeout` seconds.

        Raises:
            ContainerError: The deadline has passed, and not all has come.
        """
        piece = self.receive(min(deadline.left, timeout))
        if deadline.passed and not self.ended:
            with translated(self._call):
                raise self._late()
        return piece

    def receive_all(self, timeout: float) -> bytes:
        """Return all of the answer, in time whatever the pace at which it comes.

        Raises:
            ContainerError: It did not come in time, it is too large, or as of `receive`.
        """
        deadline, pieces, size = Deadline(timeout), list[bytes](), 0
        while not self.ended:
            pieces.append(self.receive_in_time(deadline))
            size += len(pieces[-1])
            if size > LARGEST_ANSWER:
                raise self._call.error(ContainerError, f"an answer of over {LARGEST_ANSWER} bytes")
        return b"".join(pieces)

    def interrupt(self) -> None:
        """Let the connection look as if the other side had closed it; never raises."""
        with contextlib.suppress(OSError):  # it has, or we have
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # TLS' own would take its state from the reader

    def close(self) -> None:
        """Close the connection and wake its reader; never raises."""
        self.closed = True
        self.interrupt()
        with self._reading:  # the reader is awake, and lets go of it
            self._socket.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def open(self, route: Route, request: Iterable[bytes]) -> None:
        """Connect and send a request, as far as that goes at once; whatever reads the answer does the rest."""
        self._opening, self._open_by = self._open(route, request), Deadline(route.timeout)
        self._is_open()

    def _open(self, route: Route, request: Iterable[bytes]) -> Iterator[int]:
        """Connect and send a request; yield what the descriptor is to be watched for wherever that would block."""
        yield from _retried(partial(self._socket.connect, route.address))
        if route.context is not None:
            secure = route.context.wrap_socket(self._socket, server_hostname=route.host, do_handshake_on_connect=False)
            self._socket = secure
            yield from _retried(secure.do_handshake)
        self._connected = True
        try:
            for piece in request:
                left = piece
                while left:
                    left = left[(yield from _retried(partial(self._socket.send, left))) :]
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            pass  # it wants no more of it: the answer says why

    def _is_open(self) -> bool:
        """Go on with the opening; return whether it is done."""
        if self._opening is None:
            return True
        awaited = next(self._opening, None)
        self.events = awaited or selectors.EVENT_READ
        if awaited and self._is_late:
            raise self._late()
        if not awaited:
            self._opening = None
        return not awaited

    def _read(self, size: int, deadline: Deadline) -> bytes | None:
        """Read once; None for nothing in time, or a wire that was closed."""
        while not self.closed:
            try:
                if self._is_open():
                    data = self._socket.recv(size)
                    self.received += len(data)
                    return data
            except (BlockingIOError, ssl.SSLWantReadError):
                pass
            except (OSError, ValueError):
                if not self.closed:  # else that is why
                    raise
            if deadline.passed:
                break
            self._wait(deadline.left)
        return None

    def _wait(self, timeout: float) -> None:
        """Wait until going on may bring something."""
        if self._opening is not None and not self._connected:
            timeout = min(timeout, self._open_by.left)
            if self._socket.family == socket.AF_UNIX:
                return time.sleep(min(timeout, QUEUE_PAUSE))
        poll = select.poll()
        poll.register(self._socket, select.POLLIN if self.events == selectors.EVENT_READ else select.POLLOUT)
        poll.poll(timeout * 1000)
        return None

    @property
    def _is_late(self) -> bool:
        """Whether the connection was not there in time; what is sent over it may take as long as its reader waits."""
        return not self._connected and self._open_by.passed

    def _late(self) -> Exception:
        return TimeoutError() if self._opening is None or self._connected else not_taken(self._call)

    @property
    def _is_refusal(self) -> bool:
        return self._answer.status >= ERROR_STATUS

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


def _retried(step: Callable[[], _Result]) -> Generator[int, None, _Result]:
    """Take a step until it does not block, and return its result; yield what to watch the descriptor for before."""
    while True:
        try:
            return step()
        except ssl.SSLWantReadError:
            yield selectors.EVENT_READ
        except (BlockingIOError, ssl.SSLWantWriteError):
            yield selectors.EVENT_WRITE


def pause(seconds: float, call: Call) -> Wire:
    """Return a connection whose answer comes after so many seconds, and is empty: to wait without blocking."""
    ours, theirs = socket.socketpair()

    def answer() -> None:
        with theirs, contextlib.suppress(OSError):  # the wire is closed already
            theirs.sendall(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")

    timer = Timer(seconds, answer)
    timer.daemon = True
    timer.start()
    return Wire(ours, call)
