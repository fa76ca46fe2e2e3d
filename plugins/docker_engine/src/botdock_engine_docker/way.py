"""The way to a daemon: a socket of this machine, a port with or without TLS, or a socket that ssh forwards."""

from __future__ import annotations

import socket
import ssl
import time
from functools import cached_property
from typing import TYPE_CHECKING

from botdock_engine_docker.ssh import Tunnel
from botdock_engine_docker.wire import Route

if TYPE_CHECKING:
    from botdock.errors import EngineUnavailableError
    from botdock_engine_docker.endpoint import Endpoint
    from botdock_engine_docker.errors import Call

ROUTE_LIFE = 60.0
"""Seconds until a name is looked up again: another machine may have it."""


class Way:
    """The way to one daemon, for all connections.

    Args:
        endpoint: Where it listens.
        connect_timeout: Seconds until a connection has to be there.
    """

    def __init__(self, endpoint: Endpoint, *, connect_timeout: float) -> None:
        self._endpoint = endpoint
        self._timeout = connect_timeout
        self._tunnel = Tunnel(endpoint.ssh, connect_timeout=connect_timeout) if endpoint.ssh else None
        self._found: tuple[Route | None, float] = (None, 0.0)

    def route(self, call: Call) -> Route:
        """Return how the daemon is reached.

        Raises:
            EngineUnavailableError: ssh does not get there.
            OSError: The name is not found, nothing takes a connection, or the certificates cannot be used.
        """
        if path := self._tunnel.address(call) if self._tunnel else self._endpoint.socket:
            return Route(family=socket.AF_UNIX, address=path, timeout=self._timeout)
        route, found = self._found
        if route is None or time.monotonic() - found > ROUTE_LIFE:
            route = self._look_up()
            self._found = route, time.monotonic()
        return route

    def complaint(self, call: Call) -> EngineUnavailableError | None:
        """Return the error for what ssh has said of a connection, if it has."""
        said = self._tunnel.complaint() if self._tunnel else ""
        return self._tunnel.error(said, call) if self._tunnel and said else None

    def close(self) -> None:
        """Let go of it; never raises."""
        if self._tunnel:
            self._tunnel.close()

    def _look_up(self) -> Route:
        """Return, of the addresses that a name has, the first that takes a connection."""
        context = self._context
        with socket.create_connection(self._endpoint.address, timeout=self._timeout) as connection:
            return Route(
                family=connection.family,
                address=connection.getpeername(),
                timeout=self._timeout,
                context=context,
                host=self._endpoint.address[0],
            )

    @cached_property
    def _context(self) -> ssl.SSLContext | None:
        if (certificates := self._endpoint.certificates) is None:
            return None
        context = ssl.create_default_context(cafile=certificates.authority)
        if certificates.client:
            context.load_cert_chain(*certificates.client, password=_no_password)
        return context


def _no_password() -> str:
    """Answer for a key that has a password: else OpenSSL would ask for it at the terminal, and wait."""
    return ""
