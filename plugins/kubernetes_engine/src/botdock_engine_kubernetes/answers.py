"""What the API server answers when it is asked for a log, and what it says in place of one."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx2

from botdock_engine_kubernetes.entries import NANO
from botdock_engine_kubernetes.errors import code_of

if TYPE_CHECKING:
    from botdock_engine_kubernetes.cluster import Cluster

ANSWER = 30.0
"""Seconds for the next bytes of a log that is not followed."""
GONE = b"unable to retrieve container logs"
"""The kubelet's words, with status 200, for the log of a container that it has removed."""
CROWDED = b"failed to create fsnotify watcher: too many open files"
"""Its words behind a log, where its node follows as many as `fs.inotify.max_user_instances` allows: 128, mostly."""


class GoneError(Exception):
    """The log is not there any more."""


class CrowdedError(Exception):
    """The log was read as far as it goes; it cannot be followed now."""


async def open_log(cluster: Cluster, pod: str, container: str, *, since_ns: int, follow: bool) -> httpx2.Response:
    """Ask for the log of a container; the caller reads the answer and closes it.

    Args:
        cluster: Of whom.
        pod: The name of the pod.
        container: Which of its containers.
        since_ns: What is older is left out: nanoseconds since the epoch, rounded down to a second; 0 for nothing.
        follow: Whether the answer goes on until the container ends.

    Raises:
        GoneError: The pod is gone.
        httpx2.HTTPError: As the client raises it.
    """
    parameters = {"container": container, "timestamps": "true"}
    if follow:
        parameters["follow"] = "true"
    if since_ns > 0:
        parameters["sinceTime"] = datetime.fromtimestamp(since_ns // NANO, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    timeout = httpx2.Timeout(ANSWER, read=None if follow else ANSWER, pool=None)
    path = f"/api/v1/namespaces/{cluster.namespace}/pods/{pod}/log"

    async def send() -> httpx2.Response:
        request = cluster.http.build_request("GET", path, params=parameters, timeout=timeout)
        answer = await cluster.http.send(request, stream=True)
        if answer.is_error:
            await answer.aread()
            answer.raise_for_status()
        return answer

    try:
        return await cluster.send(send)
    except httpx2.HTTPStatusError as error:
        if code_of(error) == HTTPStatus.NOT_FOUND:
            raise GoneError from error
        raise


def check_words(words: bytes) -> None:
    """Raise what the kubelet's words mean that stand in a log, or nothing.

    Raises:
        GoneError: The log is not there.
        CrowdedError: It cannot be followed now.
    """
    if words.startswith(GONE):
        raise GoneError
    if words.endswith(CROWDED):
        raise CrowdedError
