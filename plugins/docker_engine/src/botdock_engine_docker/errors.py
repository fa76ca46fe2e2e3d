"""Every foreign error, as one of botdock's.

An error of Docker, requests, urllib3, http.client, ssl or the operating system becomes a `ContainerError` that says
what was asked of which engine, what went wrong, and how to mend it.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import docker.errors
import requests
import urllib3.exceptions
from docker.credentials.errors import StoreError

from botdock.errors import BotdockError, ContainerError, EngineTimeoutError, EngineUnavailableError
from botdock_engine_docker.frames import FrameError
from botdock_engine_docker.refusals import Call, refusal

FOREIGN = (
    docker.errors.DockerException,
    docker.errors.StreamParseError,
    StoreError,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,  # what is no JSON, no number, no text
)
"""All that speaking to Docker may raise."""

START = "Start it with `sudo systemctl start docker`, or set docker.host (or DOCKER_HOST) to where it listens."
GROUP = (
    "Join its group with `sudo usermod -aG docker $USER` and log in again (the group is as powerful as root), "
    "or run a rootless Docker."
)
TLS = (
    "Set docker.tls_verify = true and docker.cert_path to the folder with ca.pem, cert.pem and key.pem that the "
    "daemon's administrator gave you."
)
NOT_DOCKER = "Is that Docker's address? `curl` it, and mend docker.host (or DOCKER_HOST)."
SLOW = "A daemon under load answers late: `containers.call_timeout` says how long to wait; `docker info` asks it too."
AGAIN = "It may be restarting: `systemctl status docker` and `journalctl -u docker` say more."


@contextmanager
def translated(call: Call) -> Iterator[None]:
    """Raise botdock's errors in place of the foreign ones."""
    try:
        yield
    except BotdockError:
        raise
    except FOREIGN as error:
        raise translate(error, call) from error


def translate(error: BaseException, call: Call) -> ContainerError:
    """Return botdock's error for a foreign one."""
    if isinstance(error, docker.errors.APIError) and error.status_code:
        return refusal(error.status_code, error.explanation or str(error), call)
    for cause in _causes(error):
        for kinds, make in _BY_CAUSE:
            if isinstance(cause, kinds):
                return make(call, cause)
    return call.error(ContainerError, str(error) or type(error).__name__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what is behind an error, the innermost first: that is what a person can mend."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        current = waiting.pop(0)
        if isinstance(current, BaseException) and current not in seen:
            seen.append(current)
            waiting += [*current.args, getattr(current, "reason", None), current.__cause__]
    yield from reversed(seen)


def _absent(call: Call, _cause: BaseException) -> ContainerError:
    return call.error(EngineUnavailableError, f"no Docker engine at {call.url}: there is no such socket", hint=START)


def _denied(call: Call, _cause: BaseException) -> ContainerError:
    return call.error(EngineUnavailableError, f"permission denied at {call.url}", hint=GROUP)


def _refused(call: Call, _cause: BaseException) -> ContainerError:
    return call.error(EngineUnavailableError, f"no Docker engine listens at {call.url}", hint=START)


def _unknown_host(call: Call, cause: BaseException) -> ContainerError:
    problem = f"the host of {call.url} is not found: {cause.args[-1]}"
    return call.error(EngineUnavailableError, problem, hint=NOT_DOCKER)


def _insecure(call: Call, cause: BaseException) -> ContainerError:
    return call.error(EngineUnavailableError, f"no secure connection to {call.url}: {cause}", hint=TLS)


def _slow_connect(call: Call, _cause: BaseException) -> ContainerError:
    problem = f"{call.url} did not take the connection in time"
    return call.error(EngineUnavailableError, problem, hint=START)


def _slow(call: Call, _cause: BaseException) -> ContainerError:
    return call.error(EngineTimeoutError, f"no answer from {call.url} within {round(call.timeout, 1):g} s", hint=SLOW)


def _garbage(call: Call, cause: BaseException) -> ContainerError:
    problem = f"what answers at {call.url} does not speak as Docker does: {str(cause)[:200]}"
    return call.error(EngineUnavailableError, problem, hint=NOT_DOCKER)


def _gone(call: Call, cause: BaseException) -> ContainerError:
    problem = f"the connection to {call.url} broke: {cause or type(cause).__name__}"
    return call.error(EngineUnavailableError, problem, hint=AGAIN)


def _settings(call: Call, cause: BaseException) -> ContainerError:
    return call.error(EngineUnavailableError, str(cause), hint=NOT_DOCKER)


_BY_CAUSE = (
    (FrameError, lambda call, cause: call.error(ContainerError, f"the stream broke: {cause}")),
    (FileNotFoundError, _absent),
    (PermissionError, _denied),
    (ConnectionRefusedError, _refused),
    (socket.gaierror, _unknown_host),
    (ssl.SSLError, _insecure),
    (urllib3.exceptions.ConnectTimeoutError, _slow_connect),
    (TimeoutError, _slow),
    (urllib3.exceptions.TimeoutError, _slow),
    (requests.Timeout, _slow),
    (http.client.RemoteDisconnected, _gone),
    (http.client.IncompleteRead, _gone),
    (http.client.HTTPException, _garbage),
    (docker.errors.TLSParameterError, _insecure),
    (docker.errors.InvalidVersion, _settings),
    (docker.errors.InvalidRepository, lambda call, cause: call.image_error(str(cause))),
    (requests.exceptions.InvalidURL, _settings),
    (requests.ConnectionError, _gone),
    (urllib3.exceptions.HTTPError, _gone),
    (requests.exceptions.ChunkedEncodingError, _gone),
    (requests.exceptions.ContentDecodingError, _garbage),
    (docker.errors.DockerException, lambda call, cause: call.error(ContainerError, str(cause))),
    (ValueError, _garbage),
    (OSError, _gone),
)
"""The first that fits decides; requests' errors are OSErrors, so the particular ones stand before the general."""
