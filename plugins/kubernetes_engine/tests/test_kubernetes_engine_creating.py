"""The creation and the removal of a container, as calls to an API server in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from botdock.errors import ContainerError, ImageError
from botdock.model import ContainerHandle
from botdock_engine_kubernetes.cluster import Cluster
from botdock_engine_kubernetes.engine import KubernetesEngine
from botdock_engine_kubernetes.settings import KubernetesSettings
from botdock_testing.engine import Asked, asked
from testbed.kubernetes_api import JOB, RUNNING, Api, ended, pod, refusal

CALL = 60.0


def job(name: str = JOB) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": "u"}, "spec": {"template": {"spec": {"containers": []}}}}


def answers(*documents: dict[str, Any]) -> list[httpx2.Response]:
    return [httpx2.Response(200, json=document) for document in documents]


def listed(*names: str) -> dict[str, Any]:
    return {"kind": "JobList", "metadata": {}, "items": [job(name) for name in names]}


@pytest.fixture
def settings() -> KubernetesSettings:
    """Of two user ids."""
    return KubernetesSettings(requests_per_second=10_000, users="2000000:2")


@pytest.fixture
def engine(cluster: Cluster, settings: KubernetesSettings, tmp_path: Path) -> KubernetesEngine:
    return KubernetesEngine(cluster, settings, home=tmp_path, image="i")


@pytest.fixture
def wanted(tmp_path: Path) -> Asked:
    (tmp_path / "empty").mkdir()
    (tmp_path / "result").touch()
    return asked(tmp_path / "empty", name=JOB, result=str(tmp_path / "result"))


def test_a_user_id_that_another_runner_picked_at_once_is_given_back(
    engine: KubernetesEngine, api: Api, wanted: Asked
) -> None:
    both, alone = listed(JOB, "another"), listed(JOB)
    api.refusals.extend(answers(job(), both, {}, job(), alone, {}))
    assert engine.create(*wanted, timeout=CALL).id == JOB
    jobs, secrets = "/apis/batch/v1/namespaces/bots/jobs", "/api/v1/namespaces/bots/secrets"
    first = [f"POST {jobs}", f"GET {jobs}"]
    assert api.requests == [*first, f"DELETE {jobs}/{JOB}", *first, f"POST {secrets}"]


def test_no_user_id_is_given_twice_and_nothing_is_left_where_all_are_taken(
    engine: KubernetesEngine, api: Api, wanted: Asked
) -> None:
    both = listed(JOB, "another")
    api.refusals.extend(answers(job(), both, {}, job(), both, {}))
    with pytest.raises(ContainerError, match="all 2 user ids from 2000000 to 2000001") as caught:
        engine.create(*wanted, timeout=CALL)
    assert "options.kubernetes.users" in (caught.value.hint or "")
    assert api.requests[-1].startswith("DELETE")


def test_a_job_whose_secrets_are_refused_is_removed_and_why_is_told(
    engine: KubernetesEngine, api: Api, wanted: Asked
) -> None:
    api.refusals.extend([*answers(job(), listed(JOB)), refusal(403, "Forbidden", "exceeded quota"), *answers({})])
    with pytest.raises(ContainerError, match="exceeded quota"):
        engine.create(*wanted, timeout=CALL)
    assert api.requests[-1].startswith("DELETE")


def test_a_cluster_that_leaves_out_user_namespaces_is_refused_and_nothing_is_left(
    cluster: Cluster, api: Api, wanted: Asked, tmp_path: Path
) -> None:
    settings = KubernetesSettings(user_namespaces=True)
    engine = KubernetesEngine(cluster, settings, home=tmp_path, image="i")
    api.refusals.extend(answers(job(), {}))
    with pytest.raises(ContainerError, match="no user namespaces for pods"):
        engine.create(*wanted, timeout=CALL)
    assert api.requests[-1].startswith("DELETE")
    kept = job()
    kept["spec"]["template"]["spec"]["hostUsers"] = False
    api.refusals.extend(answers(kept, listed(JOB), {}))
    assert engine.create(*wanted, timeout=CALL).id == JOB


def test_a_bot_that_another_runner_was_to_start_is_not_waited_for_without_an_end(
    cluster: Cluster, settings: KubernetesSettings, api: Api, tmp_path: Path
) -> None:
    engine = KubernetesEngine(cluster, settings, home=tmp_path, image="i", start_timeout=0.0)
    api.jobs[JOB] = job()
    api.pods[JOB] = pod(bot={"waiting": {"reason": "ImagePullBackOff", "message": "timed out"}})
    with pytest.raises(ImageError, match="ImagePullBackOff: timed out"):
        engine.wait(ContainerHandle(id=JOB), timeout=1.0)


@pytest.mark.parametrize(("bot", "marks"), [(RUNNING, 1), (ended(), 0)])
def test_what_botdock_removes_while_it_runs_is_marked_as_its_own_doing(
    engine: KubernetesEngine, api: Api, bot: dict[str, Any], marks: int
) -> None:
    api.pods[JOB] = pod(bot=bot)
    engine.remove(ContainerHandle(id=JOB), timeout=CALL)
    of_pod = [request.split()[0] for request in api.requests if request.endswith(f"/pods/{JOB}-x")]
    assert of_pod == ["PATCH"] * marks + ["DELETE"]
