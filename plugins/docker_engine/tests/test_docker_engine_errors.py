"""Every foreign error becomes one of botdock's, and says how to mend it."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import docker.credentials.errors
import docker.errors
import pytest
import requests
import urllib3.exceptions

from botdock.errors import (
    ConfigError,
    ContainerConflictError,
    ContainerError,
    ContainerNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
    ImageError,
)
from botdock_engine_docker.errors import translate, translated
from botdock_engine_docker.refusals import Call, explanation, refusal

CALL = Call(operation="create", url="unix:///run/d.sock", timeout=7.0, container_id="c1")
IMAGE = Call(operation="ensure_image", url="unix:///run/d.sock", image="bots:1")

MODULES = (docker.errors, docker.credentials.errors, requests.exceptions, urllib3.exceptions, http.client, ssl, socket)


def exceptions() -> Iterator[type[BaseException]]:
    """Yield every exception that the modules in use define."""
    for module in MODULES:
        for value in vars(module).values():
            if not (isinstance(value, type) and issubclass(value, Exception)) or issubclass(value, Warning):
                continue
            if value.__module__.split(".")[0] in {"docker", "requests", "urllib3", "http", "ssl"}:
                yield value


ARGUMENTS: tuple[tuple[Any, ...], ...] = (
    ("something",),
    (b"some", 5),
    (None, "something"),
    ("host", None, OSError("something")),
    ("something", "{", 0),
    ("c1", 1, "true", "bots:1", None),
    (5, 10),
    (urllib3.HTTPResponse(), b"5"),
)
"""What the exceptions are made of."""


def instance(kind: type[BaseException]) -> BaseException:
    """Return one of them, however it wants to be made."""
    for arguments in ARGUMENTS:
        with contextlib.suppress(TypeError, AttributeError):
            error = kind(*arguments)
            str(error)
            return error
    raise AssertionError(f"how is {kind} made?")


LATE = urllib3.exceptions.ReadTimeoutError(None, None, "late")  # type: ignore[arg-type]  # it needs no pool


@pytest.mark.parametrize("kind", sorted(set(exceptions()), key=repr))
def test_no_foreign_error_gets_through(kind: type[BaseException]) -> None:
    with pytest.raises(ContainerError) as caught, translated(CALL):
        raise instance(kind)
    assert caught.value.engine == "docker"
    assert caught.value.message.startswith(("docker: create: ", "docker: image "))


def test_botdocks_own_errors_pass_unchanged() -> None:
    error = ConfigError(["a: b"])
    with pytest.raises(ConfigError) as caught, translated(CALL):
        raise error
    assert caught.value is error


def aborted(cause: Exception) -> requests.ConnectionError:
    """Return what requests makes of a socket's error."""
    return requests.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", cause))


@pytest.mark.parametrize(
    ("error", "kind", "words", "hint"),
    [
        (aborted(FileNotFoundError(2, "no")), EngineUnavailableError, "no such socket", "systemctl start docker"),
        (aborted(PermissionError(13, "no")), EngineUnavailableError, "permission denied", "usermod -aG docker"),
        (aborted(ConnectionRefusedError(111, "no")), EngineUnavailableError, "listens", "systemctl start docker"),
        (aborted(ConnectionResetError(104, "reset")), EngineUnavailableError, "broke", "journalctl"),
        (aborted(http.client.RemoteDisconnected("gone")), EngineUnavailableError, "broke: gone", "journalctl"),
        (aborted(http.client.BadStatusLine("SSH-2.0")), EngineUnavailableError, "not speak as Docker", "address"),
        (requests.ReadTimeout("late"), EngineTimeoutError, "within 7 s", "call_timeout"),
        (
            requests.ConnectionError(LATE),
            EngineTimeoutError,
            "within 7 s",
            "call_timeout",
        ),
        (TimeoutError(), EngineTimeoutError, "within 7 s", "call_timeout"),
        (
            requests.ConnectTimeout(urllib3.exceptions.ConnectTimeoutError("late")),
            EngineUnavailableError,
            "did not take the connection",
            "systemctl",
        ),
        (requests.exceptions.SSLError(ssl.SSLError(1, "no")), EngineUnavailableError, "no secure", "cert_path"),
        (requests.exceptions.JSONDecodeError("no", "<html>", 0), EngineUnavailableError, "not speak", "address"),
        (json.JSONDecodeError("no", "<html>", 0), EngineUnavailableError, "not speak as Docker", "address"),
        (socket.gaierror(-2, "Name or service not known"), EngineUnavailableError, "not found: Name", "address"),
        (docker.errors.InvalidVersion("too old"), EngineUnavailableError, "too old", "address"),
    ],
)
def test_what_a_person_can_mend_says_how(error: Exception, kind: type[Exception], words: str, hint: str) -> None:
    found = translate(error, CALL)
    assert type(found) is kind
    assert words in found.message
    assert hint in (found.hint or "")


def api_error(status: int, words: str) -> docker.errors.APIError:
    response = requests.Response()
    response.status_code = status
    return docker.errors.APIError("no", response, words)


def test_an_answer_of_dockers_is_read() -> None:
    found = translate(api_error(409, 'The container name "/a" is already in use by container "b"'), CALL)
    assert type(found) is ContainerConflictError
    assert "docker rm" in (found.hint or "")


@pytest.mark.parametrize(
    ("status", "words", "kind", "hint"),
    [
        (404, "No such container: c1", ContainerNotFoundError, None),
        (404, "No such image: bots:1", ImageError, "docker pull"),
        (404, "network alpha not found", ContainerError, "docker network ls"),
        (409, "Conflict. The container name is already in use by container x", ContainerConflictError, "docker rm"),
        (409, "container is paused", ContainerError, None),
        (400, "client version 1.99 is too new. Maximum supported", EngineUnavailableError, "api_version"),
        (500, "write /var/lib/docker/x: no space left on device", ContainerError, "docker system df"),
        (400, "invalid mount config: bind source path does not exist: /a", ContainerError, "shared_disk"),
        (400, "Unknown runtime specified runsc", ContainerError, "docker.runtime"),
        (400, "unknown or invalid runtime name: runsc", ContainerError, "docker.runtime"),
        (500, 'exec: "docker-init": executable file not found in $PATH', ContainerError, "tini"),
        (400, 'unable to start container process: exec: "/x": no such file', ContainerError, "runtime.images"),
        (400, "invalid reference format", ImageError, "Check the name"),
        (418, "", ContainerError, None),
    ],
)
def test_the_daemons_words_say_what_it_is(status: int, words: str, kind: type[Exception], hint: str | None) -> None:
    call = Call(operation="create", url="unix:///d", image="bots:1")
    found = refusal(status, words, call)
    assert type(found) is kind
    assert (words or "HTTP status 418") in found.message
    assert (hint in (found.hint or "")) if hint else found.hint is None


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("manifest for bots:1 not found: manifest unknown", "Check the name"),
        ("pull access denied for bots, repository does not exist", "Check the name"),
        ("unauthorized: authentication required", "docker login"),
        ("toomanyrequests: You have reached your pull rate limit", "Wait"),
        ('Get "https://registry/v2/": dial tcp: lookup registry: no such host', "registry reachable"),
        ("net/http: TLS handshake timeout", "registry reachable"),
        ("dial tcp 127.0.0.1:443: connect: connection refused", "registry reachable"),
        ("something new", ""),
    ],
)
def test_a_failed_pull_names_the_image(words: str, hint: str) -> None:
    found = refusal(500, words, IMAGE)
    assert isinstance(found, ImageError)
    assert found.image == "bots:1"
    assert hint in (found.hint or "")


@pytest.mark.parametrize(
    ("words", "transient"),
    [
        ("net/http: TLS handshake timeout", True),
        ("received unexpected HTTP status: 503 Service Unavailable", True),
        ("read: connection reset by peer", True),
        ("pull access denied", False),
        ("manifest unknown", False),
    ],
)
def test_a_registry_that_stumbled_may_be_asked_again(words: str, transient: bool) -> None:
    found = refusal(500, words, IMAGE)
    assert isinstance(found, ImageError)
    assert found.transient is transient


@pytest.mark.parametrize("operation", ["start", "wait", "inspect", "attach", "stop", "remove", "read_logs"])
def test_a_container_that_is_unknown_is_not_found(operation: str) -> None:
    call = Call(operation=operation, url="unix:///d", container_id="c1")
    assert type(refusal(404, "page not found", call)) is ContainerNotFoundError


def test_long_answers_are_cut() -> None:
    assert len(refusal(500, "x" * 100_000, CALL).message) < 1000


@pytest.mark.parametrize(
    ("body", "words"),
    [(b'{"message": "no"}', "no"), (b"<html>", "<html>"), (b"[1]", "[1]"), (b'{"a": 1}', '{"a": 1}'), (b"", "")],
)
def test_the_explanation_is_found_whatever_comes(body: bytes, words: str) -> None:
    assert explanation(body) == words


def test_what_is_a_circle_of_causes_ends() -> None:
    error = requests.ConnectionError("outer")
    error.__cause__ = requests.ConnectionError("inner")
    error.__cause__.__cause__ = error
    assert isinstance(translate(error, CALL), EngineUnavailableError)
