"""Every foreign error becomes one of botdock's, and says how to mend it."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from botdock.errors import (
    ConfigError,
    ContainerConflictError,
    ContainerError,
    ContainerNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
    ImageError,
)
from botdock_engine_docker.errors import Call, explanation, refusal, translate, translated

CALL = Call(operation="create", url="unix:///run/d.sock", timeout=7.0, container_id="c1")
IMAGE = Call(operation="ensure_image", url="unix:///run/d.sock", image="bots:1")


def exceptions() -> Iterator[type[Exception]]:
    """Yield every exception that the modules in use define."""
    for module in (http.client, ssl, socket, json):
        for name, value in vars(module).items():
            if isinstance(value, type) and issubclass(value, Exception) and not name.startswith("_"):
                yield value


ARGUMENTS: tuple[tuple[Any, ...], ...] = (("something",), (b"some", 5), ("something", "{", 0))
"""What the exceptions are made of."""


def instance(kind: type[Exception]) -> Exception:
    """Return one of them, however it wants to be made."""
    for arguments in ARGUMENTS:
        with contextlib.suppress(TypeError, AttributeError):
            error = kind(*arguments)
            str(error)
            return error
    raise AssertionError(f"how is {kind} made?")


@pytest.mark.parametrize("kind", sorted(set(exceptions()), key=repr))
def test_no_foreign_error_gets_through(kind: type[Exception]) -> None:
    with pytest.raises(ContainerError) as caught, translated(CALL):
        raise instance(kind)
    assert caught.value.engine == "docker"
    assert caught.value.message.startswith(("docker: create: ", "docker: image "))


def test_botdocks_own_errors_pass_unchanged() -> None:
    error = ConfigError(["a: b"])
    with pytest.raises(ConfigError) as caught, translated(CALL):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("error", "kind", "words", "hint"),
    [
        (FileNotFoundError(2, "no"), EngineUnavailableError, "no such socket", "systemctl start docker"),
        (PermissionError(13, "no"), EngineUnavailableError, "permission denied", "usermod -aG docker"),
        (ConnectionRefusedError(111, "no"), EngineUnavailableError, "listens", "systemctl start docker"),
        (ConnectionResetError(104, "reset"), EngineUnavailableError, "broke", "journalctl"),
        (http.client.RemoteDisconnected("gone"), EngineUnavailableError, "broke: gone", "journalctl"),
        (http.client.BadStatusLine("SSH-2.0"), EngineUnavailableError, "not speak as Docker", "address"),
        (TimeoutError(), EngineTimeoutError, "within 7 s", "call_timeout"),
        (ssl.SSLError(1, "no"), EngineUnavailableError, "no secure", "cert_path"),
        (json.JSONDecodeError("no", "<html>", 0), EngineUnavailableError, "not speak as Docker", "address"),
        (socket.gaierror(-2, "Name or service not known"), EngineUnavailableError, "not found: Name", "address"),
    ],
)
def test_what_a_person_can_mend_says_how(error: Exception, kind: type[Exception], words: str, hint: str) -> None:
    found = translate(error, CALL)
    assert type(found) is kind
    assert words in found.message
    assert hint in (found.hint or "")


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
        ('Head "http://farm:5000/v2/bots/manifests/1": no basic auth credentials', "docker login"),
        ("error parsing HTTP 403 response body: invalid character", "docker login"),
        ("error parsing HTTP 404 response body: invalid character", "Check the name"),
        ("error parsing HTTP 429 response body: invalid character", "Wait"),
        ("filesystem layer verification failed for digest sha256:00", "not what its digest says"),
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
        ("toomanyrequests: slow down", True),
        ("error parsing HTTP 429 response body: invalid character 's'", True),
        ("unexpected status code 502 Bad Gateway", True),
        ('Get "http://farm:5000/v2/": EOF', True),
        ("Client.Timeout exceeded while awaiting headers", True),
        ("context deadline exceeded", True),
        ("image config verification failed for digest sha256:00", False),
        ('Head "http://farm:5000/v2/timeout/manifests/1": no basic auth credentials', False),
        ("dial tcp: lookup farm: no such host", False),
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
