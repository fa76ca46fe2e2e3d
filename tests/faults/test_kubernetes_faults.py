"""A cluster whose parts are killed, cut and closed under running bots."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import attrs
import pytest

from botdock import Config, DockerRunner, Executable, Outcome
from botdock.config import ContainersConfig
from botdock.executions import Executions
from botdock.model import ContainerHandle, Feature
from botdock_engine_kubernetes.engine import KubernetesEngine
from botdock_engine_kubernetes.settings import KubernetesSettings
from testbed.kubernetes import KubernetesCluster
from testbed.kubernetes_namespaces import Kubernetes
from testbed.waiting import until

pytestmark = pytest.mark.sampled(4)
PATIENCE = 240.0
SOURCE = """
import time

def main(id, config):
    for number in range(config["lines"]):
        print("line", number)
        time.sleep(0.02)
    return "done"
"""
RUNNER = """
import os, pickle, signal, sys
from botdock import DockerRunner

config, bot = pickle.loads(open(sys.argv[1], "rb").read())
runner = DockerRunner(config)
execution = runner.start(bot)
lines = execution.logs(follow=True)
for _ in range(3):
    next(lines)
print(execution.execution_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)  # at once: its bot has not ended
"""


@pytest.fixture
def cluster(drill_kubernetes: Kubernetes) -> KubernetesCluster:
    assert drill_kubernetes.cluster is not None
    return drill_kubernetes.cluster


@pytest.fixture
def config(drill_kubernetes: Kubernetes, make_kubernetes_config: Callable[..., Config]) -> Config:
    return make_kubernetes_config(
        cluster=drill_kubernetes, containers=ContainersConfig(reconnect_timeout=PATIENCE, call_timeout=PATIENCE)
    )


@pytest.fixture
def bot(tmp_path: Path) -> Executable:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/main.py").write_text(SOURCE)
    return Executable(
        id="survivor", runtime="python311", file_path=str(tmp_path / "code"), config={"lines": 300}, timeout=PATIENCE
    )


def test_a_bot_outlives_its_api_server_and_its_kubelet_and_no_line_is_missing(
    cluster: KubernetesCluster, config: Config, bot: Executable
) -> None:
    with DockerRunner(config) as runner:
        execution = runner.start(bot)
        lines = execution.logs(follow=True)
        seen = [next(lines).text for _ in range(3)]
        cluster.restart_api_server()
        seen += [next(lines).text for _ in range(3)]
        cluster.kill("kubelet")
        cluster.start_kubelet()
        seen += [line.text for line in lines]
        result = execution.wait(timeout=PATIENCE)
        assert result is not None
        assert result.outcome is Outcome.SUCCEEDED, result
        assert result.value == "done"
        assert seen == [f"line {number}" for number in range(300)]
        assert (result.log.gaps, result.log.complete) == (0, True)
        assert runner.list_managed_containers() == []


def test_a_bot_whose_runner_is_killed_is_adopted_by_the_next(config: Config, bot: Executable, tmp_path: Path) -> None:
    (tmp_path / "given").write_bytes(pickle.dumps((config, bot)))
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(tmp_path / "given")], stdout=subprocess.PIPE, text=True
    ) as runner:
        assert runner.stdout is not None
        identity = runner.stdout.readline().strip()
    with DockerRunner(config) as successor:
        (execution,) = successor.recover()
        assert execution.execution_id == identity
        result = execution.wait(timeout=PATIENCE)
        assert result is not None
        assert (result.outcome, result.value) == (Outcome.SUCCEEDED, "done"), result
        assert [line.text for line in execution.logs()] == [f"line {number}" for number in range(300)]
        assert (result.log.gaps, result.log.complete) == (0, True)
        assert successor.list_managed_containers() == []


@pytest.mark.parametrize(
    ("handed_over", "what"), [(True, ("jobs", "--all", "--cascade=foreground")), (False, ("pods", "--all"))]
)
def test_a_bot_whose_job_or_pod_is_deleted_by_another_hand_is_lost(
    drill_kubernetes: Kubernetes, config: Config, bot: Executable, what: tuple[str, ...], *, handed_over: bool
) -> None:
    namespace = config.options_for("kubernetes", KubernetesSettings).namespace
    with ExitStack() as runners:
        runner = runners.enter_context(DockerRunner(config))
        execution = runner.start(attrs.evolve(bot, config={"lines": 10_000}))
        assert next(execution.logs(follow=True)).text == "line 0"
        if handed_over:
            runner.close(stop=False)
        drill_kubernetes.kubectl("--namespace", namespace, "delete", *what)
        if handed_over:
            runner = runners.enter_context(DockerRunner(config))
            (execution,) = runner.recover()
        result = execution.wait(timeout=PATIENCE)
        assert result is not None
        assert (result.outcome, result.exit_code) == (Outcome.LOST, None), result
        assert runner.list_managed_containers() == []


def test_a_bot_that_is_preempted_ends_with_the_scheduler_s_reason(
    drill_kubernetes: Kubernetes, config: Config, bot: Executable, tmp_path: Path
) -> None:
    free = drill_kubernetes.kubectl("get", "nodes", "-o", "jsonpath={.items[0].status.allocatable.cpu}")
    (tmp_path / "urgent.json").write_text(json.dumps(_urgent(int(free) * 1000 - 60)))  # less than the bot has reserved
    with DockerRunner(config) as runner:
        execution = runner.start(attrs.evolve(bot, config={"lines": 10_000}))
        assert next(execution.logs(follow=True)).text == "line 0"
        drill_kubernetes.kubectl("create", "-f", str(tmp_path / "urgent.json"))
        try:
            result = execution.wait(timeout=PATIENCE)
        finally:
            drill_kubernetes.kubectl("delete", "-f", str(tmp_path / "urgent.json"), "--force", "--grace-period=0")
    assert result is not None
    assert result.outcome is Outcome.INFRASTRUCTURE_ERROR, result
    assert "PreemptionByScheduler" in result.error


def _urgent(millicpus: int) -> dict[str, object]:
    """Return a pod that goes before all others, and takes so much of a node."""
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "urgent"}}
    resources = {"requests": {"cpu": f"{millicpus}m"}}
    spec = {
        "priorityClassName": "urgent",
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "one", "image": "none.invalid/none", "resources": resources}],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "urgent", "namespace": "default"}, "spec": spec}
    return {"apiVersion": "v1", "kind": "List", "items": [{**kind, "value": 1_000_000}, pod]}


def test_a_bot_that_no_node_takes_waits_with_the_scheduler_s_reason_and_runs_when_one_does(
    cluster: KubernetesCluster, config: Config, bot: Executable
) -> None:
    with DockerRunner(config) as runner, closing(KubernetesEngine.from_config(config)) as engine:
        engine.capabilities()  # by pods, which no node would take either
        cluster.cordon()
        try:
            with ThreadPoolExecutor(1) as starter:
                running = starter.submit(runner.run, attrs.evolve(bot, config={"lines": 1}))
                until(lambda: "unschedulable" in _waits_for(engine), timeout=PATIENCE)
                until(lambda: "nodes are available" in _shown(config), timeout=PATIENCE)
                cluster.cordon(schedulable=True)
                result = running.result(PATIENCE)
        finally:
            cluster.cordon(schedulable=True)
    assert result.outcome is Outcome.SUCCEEDED, result


def _shown(config: Config) -> str:
    return " ".join(record.waits_for for record in Executions(config.home_dir).list(running=True))


def _waits_for(engine: KubernetesEngine) -> str:
    found = engine.list({}, timeout=PATIENCE)
    return " ".join(
        engine.inspect(ContainerHandle(id=info.container_id), timeout=PATIENCE).error for info in found
    ).lower()


def test_a_policy_that_is_enforced_is_found_to_be(config: Config) -> None:
    with closing(KubernetesEngine.from_config(config)) as engine:
        capabilities = engine.capabilities()
    assert Feature.NETWORK in capabilities.enforced, capabilities.missing


def test_a_policy_that_is_not_enforced_is_told_by_its_reason(kubernetes_config: Config) -> None:
    with closing(KubernetesEngine.from_config(kubernetes_config)) as engine:
        capabilities = engine.capabilities()
    assert Feature.NETWORK in capabilities.missing
