"""The Kubernetes of the testbed itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.cache import VARIABLE
from testbed.console import TestbedError
from testbed.kubernetes import KubernetesCluster
from testbed.kubernetes_namespaces import Kubernetes
from testbed.kubernetes_program import ensure_kubernetes
from testbed.processes import lives
from testbed.waiting import until, wait_until

_TIMEOUT = 180.0


def _pod(image: str, script: str) -> dict[str, object]:
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    container = {"name": "bot", "image": image, "command": ["/bin/sh", "-c", script], "securityContext": context}
    pod = {"runAsNonRoot": True, "runAsUser": 2000000, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one"},
        "spec": {"restartPolicy": "Never", "securityContext": pod, "containers": [container]},
    }


class _Pods:
    """Pods named `one`, in a namespace."""

    def __init__(self, cluster: Kubernetes, namespace: str, folder: Path) -> None:
        self._cluster, self._namespace, self._folder = cluster, namespace, folder

    def kubectl(self, *arguments: str) -> str:
        return self._cluster.kubectl("--namespace", self._namespace, *arguments)

    def create(self, document: dict[str, object]) -> None:
        file = self._folder / "pod.json"
        file.write_text(json.dumps(document))
        self.kubectl("create", "-f", str(file))

    def reaches(self, phase: str) -> bool:
        shown = ("get", "pod", "one", "--output", "jsonpath={.status.phase}")
        return wait_until(lambda: self.kubectl(*shown) == phase, timeout=_TIMEOUT, interval=0.3)

    def delete(self) -> None:
        self.kubectl("delete", "pod", "one", "--grace-period=1")


@pytest.fixture
def pods(kubernetes: Kubernetes, kubernetes_namespace: str, tmp_path: Path) -> _Pods:
    return _Pods(kubernetes, kubernetes_namespace, tmp_path)


@pytest.mark.parametrize(
    ("runtime", "script"),
    [("python311", "python3 -c 'print(2+2)'"), ("nodejs20", "node -p 2+2"), ("bash", "bash -c 'echo $((2+2))'")],
)
def test_a_strict_pod_of_each_image_runs(kubernetes: Kubernetes, pods: _Pods, runtime: str, script: str) -> None:
    pods.create(_pod(kubernetes.images[runtime], script))
    assert pods.reaches("Succeeded"), pods.kubectl("describe", "pod", "one")
    assert pods.kubectl("logs", "one") == "4\n"
    pods.delete()


def test_a_pod_that_is_not_strict_is_refused(kubernetes: Kubernetes, pods: _Pods) -> None:
    document = _pod(kubernetes.images["bash"], "true")
    document["spec"]["hostNetwork"] = True  # type: ignore[index]  # a document
    with pytest.raises(TestbedError, match="violates PodSecurity"):
        pods.create(document)


def test_pods_reach_the_api_server_by_its_service(kubernetes: Kubernetes, pods: _Pods) -> None:
    reach = "exec 3<>/dev/tcp/$KUBERNETES_SERVICE_HOST/$KUBERNETES_SERVICE_PORT && echo reached"
    pods.create(_pod(kubernetes.images["bash"], f'bash -c "{reach}"'))
    assert pods.reaches("Succeeded"), pods.kubectl("describe", "pod", "one")
    pods.delete()


@pytest.mark.sampled(4)
def test_a_cluster_for_drills_comes_back_with_its_pods_and_leaves_nothing_but_its_images(
    drill_kubernetes: Kubernetes, tmp_path: Path
) -> None:
    cluster = drill_kubernetes.cluster
    assert cluster is not None
    pods = _Pods(drill_kubernetes, "default", tmp_path)
    pods.create(_pod(drill_kubernetes.images["bash"], "sleep 3600"))
    assert pods.reaches("Running"), pods.kubectl("describe", "pod", "one")

    before = {part: cluster.pid(part) for part in ("kube-apiserver", "kubelet")}
    cluster.restart_api_server()
    cluster.kill("kubelet")
    assert cluster.pid("kubelet") is None
    cluster.start_kubelet()
    after = {part: cluster.pid(part) for part in before}
    assert all(after.values())
    assert not before.items() & after.items()
    assert pods.reaches("Running")
    pods.delete()

    cluster.cordon()
    assert "SchedulingDisabled" in pods.kubectl("get", "nodes")
    cluster.cordon(schedulable=True)
    assert KubernetesCluster(cluster.folder).answers()

    parts = [cluster.pid(part) for part in ("etcd", "containerd", "kube-apiserver", "kubelet")]
    device = cluster.device
    cluster.stop()
    assert not [pid for pid in parts if pid is None or lives(pid)]
    assert not cluster.data.exists()
    assert str(cluster.folder) not in Path("/proc/self/mounts").read_text()
    until(lambda: not Path("/sys/class/net", device).exists())  # the kernel removes it a moment later


def test_without_the_program_and_without_go_it_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr("testbed.kubernetes_program.find_program", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(TestbedError, match="no Kubernetes: install Go"):
        ensure_kubernetes()


def test_a_user_who_is_not_root_is_told_of_clusters_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(TestbedError, match="set KUBECONFIG and BOTDOCK_TEST_NAMESPACE"):
        KubernetesCluster(tmp_path).start()
