"""The log that the daemon keeps of a container, as it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock_engine_docker.client import path
from botdock_engine_docker.lines import NANO

if TYPE_CHECKING:
    from botdock_engine_docker.client import DockerClient
    from botdock_engine_docker.errors import Call
    from botdock_engine_docker.wire import Wire


class KeptLog:
    """Asks for the log of one container, each time on a connection of its own.

    Args:
        client: Speaks to the daemon.
        call: Whose log, and how long an answer may take to begin.
    """

    def __init__(self, client: DockerClient, call: Call) -> None:
        self._client = client
        self._call = call

    def open(self, *, follow: bool) -> Wire:
        """Ask for it from its beginning, and wait for the answer to begin.

        Raises:
            ContainerError: It does not, or it is a refusal.
        """
        return self._client.open(self._call, "GET", self._target(follow=follow, since_ns=0))

    def ask(self, *, follow: bool, since_ns: int) -> Wire:
        """Ask for it from a time on, nanoseconds since the epoch and inclusive, and leave the answer to the reader."""
        return self._client.ask(self._call, "GET", self._target(follow=follow, since_ns=since_ns))

    def _target(self, *, follow: bool, since_ns: int) -> str:
        since = f"&since={since_ns // NANO}.{since_ns % NANO:09}" if since_ns else ""
        log = path("/containers/{}/logs", self._call.container_id or "")
        return f"{log}?stdout=1&stderr=1&timestamps=1&follow={int(follow)}{since}"
