"""How bots end that something else than the bot ends: on a real cluster, told by the pod's own evidence."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from botdock.config import Config, ContainersConfig
from botdock.errors import ContainerError, ContainerNotFoundError, EngineTimeoutError, ImageError
from botdock.model import (
    ContainerHandle,
    ContainerState,
    ContainerStatus,
    Limits,
    LogCursor,
    PullPolicy,
    new_execution_id,
)
from botdock_engine_kubernetes.engine import KubernetesEngine
from botdock_testing.engine import Asked, asked
from testbed.kubernetes_namespaces import Kubernetes
from testbed.waiting import until

pytestmark = pytest.mark.sampled(3)

CALL = 60.0
LINGERS = "trap 'exit 9' TERM; echo ready; while :; do sleep 1 & wait $!; done"
HOG = "i=0; x=x; while :; do x=$x$x; done"


@pytest.fixture
def opened(
    kubernetes_namespace: str, make_kubernetes_config: Callable[..., Config]
) -> Iterator[Callable[..., KubernetesEngine]]:
    """Return a function that opens engines of a test's own namespace; what they made is removed in the end."""
    engines: list[KubernetesEngine] = []

    def make(**settings: object) -> KubernetesEngine:
        engines.append(KubernetesEngine.from_config(make_kubernetes_config(**settings)))
        return engines[-1]

    yield make
    for engine in engines:
        for info in engine.list({}, timeout=CALL):
            engine.remove(ContainerHandle(id=info.container_id), timeout=CALL)
        engine.close()


@pytest.fixture
def spec(kubernetes: Kubernetes, tmp_path: Path) -> Callable[..., Asked]:
    """Return a function from a shell script to what a container that runs it is made from."""

    def make(script: str, **fields: object) -> Asked:
        folder = tmp_path / "empty"
        folder.mkdir(exist_ok=True)
        result = tmp_path / "result"
        result.touch()
        defaults = {
            "image": kubernetes.images["bash"],
            "command": ("/bin/sh", "-c", script, "sh"),
            "name": f"botdock-{new_execution_id()}",
            "result": str(result),
        }
        return asked(folder, **{**defaults, **fields})

    return make


def started(engine: KubernetesEngine, wanted: Asked) -> ContainerHandle:
    container = engine.create(*wanted, timeout=CALL)
    engine.start(container, timeout=CALL)
    return container


def ready(engine: KubernetesEngine, wanted: Asked) -> ContainerHandle:
    """Start a bot, and wait until it says that its traps are set."""
    container, said = started(engine, wanted), bytearray()
    with closing(engine.read_logs(container, cursor=LogCursor(), follow=True, timeout=CALL)) as stream:

        def is_ready() -> bool:
            said.extend(b"".join(chunk.data for chunk in stream.read(1.0)))
            return b"ready" in said

        until(is_ready, timeout=CALL)
    return container


def ended(engine: KubernetesEngine, container: ContainerHandle) -> ContainerStatus:
    found = engine.wait(container, timeout=2 * CALL)
    assert found is not None, "it did not end"
    return found


def inspected_for_long(engine: KubernetesEngine, container: ContainerHandle) -> None:
    end = time.monotonic() + 2 * CALL
    while time.monotonic() < end:
        engine.inspect(container, timeout=CALL)


@pytest.fixture
def pod_of(kubernetes: Kubernetes, kubernetes_namespace: str) -> Callable[[ContainerHandle], str]:
    """Return a function that names the pod of a container."""

    def find(container: ContainerHandle) -> str:
        labels = f"io.botdock.job={container.id}"
        found = kubernetes.kubectl("-n", kubernetes_namespace, "get", "pods", "-l", labels, "-o", "name")
        return found.strip().removeprefix("pod/")

    return find


def test_memory_is_told_of_the_bot_and_of_its_child(
    opened: Callable[..., KubernetesEngine], spec: Callable[..., Asked]
) -> None:
    engine = opened()
    limits = Limits(memory="24MiB")
    bot = started(engine, spec(HOG, limits=limits))
    child = started(engine, spec(f"sh -c '{HOG}'; sleep 3; exit 5", limits=limits))  # containerd may be told late
    assert ended(engine, bot).oom_killed
    found = ended(engine, child)
    assert (found.oom_killed, found.exit_code) in {(True, 5), (True, 137)}  # cgroup v2 kills all of a container


def test_user_namespaces_that_the_cluster_lacks_are_refused_beforehand(
    opened: Callable[..., KubernetesEngine], spec: Callable[..., Asked], kubernetes: Kubernetes
) -> None:
    if kubernetes.cluster is None:
        pytest.skip("another cluster may have them")
    engine = opened(user_namespaces=True)
    with pytest.raises(ContainerError, match="no user namespaces for pods"):
        engine.create(*spec("exit"), timeout=CALL)
    assert engine.list({}, timeout=CALL) == []


def test_an_image_that_is_not_there_and_may_not_be_pulled_is_told(
    opened: Callable[..., KubernetesEngine], spec: Callable[..., Asked]
) -> None:
    engine = opened(containers=ContainersConfig(pull=PullPolicy.NEVER))
    engine.ensure_image("registry.invalid/absent:1", policy=PullPolicy.NEVER, timeout=CALL)
    container = engine.create(*spec("exit", image="registry.invalid/absent:1"), timeout=CALL)
    with pytest.raises(ImageError, match="ErrImageNeverPull") as caught:
        engine.start(container, timeout=CALL)
    assert caught.value.image == "registry.invalid/absent:1"


def test_a_pod_that_no_node_takes_is_told_in_the_schedulers_words(
    opened: Callable[..., KubernetesEngine], spec: Callable[..., Asked]
) -> None:
    engine = opened(node_selector={"no-such": "node"})
    container = engine.create(*spec("exit"), timeout=CALL)
    with pytest.raises(EngineTimeoutError):
        engine.start(container, timeout=1.0)
    until(lambda: "Unschedulable" in engine.inspect(container, timeout=CALL).error, timeout=CALL)
    with pytest.raises(EngineTimeoutError, match=r"Unschedulable: 0/1 nodes are available"):
        engine.start(container, timeout=1.0)


def test_a_pod_that_something_else_deletes_is_not_found_once_its_bot_has_ended(
    opened: Callable[..., KubernetesEngine],
    spec: Callable[..., Asked],
    kubernetes: Kubernetes,
    kubernetes_namespace: str,
    pod_of: Callable[[ContainerHandle], str],
) -> None:
    engine = opened()
    container = started(engine, spec(LINGERS))
    kubernetes.kubectl("-n", kubernetes_namespace, "delete", "pod", pod_of(container))  # until it is gone
    with pytest.raises(ContainerNotFoundError, match="deleted by something else"):
        ended(engine, container)
    with pytest.raises(ContainerNotFoundError, match="deleted by something else"):
        inspected_for_long(opened(), container)


def test_a_deadline_of_others_is_told_as_theirs(
    opened: Callable[..., KubernetesEngine],
    spec: Callable[..., Asked],
    kubernetes: Kubernetes,
    kubernetes_namespace: str,
    pod_of: Callable[[ContainerHandle], str],
) -> None:
    engine = opened()
    container = ready(engine, spec(LINGERS))
    change = json.dumps({"spec": {"activeDeadlineSeconds": 1}})
    kubernetes.kubectl("-n", kubernetes_namespace, "patch", "pod", pod_of(container), "-p", change)
    found = ended(engine, container)
    assert (found.exit_code, found.state) == (9, ContainerState.EXITED)
    assert "DeadlineExceeded" in found.error


def test_an_eviction_is_told_now_and_by_the_job_later(
    opened: Callable[..., KubernetesEngine],
    spec: Callable[..., Asked],
    kubernetes: Kubernetes,
    kubernetes_namespace: str,
    pod_of: Callable[[ContainerHandle], str],
    tmp_path: Path,
) -> None:
    engine = opened()
    container = started(engine, spec(LINGERS))
    name = pod_of(container)
    eviction = tmp_path / "eviction.json"
    metadata = {"name": name, "namespace": kubernetes_namespace}
    eviction.write_text(json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}))
    path = f"/api/v1/namespaces/{kubernetes_namespace}/pods/{name}/eviction"
    kubernetes.kubectl("create", "--raw", path, "-f", str(eviction))
    assert "EvictionByEvictionAPI" in ended(engine, container).error
    engine = opened()
    end = time.monotonic() + 2 * CALL
    while (found := engine.inspect(container, timeout=CALL)).state is not ContainerState.EXITED:
        assert time.monotonic() < end, "the Job never told of it"
    assert "DisruptionTarget" in found.error or "EvictionByEvictionAPI" in found.error


def test_a_kill_without_the_right_to_exec_deletes_the_pod_and_keeps_how_it_ended(
    opened: Callable[..., KubernetesEngine], spec: Callable[..., Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botdock_engine_kubernetes.life.KILL", ("/no/such/program",))
    monkeypatch.setattr("botdock_engine_kubernetes.life.KILL_TIME", 1.0)
    engine = opened()
    container = ready(engine, spec("trap '' TERM; echo ready; while :; do sleep 1; done"))
    engine.stop(container, grace=0.0, timeout=CALL)
    for seen in (engine.inspect(container, timeout=CALL), opened().inspect(container, timeout=CALL)):
        assert (seen.state, seen.exit_code, seen.error) == (ContainerState.EXITED, 137, "")
    engine.remove(container, timeout=CALL)
    with pytest.raises(ContainerNotFoundError):
        engine.inspect(container, timeout=CALL)
