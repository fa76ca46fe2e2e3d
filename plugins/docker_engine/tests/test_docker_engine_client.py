"""Calls: each with a timeout of its own, whatever answers."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import ContainerError, EngineTimeoutError, EngineUnavailableError
from botdock_engine_docker.client import DockerClient, path
from botdock_engine_docker.endpoint import Endpoint

SHORT = 0.2


@pytest.fixture
def client(fake_docker: Any) -> DockerClient:
    return DockerClient(Endpoint(url=fake_docker.url, socket=fake_docker.url.removeprefix("unix://")))


def ask(client: DockerClient, target: str = "/thing", *, timeout: float = 10.0) -> Any:
    return client.send(client.about("list", timeout=timeout), "GET", target)


def test_an_answer_is_json(fake_docker: Any, client: DockerClient) -> None:
    fake_docker.says("GET", "/thing", {"a": [1]})
    assert ask(client) == {"a": [1]}


def test_an_empty_answer_is_none(fake_docker: Any, client: DockerClient) -> None:
    fake_docker.on("GET", "/thing", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
    assert ask(client) is None


def test_the_server_is_asked_once(fake_docker: Any, client: DockerClient) -> None:
    fake_docker.says("GET", "/thing", 1)
    ask(client)
    ask(client)
    assert fake_docker.targets("GET") == ["/version", "/thing", "/thing"]


def test_an_answer_that_never_comes_is_a_timeout(fake_docker: Any, client: DockerClient) -> None:
    fake_docker.on("GET", "/thing", fake_docker.STAY)
    with pytest.raises(EngineTimeoutError, match=r"list: no answer from unix:.* within 0.2 s"):
        ask(client, timeout=SHORT)


def test_an_answer_that_stops_in_the_middle_is_a_timeout(fake_docker: Any, client: DockerClient) -> None:
    fake_docker.on("GET", "/thing", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{" + fake_docker.STAY)
    with pytest.raises(EngineTimeoutError):
        ask(client, timeout=SHORT)


def test_an_answer_that_is_cut_off_is_a_broken_connection(fake_docker: Any, client: DockerClient) -> None:
    fake_docker.on("GET", "/thing", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
    with pytest.raises(EngineUnavailableError, match="broke"):
        ask(client)


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH_9\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", b"\x00\xff\r\n"]
)
def test_what_is_not_docker_is_said_so(fake_docker: Any, client: DockerClient, answer: bytes) -> None:
    fake_docker.on("GET", "/version", answer)
    with pytest.raises(EngineUnavailableError, match="does not speak as Docker"):
        ask(client)


def test_a_web_server_is_not_docker(fake_docker: Any, client: DockerClient) -> None:
    fake_docker.says("GET", "/version", {"hello": "world"})
    with pytest.raises(EngineUnavailableError, match="not a Docker engine"):
        ask(client)


def test_a_daemon_that_fails_is_quoted(fake_docker: Any, client: DockerClient) -> None:
    fake_docker.says("GET", "/thing", {"message": "the driver is on fire"}, status=500)
    with pytest.raises(ContainerError, match="the driver is on fire"):
        ask(client)


def test_a_daemon_that_does_not_answer_at_all_is_unavailable(fake_docker: Any, client: DockerClient) -> None:
    fake_docker.on("GET", "/version", fake_docker.STAY)
    with pytest.raises(EngineUnavailableError, match="no answer"):
        ask(client, timeout=SHORT)


@pytest.mark.parametrize(
    ("newest", "oldest", "wanted", "spoken"),
    [
        ("1.41", "1.12", "", "1.41"),
        ("1.51", "1.24", "", "1.51"),
        ("1.99", "1.44", "", "1.51"),
        ("1.99", "1.60", "", "1.60"),
        ("1.47", "1.24", "1.43", "1.43"),
    ],
)
def test_the_newest_version_that_both_speak_is_chosen(
    fake_docker: Any, make_engine: Callable[..., Any], newest: str, oldest: str, wanted: str, spoken: str
) -> None:
    fake_docker.says("GET", "/version", {"ApiVersion": newest, "MinAPIVersion": oldest, "Version": "x"})
    engine = make_engine(fake_docker.url, api_version=wanted)
    assert f"API {spoken}" in engine.capabilities().version
    assert fake_docker.requests[-1].target == f"/v{spoken}/info"


@pytest.mark.parametrize(
    ("newest", "oldest", "wanted", "words"),
    [
        ("1.40", "1.12", "", "too old"),
        ("1.41", "1.12", "1.40", "too old"),
        ("1.47", "1.44", "1.43", "not 1.43"),
        ("1.41", "1.12", "1.45", "not 1.45"),
    ],
)
def test_a_version_that_cannot_be_spoken_is_refused(
    fake_docker: Any, make_engine: Callable[..., Any], newest: str, oldest: str, wanted: str, words: str
) -> None:
    fake_docker.says("GET", "/version", {"ApiVersion": newest, "MinAPIVersion": oldest, "Version": "19.03"})
    with pytest.raises(EngineUnavailableError, match=words) as caught:
        make_engine(fake_docker.url, api_version=wanted).capabilities()
    assert "docker.api_version" in (caught.value.hint or "")


def test_no_socket_says_how_to_start_docker(tmp_path: Path, make_engine: Callable[..., Any]) -> None:
    with pytest.raises(EngineUnavailableError, match="no such socket") as caught:
        make_engine(f"unix://{tmp_path}/absent.sock").capabilities()
    assert "systemctl start docker" in (caught.value.hint or "")


def test_a_socket_of_a_dead_daemon_says_so(tmp_path: Path, make_engine: Callable[..., Any]) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    with pytest.raises(EngineUnavailableError, match="no Docker engine listens"):
        make_engine(f"unix://{tmp_path}/s").capabilities()


def test_a_port_without_a_listener_says_so(make_engine: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for host in ("127.0.0.1", *["[::1]"] * socket.has_dualstack_ipv6()):
        with pytest.raises(EngineUnavailableError, match="no Docker engine listens"):
            make_engine(f"tcp://{host}:{port}").capabilities()


def test_a_path_holds_no_more_than_it_should() -> None:
    assert path("/containers/{}/json", "../images?a=b#c d") == "/containers/..%2Fimages%3Fa%3Db%23c%20d/json"


def test_proxies_of_the_environment_are_not_for_the_engine(
    fake_docker: Any, client: DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    fake_docker.says("GET", "/thing", 1)
    assert ask(client) == 1
