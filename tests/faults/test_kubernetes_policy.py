"""A cluster that enforces policies of networks: what the engine finds out there, and what a bot reaches."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from botdock import Config
from botdock.model import Feature
from botdock_engine_kubernetes.engine import KubernetesEngine
from testbed.kubernetes_namespaces import Kubernetes


def test_a_policy_that_is_enforced_is_found_to_be(
    start_kubernetes: Callable[..., Kubernetes], make_kubernetes_config: Callable[..., Config]
) -> None:
    config = make_kubernetes_config(cluster=start_kubernetes(heeds_policies=True))
    with closing(KubernetesEngine.from_config(config)) as engine:
        capabilities = engine.capabilities()
    assert Feature.NETWORK in capabilities.enforced, capabilities.missing


def test_a_policy_that_is_not_enforced_is_told_by_its_reason(kubernetes_config: Config) -> None:
    with closing(KubernetesEngine.from_config(kubernetes_config)) as engine:
        capabilities = engine.capabilities()
    assert Feature.NETWORK in capabilities.missing
