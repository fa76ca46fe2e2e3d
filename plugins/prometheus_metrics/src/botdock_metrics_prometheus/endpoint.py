"""The HTTP endpoint that Prometheus scrapes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATH = "/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PATIENCE = 5.0
"""Seconds that a client may say, or take, nothing."""


class Endpoint:
    """Answers at `/metrics`, each request in a thread, until it is closed; then none of its threads is left.

    Args:
        address: That it listens on.
        port: That it listens on.
        render: Returns what it answers.

    Raises:
        OSError: The port cannot be had.
    """

    def __init__(self, address: str, port: int, render: Callable[[], bytes]) -> None:
        self._server = _server(address, port, render)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="botdock-metrics-http")
        self._thread.daemon = True
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and end the conversations that are under way."""
        self._server.shutdown()
        self._thread.join()
        self._server.end_conversations()
        self._server.server_close()  # and waits for its threads


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them
    request_queue_size = 128

    def __init__(self, address: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._conversations: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((address, port), handler)

    def server_bind(self) -> None:
        """Bind, without asking a name server what this machine is called, as the base would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._conversations.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._conversations.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""

    def end_conversations(self) -> None:
        with self._lock:
            for conversation in self._conversations:
                _hang_up(conversation)


def _hang_up(conversation: socket.socket) -> None:
    try:
        conversation.shutdown(socket.SHUT_RDWR)
    except OSError:  # the client was quicker
        return


def _server(address: str, port: int, render: Callable[[], bytes]) -> _Server:
    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE
        server_version = "botdock"
        sys_version = ""

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != PATH:
                self.send_error(HTTPStatus.NOT_FOUND, explain=f"The metrics are at {PATH}.")
                return
            body = render()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the base looks for it by this name

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name for it
            """Say nothing: stderr is the bot's."""

    return _Server(address, port, Handler)
