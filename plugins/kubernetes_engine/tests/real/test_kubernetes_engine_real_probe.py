"""What a real cluster enforces is what a container that was tried there was held to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from botdock.config import Config
from botdock.model import Feature
from botdock_engine_kubernetes.checks import checks, rights
from botdock_engine_kubernetes.engine import KubernetesEngine
from botdock_engine_kubernetes.probing import POLICY
from testbed.kubernetes_namespaces import Kubernetes

ALWAYS = frozenset(Feature) - {Feature.NETWORK, Feature.SWAP, Feature.TMPFS}
"""What each cluster of the tests enforces, whatever its network and its node."""


def test_a_cluster_is_said_to_enforce_what_a_pod_was_held_to(
    kubernetes: Kubernetes, kubernetes_config: Config, kubernetes_namespace: str
) -> None:
    with closing(KubernetesEngine.from_config(kubernetes_config)) as engine:
        found = engine.capabilities()
        assert found.enforced >= ALWAYS
        assert "noexec" in found.missing[Feature.TMPFS]
        assert engine.capabilities() == found, "and it is not tried again"
    assert kubernetes.kubectl("get", "networkpolicy", POLICY, "-n", kubernetes_namespace, "-o", "name")
    if kubernetes.cluster is not None:
        assert "10.96.0.1:443" in found.missing[Feature.NETWORK], "the policy is there, and no agent that enforces it"


@pytest.mark.sampled(2)
@pytest.mark.parametrize("image", ["nodejs20", "bash"])
def test_a_network_is_tried_with_what_the_image_has(
    make_kubernetes_config: Callable[..., Config], kubernetes: Kubernetes, image: str
) -> None:
    config = make_kubernetes_config(probe_image=kubernetes.images[image])
    with closing(KubernetesEngine.from_config(config)) as engine:
        found = engine.probe()
    assert found.enforced >= ALWAYS
    if kubernetes.cluster is not None:
        assert "a container reached" in found.missing[Feature.NETWORK]


def test_doctor_tells_each_right_that_an_account_lacks(
    kubernetes: Kubernetes, make_kubernetes_config: Callable[..., Config], kubernetes_namespace: str, tmp_path: Path
) -> None:
    mine = yaml.safe_load(kubernetes.kubeconfig.read_text())
    token = kubernetes.kubectl("create", "token", "default", "-n", kubernetes_namespace).strip()
    mine["users"] = [{**user, "user": {"token": token}} for user in mine["users"]]
    (tmp_path / "account").write_text(yaml.safe_dump(mine))
    found = {check.name: check for check in checks(make_kubernetes_config(kubeconfig=str(tmp_path / "account")))}
    told = found["kubernetes.rights"].detail + found["kubernetes.rights.optional"].detail
    assert [right for right in rights() if str(right) not in told] == []
    assert "kubernetes.tmpfs" not in found, "nothing is tried by an account that cannot"
