"""A proxy before a Docker daemon that cuts streams in the middle, as a bad network or a restarted daemon does."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread

from testbed.tcp_proxy import serving

_PIECE = 256 * 1024
_TIMEOUT = 60.0
_END_OF_HEAD = b"\r\n\r\n"


class StreamProxy:
    """Passes every byte on, both ways, but cuts the answers that it was told to cut.

    Args:
        upstream: The daemon's socket.
        folder: Where the proxy's own socket goes; its path must be short, as that of any socket.

    Attributes:
        host: Address of the proxy, such as `unix:///tmp/x/proxy.sock`.
        cuts: How many answers were cut.
    """

    def __init__(self, upstream: Path, folder: Path) -> None:
        path = folder / "proxy.sock"
        self.host = f"unix://{path}"
        self.cuts = 0
        self._upstream = str(upstream)
        self._pattern: re.Pattern[str] | None = None
        self._sizes: Iterator[int] = iter(())
        self._lock = Lock()
        self._connections: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._thread = serving(self._listener, self._serve)

    def cut(self, pattern: str, sizes: Iterator[int]) -> None:
        """Cut the next connections whose request line fits, each after so many bytes of its answer's body."""
        with self._lock:
            self._pattern, self._sizes = re.compile(pattern), sizes

    def close(self) -> None:
        """Cut all that is open, and take no more."""
        with self._lock:
            for connection in (self._listener, *self._connections):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(_TIMEOUT)
        self._listener.close()

    def _serve(self, client: socket.socket) -> None:
        """Pass on what the client sends; once its request is known, another thread passes on the answer."""
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            with self._lock:
                self._connections |= {client, server}
            try:
                server.connect(self._upstream)
                request = client.recv(_PIECE)
                server.sendall(request)
                answering = Thread(target=self._answer, args=(server, client, self._limit(request)), daemon=True)
                answering.start()
                while piece := client.recv(_PIECE):
                    server.sendall(piece)
                with suppress(OSError):
                    server.shutdown(socket.SHUT_WR)
                answering.join()
            finally:
                with self._lock:
                    self._connections -= {client, server}

    def _limit(self, request: bytes) -> int | None:
        """Return after how many bytes of its body the answer to a request is cut, or None for never."""
        line = request.partition(b"\r\n")[0].decode("latin-1")
        with self._lock:
            return next(self._sizes, None) if self._pattern and self._pattern.search(line) else None

    def _answer(self, server: socket.socket, client: socket.socket, limit: int | None) -> None:
        with suppress(OSError):
            if limit is None:
                _pass_on(server, client)
            else:
                _pass_on_until(server, client, limit)
                with self._lock:
                    self.cuts += 1
        for connection in (client, server):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    while piece := source.recv(_PIECE):
        target.sendall(piece)


def _pass_on_until(source: socket.socket, target: socket.socket, limit: int) -> None:
    """Pass on a head and `limit` bytes behind it, or all there is if that is less."""
    head = b""
    while _END_OF_HEAD not in head:
        if not (piece := source.recv(_PIECE)):
            return target.sendall(head)
        head += piece
    end = head.index(_END_OF_HEAD) + len(_END_OF_HEAD) + limit
    target.sendall(head[:end])
    left = end - len(head)
    while left > 0 and (piece := source.recv(min(_PIECE, left))):
        target.sendall(piece)
        left -= len(piece)
    return None
