"""A Kubernetes that tests use, and the namespaces that they have in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from botdock.model import new_execution_id
from testbed.console import run
from testbed.kubernetes_program import ensure_kubernetes
from testbed.packages import find_program
from testbed.waiting import wait_until

if TYPE_CHECKING:
    from testbed.kubernetes import KubernetesCluster

_TIMEOUT = 180.0
_KINDS = "jobs,pods,secrets"
"""What executions consist of; a policy for all of them stays."""
_STRICT = {"pod-security.kubernetes.io/enforce": "restricted"}


@attrs.frozen(kw_only=True)
class Kubernetes:
    """A Kubernetes that answers.

    Attributes:
        kubeconfig: How it is reached.
        images: Those that it has, by runtime.
        cluster: Our own; None for the user's.
        given_namespace: The one that tests may use in the user's cluster; empty for one of each test's own.
    """

    kubeconfig: Path
    images: Mapping[str, str]
    cluster: KubernetesCluster | None = None
    given_namespace: str = ""

    def kubectl(self, *arguments: str) -> str:
        """Run `kubectl` on it, and return what it writes.

        Raises:
            TestbedError: It failed; with what it wrote.
        """
        program = find_program("kubectl") or str(ensure_kubernetes().with_name("kubectl"))
        return run([program, "--kubeconfig", str(self.kubeconfig), *arguments], timeout=_TIMEOUT)


def made_namespace(cluster: Kubernetes, folder: Path) -> str:
    """Make a namespace that enforces Pod Security `restricted`, and return its name; the user's is returned as it is.

    Args:
        cluster: Where it is made.
        folder: For what is given to `kubectl`.
    """
    if cluster.given_namespace:
        return cluster.given_namespace
    name = f"test-{new_execution_id().lower()}"
    # A pod has to have an account, which the cluster would make a moment later.
    wanted = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": _STRICT}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}},
    ]
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": wanted}))
    cluster.kubectl("apply", "--server-side", "--validate=false", "-f", str(file))
    return name


def left_in(cluster: Kubernetes, namespace: str) -> list[str]:
    """Return what is left of executions in a namespace, once what was being removed has gone."""
    left: list[str] = []

    def is_empty() -> bool:
        left[:] = cluster.kubectl("get", _KINDS, "--namespace", namespace, "--output", "name").split()
        return not left

    wait_until(is_empty, timeout=_TIMEOUT, interval=0.5)
    return left
