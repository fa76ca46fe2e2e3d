"""`botdock doctor` says who answers, what the account may not, and what stands in the way of bots."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import formatdate
from typing import Any

import httpx2
import pytest
from lightkube import KubeConfig

from botdock.model import Check, CheckStatus
from botdock_engine_kubernetes.checks import look_at, rights
from botdock_engine_kubernetes.cluster import Cluster
from botdock_engine_kubernetes.probing import ensure_policy, server_version
from botdock_engine_kubernetes.settings import KubernetesSettings

URL = "https://cluster.example:6443"
CONFIG = {
    "clusters": [{"name": "c", "cluster": {"server": URL, "insecure-skip-tls-verify": True}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "bots"}}],
    "current-context": "x",
}
NAMESPACE, NODES, QUOTAS = "/api/v1/namespaces/bots", "/api/v1/nodes", "/api/v1/namespaces/bots/resourcequotas"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/bots/networkpolicies"
READY = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
FORBIDDEN = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "you cannot"}
ABSENT = {"kind": "Status", "code": 404, "reason": "NotFound", "message": "not there"}


class Server:
    """An API server that answers what a test says, and allows all but some rights."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.answers: dict[str, dict[str, Any]] = {
            "/version": {"major": "1", "minor": "32", "gitVersion": "v1.32.2"},
            NAMESPACE: {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
            NODES: {"items": [READY]},
            QUOTAS: {"items": []},
        }
        self.refused: set[str] = set()
        self.asked: list[tuple[str, str]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append((request.method, request.url.path))
        if request.url.path == REVIEWS:
            spec = json.loads(request.content)["spec"]["resourceAttributes"]
            assert spec["namespace"] == "bots"
            name = f"{spec['verb']} {spec['resource']}" + (f"/{part}" if (part := spec.get("subresource")) else "")
            return self._answer({"spec": {}, "status": {"allowed": name not in self.refused}})
        return self._answer(self.answers.get(f"{request.method} {request.url.path}") or self.answers[request.url.path])

    def _answer(self, document: Mapping[str, Any]) -> httpx2.Response:
        date = formatdate(time.time() - self.ahead, usegmt=True)
        return httpx2.Response(int(document.get("code", 200)), json=document, headers={"Date": date})


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def cluster(server: Server) -> Iterator[Cluster]:
    config = KubeConfig.from_dict(CONFIG).get()
    assert config
    made = Cluster(config, KubernetesSettings(requests_per_second=10_000), transport=httpx2.MockTransport(server))
    yield made
    made.close()


@pytest.fixture
def found(cluster: Cluster) -> Callable[[], dict[str, Check]]:
    return lambda: {check.name.removeprefix("kubernetes."): check for check in look_at(cluster)}


def test_a_cluster_where_nothing_is_missing_is_told_in_a_line_each(found: Callable[[], dict[str, Check]]) -> None:
    checks = found()
    assert set(checks) == {"engine", "rights", "pod_security", "nodes"}
    assert {check.status for check in checks.values()} == {CheckStatus.OK}
    assert "v1.32.2 at https://cluster.example:6443, namespace bots" in checks["engine"].detail


def test_each_right_that_the_account_lacks_is_told_by_its_name(
    found: Callable[[], dict[str, Check]], server: Server
) -> None:
    for right in (str(right).partition(".")[0] for right in rights()):
        server.refused = {right}
        checks = found()
        check = checks.get("rights") or checks["rights.optional"]
        assert check.status is not CheckStatus.OK
        assert f"may not {right}" in check.detail
        assert "python3 -m botdock_engine_kubernetes" in check.remedy


def test_what_bots_run_without_is_no_failure(found: Callable[[], dict[str, Check]], server: Server) -> None:
    server.refused = {"list events", "create networkpolicies"}
    assert found()["rights.optional"].status is CheckStatus.WARNING


def test_a_kubernetes_that_is_too_old_is_told(found: Callable[[], dict[str, Check]], server: Server) -> None:
    server.answers["/version"] = {"major": "1", "minor": "28+", "gitVersion": "v1.28.9-gke.1"}
    assert found()["engine"].status is CheckStatus.FAILED
    assert "1.29" in found()["engine"].remedy


def test_one_that_botdock_was_not_tried_on_is_told(found: Callable[[], dict[str, Check]], server: Server) -> None:
    server.answers["/version"] = {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
    assert found()["engine"].status is CheckStatus.OK
    assert "tried on 1.32" in found()["engine"].detail


def test_clocks_that_differ_are_told(found: Callable[[], dict[str, Check]], server: Server) -> None:
    server.ahead = 3600
    assert found()["clock"].status is CheckStatus.WARNING


def test_no_node_that_is_ready_is_a_failure(found: Callable[[], dict[str, Check]], server: Server) -> None:
    server.answers[NODES] = {"items": [{**READY, "spec": {"unschedulable": True}}, {"status": {}}]}
    assert found()["nodes"].status is CheckStatus.FAILED
    assert "0 of 2" in found()["nodes"].detail


def test_a_quota_that_is_used_up_is_told(found: Callable[[], dict[str, Check]], server: Server) -> None:
    status = {"hard": {"pods": "10", "requests.cpu": "4"}, "used": {"pods": "10", "requests.cpu": "1"}}
    server.answers[QUOTAS] = {"items": [{"metadata": {"name": "bots"}, "status": status}]}
    assert found()["quota"].status is CheckStatus.WARNING
    assert "pods 10 of 10" in found()["quota"].detail
    status["used"]["pods"] = "3"
    assert found()["quota"].status is CheckStatus.OK


def test_what_the_account_may_not_see_is_left_out(found: Callable[[], dict[str, Check]], server: Server) -> None:
    server.answers |= dict.fromkeys((NAMESPACE, NODES, QUOTAS), FORBIDDEN)
    assert set(found()) == {"engine", "rights"}


def test_a_server_that_does_not_answer_is_one_failure_with_a_hint(
    found: Callable[[], dict[str, Check]], server: Server
) -> None:
    server.answers["/version"] = {"code": 401, "message": "who are you?"}
    (check,) = found().values()
    assert (check.name, check.status) == ("kubernetes.engine", CheckStatus.FAILED)
    assert check.remedy


def test_the_policy_that_denies_all_is_made_once(cluster: Cluster, server: Server) -> None:
    path = f"{POLICIES}/botdock-deny-all"
    server.answers[path] = ABSENT
    server.answers[f"POST {POLICIES}"] = {"metadata": {"uid": "u", "generation": 1}}
    assert ensure_policy(cluster, timeout=60) == "u 1"
    server.answers[path] = {"metadata": {"uid": "u", "generation": 1}}
    assert ensure_policy(cluster, timeout=60) == "u 1"
    assert [method for method, _ in server.asked] == ["GET", "POST", "GET"]


@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_without_the_right_to_it_the_policy_is_left_to_the_operator(
    cluster: Cluster, server: Server, verb: str
) -> None:
    path = f"{POLICIES}/botdock-deny-all"
    server.answers |= {f"GET {path}": FORBIDDEN if verb == "GET" else ABSENT, f"POST {POLICIES}": FORBIDDEN}
    assert ensure_policy(cluster, timeout=60) == ""


def test_the_version_of_the_cluster_is_told(cluster: Cluster) -> None:
    assert server_version(cluster) == "Kubernetes v1.32.2"
