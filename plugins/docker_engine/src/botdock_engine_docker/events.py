"""The ends of all containers, over one connection."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from botdock.errors import ContainerError, EngineUnavailableError
from botdock.model import EngineEvents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdock_engine_docker.client import DockerClient
    from botdock_engine_docker.errors import Call
    from botdock_engine_docker.wire import Wire

BEFORE = 5.0
"""Seconds before now from which on ends are told: the daemon answers a little before it listens itself."""


class Ends(EngineEvents):
    """The events `die` and `destroy` of containers that carry certain labels.

    Args:
        wire: The connection, whose answer has begun.
        call: For messages.
    """

    def __init__(self, wire: Wire, call: Call) -> None:
        self._wire = wire
        self._call = call
        self._rest = b""

    def read(self, timeout: float) -> Sequence[str]:
        """Return the containers that have ended."""
        try:
            data = self._wire.receive(timeout)
            if self._wire.ended and not self._wire.closed:
                raise self._call.error(EngineUnavailableError, "the daemon has ended its events")
            *lines, self._rest = (self._rest + data).split(b"\n")
            return [str(json.loads(line)["Actor"]["ID"]) for line in lines if line.strip()]
        except (ValueError, KeyError, TypeError) as error:
            raise self._call.error(EngineUnavailableError, "an event cannot be read") from error
        except EngineUnavailableError:
            raise
        except ContainerError as error:
            raise self._call.error(EngineUnavailableError, error.message) from error

    def close(self) -> None:
        """Let `read` return."""
        self._wire.close()


def open_events(client: DockerClient, labels: Mapping[str, str], *, timeout: float) -> Ends:
    """Begin to listen.

    Raises:
        ContainerError: The daemon does not answer, or refuses.
    """
    filters = {
        "type": ["container"],
        "event": ["die", "destroy"],
        "label": [f"{name}={value}" for name, value in labels.items()],
    }
    query = urlencode({"since": f"{time.time() - BEFORE:.0f}", "filters": json.dumps(filters)})
    call = client.about("events", timeout=timeout)
    return Ends(client.open(call, "GET", f"/events?{query}"), call)
