"""Calls to the API server: what is sent again, what is not, and what is told of what goes wrong."""

from __future__ import annotations

import asyncio
import copy
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from lightkube import KubeConfig
from lightkube.resources.batch_v1 import Job

from botdock.errors import (
    ConfigError,
    ContainerConflictError,
    ContainerError,
    ContainerNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
)
from botdock_engine_kubernetes.cluster import Cluster
from botdock_engine_kubernetes.settings import KubernetesSettings
from testbed.kubernetes_api import CONFIG, JOB, Api, refusal

LONG = 60.0
JOB_DOCUMENT = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": JOB}}


def get(cluster: Cluster, *, repeatable: bool = True, container_id: str = JOB, timeout: float = LONG) -> Job:
    return cluster.call(
        "inspect",
        lambda: cluster.client.get(Job, JOB),
        timeout=timeout,
        container_id=container_id,
        repeatable=repeatable,
    )


def test_not_now_is_obeyed_and_the_call_sent_again(cluster: Cluster, api: Api) -> None:
    api.jobs[JOB] = JOB_DOCUMENT
    api.refusals.extend([refusal(429, "TooManyRequests", **{"Retry-After": "0"}), refusal(503)])
    found = get(cluster, repeatable=False)
    assert found.metadata
    assert found.metadata.name == JOB
    assert len(api.requests) == 3


def test_a_cut_connection_is_tried_again_where_that_does_no_harm(cluster: Cluster, api: Api) -> None:
    api.jobs[JOB] = JOB_DOCUMENT
    api.refusals.append(httpx2.ReadError("cut"))
    assert get(cluster).metadata
    api.refusals.append(httpx2.ReadError("cut"))
    with pytest.raises(EngineUnavailableError, match=r"no answer from the API server .*: cut"):
        get(cluster, repeatable=False)


@pytest.mark.parametrize("error", [httpx2.ConnectError("refused"), httpx2.ConnectTimeout("refused")])
def test_a_connection_that_is_not_made_is_tried_again_and_then_told(
    cluster: Cluster, api: Api, error: Exception
) -> None:
    api.refusals.extend([error] * 10)
    with pytest.raises(EngineUnavailableError, match="refused"):
        get(cluster, repeatable=False)
    assert 1 < len(api.requests) < 10


def test_two_changes_that_met_are_made_one_after_the_other(cluster: Cluster, api: Api) -> None:
    api.jobs[JOB] = JOB_DOCUMENT
    api.refusals.append(refusal(409, "Conflict"))
    assert get(cluster).metadata


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (refusal(404, "NotFound", 'jobs "x" not found'), ContainerNotFoundError, "not found"),
        (refusal(404, "NotFound", 'namespaces "bots" not found'), ContainerError, "namespaces"),
        (refusal(409, "AlreadyExists", "it exists"), ContainerConflictError, "it exists"),
        (refusal(401, "Unauthorized"), EngineUnavailableError, "refuses these credentials"),
        (refusal(403, "Forbidden", 'User "me" cannot get resource'), ContainerError, "cannot get"),
        (refusal(403, "Forbidden", "exceeded quota: bots"), ContainerError, "exceeded quota"),
        (refusal(403, "Forbidden", "violates PodSecurity"), ContainerError, "PodSecurity"),
        (refusal(422, "Invalid", "spec is invalid"), ContainerError, "spec is invalid"),
        (refusal(500, "InternalError", "etcd"), EngineUnavailableError, "refuses for now: etcd"),
        (refusal(504, "Timeout"), EngineTimeoutError, "no answer"),
        (httpx2.Response(502, text="<html>"), EngineUnavailableError, "HTTP status 502"),
        (ssl.SSLError("CERTIFICATE_VERIFY_FAILED"), EngineUnavailableError, "no secure connection"),
        (httpx2.ReadTimeout("slow"), EngineTimeoutError, "no answer"),
    ],
)
def test_what_goes_wrong_is_told_as_what_it_is(
    cluster: Cluster, api: Api, answer: httpx2.Response | Exception, error: type[ContainerError], words: str
) -> None:
    api.refusals.append(answer)
    with pytest.raises(error, match=words) as caught:
        get(cluster, repeatable=False)
    assert type(caught.value) is error
    assert caught.value.engine == "kubernetes"


def test_a_call_ends_with_its_timeout(cluster: Cluster) -> None:
    with pytest.raises(EngineTimeoutError, match=r"no answer from .* within 0\.1 s"):
        cluster.call("inspect", lambda: asyncio.sleep(10 * LONG), timeout=0.1)


def test_a_cluster_that_was_closed_is_opened_by_the_next_call(cluster: Cluster, api: Api) -> None:
    api.jobs[JOB] = JOB_DOCUMENT
    for _ in range(2):
        assert get(cluster).metadata
        cluster.close()
        cluster.close()


def test_a_call_that_a_close_meets_is_told(cluster: Cluster) -> None:
    async def closes() -> None:
        asyncio.get_running_loop().run_in_executor(None, cluster.close)
        await asyncio.sleep(10 * LONG)

    with pytest.raises(EngineUnavailableError, match="closed meanwhile"):
        cluster.call("inspect", closes, timeout=LONG)


def test_a_kubeconfig_that_cannot_be_used_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    absent, broken = tmp_path / "absent", tmp_path / "broken"
    broken.write_text("{")
    for path in (absent, broken):
        with pytest.raises(ConfigError, match=r"options\.kubernetes\.kubeconfig"):
            Cluster.connect(KubernetesSettings(kubeconfig=str(path)))


def test_a_context_without_a_user_is_told(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(
        "contexts: [{name: a, context: {cluster: a}}]\nclusters: [{name: a, cluster: {server: 'https://a'}}]\n"
    )
    with pytest.raises(ConfigError, match="has no user"):
        Cluster.connect(KubernetesSettings(kubeconfig=str(path), context="a"))


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(LONG)
        yield made


def cluster_at(server: socket.socket, scheme: str) -> Cluster:
    config = copy.deepcopy(CONFIG)
    config["clusters"][0]["cluster"]["server"] = f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
    found = KubeConfig.from_dict(config).get()
    assert found
    return Cluster(found, KubernetesSettings())


def test_no_connection_is_left_by_a_close_that_has_no_time(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botdock_engine_kubernetes.cluster.LAST_WAIT", 0.0)
    cluster = cluster_at(server, "http")
    asked = cluster.spawn(lambda: cluster.http.get("/version"))
    connection, _ = server.accept()
    with connection:
        connection.settimeout(LONG)
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        assert asked.result(LONG).json() == {}
        cluster.close()
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""


@pytest.mark.parametrize(
    "ask", [lambda cluster: cluster.http.get("/version"), lambda cluster: cluster.client.get(Job, JOB)]
)
def test_a_connection_is_closed_whose_handshake_is_given_up(
    server: socket.socket, ask: Callable[[Cluster], Coroutine[Any, Any, Any]]
) -> None:
    with closing(cluster_at(server, "https")) as cluster:
        asked = cluster.spawn(lambda: ask(cluster))
        connection, _ = server.accept()
        with connection:
            connection.settimeout(LONG)
            assert connection.recv(65536), "the handshake has begun"
            asked.cancel()
            with suppress(ConnectionResetError):
                assert connection.recv(65536) == b""
