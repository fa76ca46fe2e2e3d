"""HTTP over a Unix socket, for `requests`.

docker-py's own leaves a socket behind for each connection that fails, which a wait over a restart of the daemon makes
many of.
"""

from __future__ import annotations

import socket
from typing import Any

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

SCHEME = "http+docker://"
"""What docker-py's addresses begin with for whatever is no TCP."""


def connect_unix(path: str, timeout: float | None) -> socket.socket:
    """Return a connection to a Unix socket; nothing is left where it fails."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


class UnixConnection(HTTPConnection):
    """One connection."""

    def __init__(self, *args: Any, path: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._path = path

    def connect(self) -> None:
        """Connect within the timeout of the request."""
        self.sock = connect_unix(self._path, self.timeout)


class UnixAdapter(HTTPAdapter):
    """Sends what is addressed to `http+docker://` to a Unix socket.

    Args:
        path: Of the socket.
        idle: Connections that are kept for the next call.
    """

    def __init__(self, path: str, *, idle: int) -> None:
        super().__init__()
        self._path = path
        self._idle = idle
        self._pool = self._make_pool()

    def get_connection_with_tls_context(self, *_args: Any, **_kwargs: Any) -> HTTPConnectionPool:
        """Return the only pool there is."""
        return self._pool

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:  # noqa: ARG002 - of the base class
        """Return the path alone."""
        return str(request.path_url)

    def close(self) -> None:
        """Let go of the idle connections; a later request makes new ones."""
        old, self._pool = self._pool, self._make_pool()
        old.close()

    def _make_pool(self) -> HTTPConnectionPool:
        pool = HTTPConnectionPool("docker", maxsize=self._idle, path=self._path)
        pool.ConnectionCls = UnixConnection
        return pool
