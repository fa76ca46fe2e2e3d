"""The HTTP endpoint that Prometheus scrapes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_PATH = "/metrics"
_TIMEOUT = 5.0
"""Seconds after which a client that sends, or takes, nothing is disconnected; no thread lives longer without one."""


class Endpoint(ThreadingHTTPServer):
    """Answers at `/metrics`, each request in a thread, until it is closed.

    Args:
        address: Address to listen on.
        port: Port to listen on.
        render: Returns the body of an answer.

    Raises:
        OSError: The port cannot be had.
    """

    request_queue_size = 128

    def __init__(self, address: str, port: int, render: Callable[[], bytes]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), _handler(render))
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.05,), name="botdock-metrics-http", daemon=True
        )
        self._thread.start()

    def server_bind(self) -> None:
        """Bind, without asking a name server what this machine is called, as the base would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing about a client that went away: stderr is the bot's."""

    def close(self) -> None:
        """Stop listening."""
        self.shutdown()
        self._thread.join()
        self.server_close()


def _handler(render: Callable[[], bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT
        server_version = "botdock"
        sys_version = ""

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != _PATH:
                self.send_error(HTTPStatus.NOT_FOUND, explain=f"The metrics are at {_PATH}.")
                return
            body = render()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the base looks for it by this name

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name for it
            """Print nothing: stderr is the bot's."""

    return Handler
