"""What the runner's account must be allowed, as `role.yaml` grants it, and what of it is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from lightkube.codecs import load_all_yaml
from lightkube.models.authorization_v1 import ResourceAttributes, SelfSubjectAccessReviewSpec
from lightkube.resources.authorization_v1 import SelfSubjectAccessReview
from lightkube.resources.rbac_authorization_v1 import Role

if TYPE_CHECKING:
    from botdock_engine_kubernetes.cluster import Cluster

_OPTIONAL = {"events", "namespaces", "networkpolicies", "pods/exec", "resourcequotas"}
"""Without them bots run as well: less is explained, a kill takes longer, the policy of the network is an operator's."""


class Right(NamedTuple):
    """One verb on one kind of object, in the engine's namespace."""

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        """As people say it: `create jobs.batch`."""
        return f"{self.verb} {self.resource}{self.group and '.'}{self.group}"

    @property
    def is_needed(self) -> bool:
        """Whether no bot runs without it."""
        return self.resource not in _OPTIONAL


def role_file() -> str:
    """Return the manifests of an account that has exactly the rights that a runner needs: YAML."""
    return files(__package__).joinpath("role.yaml").read_text(encoding="utf-8")


@cache
def rights() -> tuple[Right, ...]:
    """Return each right of the Role."""
    return tuple(_rights())


def _rights() -> Iterator[Right]:
    for role in (found for found in load_all_yaml(role_file()) if isinstance(found, Role)):
        for rule in role.rules or ():
            for group, resource, verb in product(rule.apiGroups or (), rule.resources or (), rule.verbs):
                yield Right(group, resource, verb)


def missing_rights(cluster: Cluster, *, timeout: float) -> list[Right]:
    """Ask the API server for each right, and return those that the account lacks.

    Raises:
        ContainerError: It does not answer.
    """
    return cluster.call("capabilities", lambda: _missing(cluster), timeout=timeout, repeatable=True)


async def _missing(cluster: Cluster) -> list[Right]:
    has = await asyncio.gather(*(_has(cluster, right) for right in rights()))
    return [right for right, allowed in zip(rights(), has, strict=True) if not allowed]


async def _has(cluster: Cluster, right: Right) -> bool:
    resource, _, part = right.resource.partition("/")
    asked = ResourceAttributes(
        group=right.group, resource=resource, subresource=part, verb=right.verb, namespace=cluster.namespace
    )
    review = SelfSubjectAccessReview(spec=SelfSubjectAccessReviewSpec(resourceAttributes=asked))
    answer = await cluster.client.create(review)
    return bool(answer.status and answer.status.allowed)
