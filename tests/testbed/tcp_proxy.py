"""A proxy before a TCP port that cuts all that goes through it, as a network does that is gone for a moment."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from threading import Lock, Thread

_PIECE = 64 * 1024
_TIMEOUT = 60.0
_RESET = struct.pack("ii", 1, 0)


class TcpProxy:
    """Passes every byte on, both ways, until it is told to cut.

    Args:
        port: Of the loopback, where it leads.

    Attributes:
        url: Its address, such as `tcp://localhost:40123`.
    """

    def __init__(self, port: int) -> None:
        self._upstream = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://localhost:{self._listener.getsockname()[1]}"
        self._lock = Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._thread = serving(self._listener, self._serve)

    def cut(self, *, reset: bool = False) -> int:
        """Cut all connections that are open, in order or by RST; return how many there were."""
        with self._lock:
            pairs = list(self._pairs)
            for pair in pairs:
                for connection in pair:
                    with suppress(OSError):
                        if reset:
                            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                        connection.shutdown(socket.SHUT_RDWR)
        return len(pairs)

    def close(self) -> None:
        """Cut all, and take no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(_TIMEOUT)
        self._listener.close()
        self.cut()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(self._upstream, timeout=_TIMEOUT) as server:
            server.settimeout(None)
            with self._lock:
                self._pairs.add((client, server))
            back = Thread(target=_pass_on, args=(server, client), daemon=True)
            back.start()
            _pass_on(client, server)
            back.join()
            with self._lock:
                self._pairs.discard((client, server))


def serving(listener: socket.socket, serve: Callable[[socket.socket], object]) -> Thread:
    """Serve each connection in a thread of its own, until the listener is shut down; return the thread that accepts."""

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            Thread(target=serve, args=(client,), name="proxy-connection", daemon=True).start()

    thread = Thread(target=accept, name="proxy", daemon=True)
    thread.start()
    return thread


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
