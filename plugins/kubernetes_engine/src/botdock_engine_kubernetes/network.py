"""The NetworkPolicy that closes the network of every bot; whether the cluster heeds it is for a probe to find out."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.models.networking_v1 import NetworkPolicySpec
from lightkube.resources.networking_v1 import NetworkPolicy

from botdock_engine_kubernetes.pod import LABEL_NETWORK

if TYPE_CHECKING:
    from botdock_engine_kubernetes.cluster import Cluster

POLICY = "botdock-deny-all"


def deny_all() -> NetworkPolicy:
    """Return the policy: of the pods of network `none`, nothing comes in and nothing goes out."""
    return NetworkPolicy(
        metadata=ObjectMeta(name=POLICY, labels={"app.kubernetes.io/managed-by": "botdock"}),
        spec=NetworkPolicySpec(
            podSelector=LabelSelector(matchLabels={LABEL_NETWORK: "none"}), policyTypes=["Ingress", "Egress"]
        ),
    )


def ensure_policy(cluster: Cluster, *, timeout: float) -> str:
    """Make the policy where it is missing; return what names this wording of it, empty where it may not be seen.

    Where the account has no right to make it, an operator may have, or not: the probe tells.

    Raises:
        ContainerError: The API server does not answer, or there is no such namespace.
    """
    return cluster.call("capabilities", lambda: _ensure(cluster), timeout=timeout, repeatable=True)


async def _ensure(cluster: Cluster) -> str:
    try:
        found = await cluster.client.get(NetworkPolicy, POLICY)
    except ApiError as error:
        if error.status.code == HTTPStatus.FORBIDDEN:
            return ""
        if error.status.code != HTTPStatus.NOT_FOUND:
            raise
        try:
            found = await cluster.client.create(deny_all())
        except ApiError as refused:
            if refused.status.code in {HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT}:
                return ""
            raise
    metadata = found.metadata or ObjectMeta()
    return f"{metadata.uid} {metadata.generation}"
