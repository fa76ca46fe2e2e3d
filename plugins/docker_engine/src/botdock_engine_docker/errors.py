"""What went wrong with a call, as one of botdock's errors: what was asked of which engine, and how to mend it.

Docker refuses with an HTTP status and some words; the operating system, ssl and http.client raise errors of their own.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import attrs

from botdock.errors import (
    ContainerConflictError,
    ContainerError,
    ContainerNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
    ImageError,
)
from botdock_engine_docker.frames import FrameError

ENGINE = "docker"
ERROR_STATUS, NOT_FOUND = 400, 404
_SHOWN = 600
"""Characters of the daemon's words that a message repeats."""

_Error = TypeVar("_Error", bound=ContainerError)


@attrs.frozen(kw_only=True)
class Call:
    """What was asked of which engine, for the message when it fails.

    Attributes:
        operation: The method of `Engine`, such as `create`.
        url: Where the engine listens.
        timeout: Seconds that it had.
        container_id: The container it was about, if any.
        image: The image it was about, if any.
    """

    operation: str
    url: str
    timeout: float = 0.0
    container_id: str | None = None
    image: str = ""

    def error(self, kind: type[_Error], problem: str, *, hint: str | None = None) -> _Error:
        """Return an error of a kind that says what went wrong with this call."""
        message = f"{ENGINE}: {self.operation}: {problem[:_SHOWN]}"
        return kind(message, engine=ENGINE, operation=self.operation, container_id=self.container_id, hint=hint)

    def image_error(self, problem: str, *, hint: str | None = None, transient: bool = False) -> ImageError:
        """Return the error that says what went wrong with the image."""
        message = f"{ENGINE}: image {self.image!r}: {problem[:_SHOWN]}"
        return ImageError(message, image=self.image, engine=ENGINE, hint=hint, transient=transient)


@attrs.frozen
class _Rule:
    """What a word in the daemon's answer means."""

    words: str
    error: type[ContainerError]
    hint: str | None
    transient: bool = False


_NAME = "An execution has one container; `docker rm` it if it is a leftover."
_IMAGE = "Check the name; `docker pull` tries it, and runtime.images names another image for a runtime."
_PROGRAM = "The image lacks that program, or may not run it: set runtime.images to an image that has it."
_OLD = "Leave docker.api_version empty, so that the newest version that both sides speak is used."
_DISK = "Free some space: `docker system df` shows what takes it, `docker system prune` removes what is unused."
_NETWORK = "`docker network ls` lists the networks there are; `none` is always there."
_RUNTIME = "Mend docker.runtime, or add the runtime to the daemon: `docker info` lists those it knows."
_MOUNT = "The daemon does not see this file: leave docker.shared_disk unset, so that it is sent to one that does not."
_SECCOMP = (
    "Mend the file that docker.seccomp names, or leave docker.seccomp empty, so that botdock's own profile is used."
)
_INIT = "Install it beside the daemon: `apt install tini`, or Docker's own packages, which bring docker-init."
_WANTS_TLS = (
    "It speaks TLS there: set docker.tls_verify = true, and docker.cert_path to the folder of the certificates."
)
LOGIN = "`docker login` to the registry as the user that runs botdock."
_REGISTRY = "Is the registry reachable from the daemon's machine? `docker pull` shows more."
_DAMAGED = "What came is not what its digest says: the registry, or a proxy on the way, has damaged it."
_LIMIT = "Wait, or `docker login`: registries allow more pulls to those they know."

_RULES = (
    _Rule("no such container", ContainerNotFoundError, None),
    _Rule("no such image", ImageError, _IMAGE),
    _Rule("manifest unknown", ImageError, _IMAGE),
    _Rule("repository does not exist", ImageError, _IMAGE),
    _Rule("invalid reference format", ImageError, _IMAGE),
    _Rule("manifest for", ImageError, _IMAGE),
    _Rule("toomanyrequests", ImageError, _LIMIT, transient=True),
    _Rule("unauthorized", ImageError, LOGIN),
    _Rule("pull access denied", ImageError, LOGIN),
    _Rule("already in use by container", ContainerConflictError, _NAME),
    _Rule("an http request to an https server", EngineUnavailableError, _WANTS_TLS),
    _Rule("conflict: unable to", ContainerConflictError, None),
    _Rule("client version", EngineUnavailableError, _OLD),
    _Rule("no space left on device", ContainerError, _DISK),
    _Rule("bind source path does not exist", ContainerError, _MOUNT),
    _Rule("seccomp", ContainerError, _SECCOMP),
    _Rule("docker-init", ContainerError, _INIT),
    _Rule("runtime specified", ContainerError, _RUNTIME),
    _Rule("unknown or invalid runtime name", ContainerError, _RUNTIME),
    _Rule("unable to start container process: exec:", ContainerError, _PROGRAM),
    _Rule("executable file not found", ContainerError, _PROGRAM),
)
"""The first whose words are in the answer decides; the words are those of Docker 20.10 to 28."""

_PASSING = (
    "timeout",
    "timed out",
    "deadline exceeded",
    "connection refused",
    "connection reset",
    "broken pipe",
    "network is unreachable",
    "no route to host",
    "temporary failure in name resolution",
    "server misbehaving",
    "unexpected http status: 5",
    "internal server error",
    "bad gateway",
    "service unavailable",
    "unexpected eof",
    ": eof",
)
"""What Go, dockerd and containerd say of a registry or a network that may be well again in a moment."""

_IMAGE_RULES = (
    _Rule("no basic auth credentials", ImageError, LOGIN),
    _Rule("verification failed", ImageError, _DAMAGED),
    _Rule("unexpected commit digest", ImageError, _DAMAGED),
    _Rule("http 429", ImageError, _LIMIT, transient=True),
    _Rule("too many requests", ImageError, _LIMIT, transient=True),
    _Rule("http 404", ImageError, _IMAGE),
    _Rule("http 401", ImageError, LOGIN),
    _Rule("http 403", ImageError, LOGIN),
    _Rule("denied", ImageError, LOGIN),
    _Rule("forbidden", ImageError, LOGIN),
    _Rule("no such host", ImageError, _REGISTRY),
    *(_Rule(words, ImageError, _REGISTRY, transient=True) for words in _PASSING),
    _Rule("not found", ImageError, _IMAGE),
)
"""More of them for answers about an image."""

_OF_A_CONTAINER = frozenset({"start", "attach", "inspect", "wait", "stop", "remove", "read_logs", "fetch_result"})
"""Operations on a container: where nothing else is known, a 404 means that it is not there."""


def refusal(status: int, words: str, call: Call) -> ContainerError:
    """Return botdock's error for an answer of `status` that says `words`."""
    lower = words.lower()
    rules = _RULES + _IMAGE_RULES if call.image and call.operation == "ensure_image" else _RULES
    rule = next((rule for rule in rules if rule.words in lower), None) or _by_status(status, lower, call)
    problem = words.strip() or f"HTTP status {status}"
    if rule.error is ImageError or (call.operation == "ensure_image" and rule.error is ContainerError):
        return call.image_error(problem, hint=rule.hint, transient=rule.transient)
    return call.error(rule.error, problem, hint=rule.hint)


def _by_status(status: int, words: str, call: Call) -> _Rule:
    if status == NOT_FOUND and "network" in words:
        return _Rule("", ContainerError, _NETWORK)
    if status == NOT_FOUND and call.operation in _OF_A_CONTAINER:
        return _Rule("", ContainerNotFoundError, None)
    return _Rule("", ContainerError, None)


def explanation(data: bytes) -> str:
    """Return what an answer says that is an error."""
    try:
        return str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        return data.decode("utf-8", "replace").strip()


FOREIGN = (http.client.HTTPException, OSError, ValueError)
"""All that speaking to Docker may raise; a ValueError is what is not JSON, not a number, not text."""

START = "Start it with `sudo systemctl start docker`, or set docker.host (or DOCKER_HOST) to where it listens."
GROUP = (
    "Join its group with `sudo usermod -aG docker $USER` and log in again (the group is as powerful as root), "
    "or run a rootless Docker."
)
TLS = (
    "Set docker.tls_verify = true and docker.cert_path to the folder with ca.pem, cert.pem and key.pem that the "
    "daemon's administrator gave you."
)
_TLS_FAULTS = (
    (
        ("certificate has expired", "not yet valid"),
        "no secure connection to {url}: its certificate is not valid now: {cause}",
        "Let the daemon's administrator renew it; or is this machine's clock wrong?",
    ),
    (
        ("hostname mismatch", "ip address mismatch"),
        "no secure connection to {url}: its certificate is for another name: {cause}",
        "Write into docker.host a name that the certificate has, or let it be made for this one too (subjectAltName).",
    ),
    (
        ("self-signed certificate", "self signed certificate", "local issuer certificate", "first certificate"),
        "no secure connection to {url}: its certificate is from an authority that is not known here: {cause}",
        f"{TLS} Its ca.pem is the authority's.",
    ),
    (
        ("alert",),
        "no secure connection to {url}: it refuses our certificate, or that there is none: {cause}",
        f"{TLS} The authority that the daemon was started with (`--tlscacert`) must have signed its cert.pem.",
    ),
    (
        ("wrong version number", "record layer failure", "packet length too long"),
        "no secure connection to {url}: what listens there does not speak TLS: {cause}",
        "Docker's port for TLS is 2376; without it, any who reach the port have the daemon's machine.",
    ),
    (
        ("mismatch", "decrypt", "password", "pem", "no start line", "crl found", "x509", "asn1"),
        "no secure connection to {url}: the files of docker.cert_path cannot be used: {cause}",
        "ca.pem, cert.pem and key.pem are PEM, the key belongs to the certificate and has no password.",
    ),
)
"""By words of OpenSSL's: what is wrong, and what mends it; the first that fits decides."""
NOT_DOCKER = "Is that Docker's address? `curl` it, and mend docker.host (or DOCKER_HOST)."
SLOW = "A daemon under load answers late: `containers.call_timeout` says how long to wait; `docker info` asks it too."
AGAIN = "It may be restarting: `systemctl status docker` and `journalctl -u docker` say more."


@contextmanager
def translated(call: Call) -> Iterator[None]:
    """Raise botdock's errors in place of the foreign ones."""
    try:
        yield
    except FOREIGN as error:
        raise translate(error, call) from error


def translate(error: BaseException, call: Call) -> ContainerError:
    """Return botdock's error for a foreign one."""
    _, kind, problem, hint = next(fault for fault in _FAULTS if isinstance(error, fault[0]))
    if isinstance(error, ssl.SSLError):
        lower = str(error).lower()
        problem, hint = next(
            (found[1:] for found in _TLS_FAULTS if any(map(lower.__contains__, found[0]))), (problem, hint)
        )
    cause = error.strerror if isinstance(error, socket.gaierror) else error
    words = str(cause)[:200] or type(error).__name__
    return call.error(kind, problem.format(url=call.url, timeout=f"{round(call.timeout, 1):g}", cause=words), hint=hint)


def not_taken(call: Call) -> EngineUnavailableError:
    """Return the error of a daemon that does not take a connection in time."""
    return call.error(EngineUnavailableError, f"{call.url} did not take the connection in time", hint=START)


_BROKEN = EngineUnavailableError, "the connection to {url} broke: {cause}", AGAIN
_FAULTS: tuple[tuple[type[BaseException], type[ContainerError], str, str | None], ...] = (
    (FrameError, ContainerError, "the stream broke: {cause}", None),
    (FileNotFoundError, EngineUnavailableError, "no Docker engine at {url}: there is no such socket", START),
    (PermissionError, EngineUnavailableError, "permission denied at {url}", GROUP),
    (ConnectionRefusedError, EngineUnavailableError, "no Docker engine listens at {url}", START),
    (socket.gaierror, EngineUnavailableError, "the host of {url} is not found: {cause}", NOT_DOCKER),
    (ssl.SSLError, EngineUnavailableError, "no secure connection to {url}: {cause}", TLS),
    (TimeoutError, EngineTimeoutError, "no answer from {url} within {timeout} s", SLOW),
    (http.client.RemoteDisconnected, *_BROKEN),
    (http.client.IncompleteRead, *_BROKEN),
    (OSError, *_BROKEN),
    (BaseException, EngineUnavailableError, "what answers at {url} does not speak as Docker does: {cause}", NOT_DOCKER),
)
"""What each kind of foreign error means, and what mends it; the first that fits decides."""
