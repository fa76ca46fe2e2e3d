"""What `botdock doctor` says of a cluster: who answers, what the account may, and what of the profile is enforced."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from importlib.resources import files
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from lightkube.codecs import load_all_yaml
from lightkube.models.authorization_v1 import ResourceAttributes, SelfSubjectAccessReviewSpec
from lightkube.resources.authorization_v1 import SelfSubjectAccessReview
from lightkube.resources.rbac_authorization_v1 import Role

from botdock import Check, CheckStatus
from botdock.errors import BotdockError
from botdock_engine_kubernetes.errors import ENGINE

if TYPE_CHECKING:
    import httpx2

    from botdock import EngineCapabilities
    from botdock.config import Config
    from botdock_engine_kubernetes.cluster import Cluster

CHECK_TIMEOUT = 30.0
"""Seconds for the API server to answer."""
OLDEST = 29
"""Minor version of Kubernetes 1 from which on a container can stay beside another and end after it."""
TRIED = "1.32"
CLOCKS = 60.0
"""Seconds by which two clocks may differ until times of logs are hard to read."""
LEVEL = "pod-security.kubernetes.io/enforce"
_OPTIONAL = {"events", "namespaces", "networkpolicies", "pods/exec", "resourcequotas"}
"""Without them bots run as well: less is explained, a kill takes longer, the policy of the network is an operator's."""
_ROLE = "`python3 -m botdock_engine_kubernetes | kubectl apply -n {namespace} -f -` makes an account that may."


def checks(config: Config) -> Iterator[Check]:
    """Yield what is found, a container that is tried included; never raises.

    Only where this engine is the configured one: nothing is made in a cluster that a kubeconfig happens to name.
    """
    from botdock_engine_kubernetes.engine import KubernetesEngine

    if config.engine != ENGINE:
        yield Check.ok(
            "kubernetes.engine", "not asked, as it is not the configured engine: BOTDOCK_ENGINE=kubernetes has it asked"
        )
        return
    try:
        with closing(KubernetesEngine.from_config(config)) as engine:
            found = list(look_at(engine.cluster))
            yield from found
            if all(check.status is not CheckStatus.FAILED for check in found):
                yield from tell(engine.probe(anew=True))
    except BotdockError as error:
        yield Check.failed("kubernetes.isolation", error.message, error.hint or "")


def look_at(cluster: Cluster) -> Iterator[Check]:
    """Yield what is found without running anything there; never raises."""
    try:
        yield from _server(cluster)
        yield from _rights(cluster)
        yield from _namespace(cluster)
        yield from _nodes(cluster)
        yield from _quota(cluster)
    except BotdockError as error:
        yield Check.failed("kubernetes.engine", error.message, error.hint or "")


def tell(capabilities: EngineCapabilities) -> Iterator[Check]:
    """Yield what of the profile is not enforced, and what logs lack."""
    for feature, reason in capabilities.missing.items():
        yield Check.failed(f"kubernetes.{feature.value}", reason)
    if not capabilities.missing:
        yield Check.ok("kubernetes.isolation", "a container that was tried was held to the whole strict profile")
    if capabilities.log_faults:
        yield Check.ok("kubernetes.logs", "; ".join(capabilities.log_faults))


def _server(cluster: Cluster) -> Iterator[Check]:
    answer = _ask(cluster, "/version")
    document = answer.json()
    name, minor = str(document["gitVersion"]), "".join(filter(str.isdigit, str(document["minor"])))
    tried = "" if name.startswith(f"v{TRIED}.") else f"; botdock was tried on {TRIED}"
    models = ".".join(version("lightkube-models").split(".")[:2])
    detail = f"Kubernetes {name} at {cluster.url}, namespace {cluster.namespace}; client of {models}{tried}"
    if int(minor) < OLDEST:
        remedy = f"Use Kubernetes 1.{OLDEST} or newer, where a container can stay beside another and end after it."
        yield Check.failed("kubernetes.engine", detail, remedy)
    else:
        yield Check.ok("kubernetes.engine", detail)
    with suppress(ValueError, TypeError):  # what stands between may leave the date out
        ahead = time.time() - parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
        if abs(ahead) > CLOCKS:
            remedy = "Let both follow the network's time: `timedatectl set-ntp true`."
            yield Check.warning(
                "kubernetes.clock", f"this machine's clock is {ahead:+.0f} s ahead of the API server's", remedy
            )


def _rights(cluster: Cluster) -> Iterator[Check]:
    missing, remedy = missing_rights(cluster, timeout=CHECK_TIMEOUT), _ROLE.format(namespace=cluster.namespace)
    if needed := ", ".join(str(right) for right in missing if right.is_needed):
        yield Check.failed("kubernetes.rights", f"the account may not {needed} in {cluster.namespace}", remedy)
    if others := ", ".join(str(right) for right in missing if not right.is_needed):
        detail = f"the account may not {others} in {cluster.namespace}; bots run without"
        yield Check.warning("kubernetes.rights.optional", detail, remedy)
    if not missing:
        yield Check.ok("kubernetes.rights", "the account may do all that a runner does")


def _namespace(cluster: Cluster) -> Iterator[Check]:
    if found := _document(cluster, f"/api/v1/namespaces/{cluster.namespace}"):
        level = found["metadata"].get("labels", {}).get(LEVEL, "privileged")
        other = "" if level == "restricted" else "; what botdock makes would pass `restricted`"
        yield Check.ok("kubernetes.pod_security", f"the level of Pod Security is `{level}`{other}")


def _nodes(cluster: Cluster) -> Iterator[Check]:
    if found := _document(cluster, "/api/v1/nodes"):  # a right on the whole cluster, which a runner need not have
        nodes = found["items"]
        ready = sum(map(_is_ready, nodes))
        detail = f"{ready} of {len(nodes)} nodes are ready"
        yield (
            Check.ok("kubernetes.nodes", detail)
            if ready
            else Check.failed("kubernetes.nodes", detail, "`kubectl describe nodes` says why.")
        )


def _quota(cluster: Cluster) -> Iterator[Check]:
    found = _document(cluster, f"/api/v1/namespaces/{cluster.namespace}/resourcequotas") or {"items": ()}
    for quota in found["items"]:
        name, status = quota["metadata"]["name"], quota.get("status", {})
        hard, used = status.get("hard", {}), status.get("used", {})
        detail = f"{name}: " + ", ".join(f"{kind} {used.get(kind, '0')} of {bound}" for kind, bound in hard.items())
        if any(used.get(kind) == bound for kind, bound in hard.items()):
            remedy = f"Remove what has ended, or raise it: `kubectl edit resourcequota {name} -n {cluster.namespace}`."
            yield Check.warning("kubernetes.quota", f"nothing more fits: {detail}", remedy)
        else:
            yield Check.ok("kubernetes.quota", detail)


def _is_ready(node: Mapping[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions", ())
    is_ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return is_ready and not node.get("spec", {}).get("unschedulable", False)


def _document(cluster: Cluster, path: str) -> dict[str, Any] | None:
    """Return an object or a list; None where the account may not see it."""
    answer = _ask(cluster, path)
    return None if answer.status_code == HTTPStatus.FORBIDDEN else dict(answer.json())


def _ask(cluster: Cluster, path: str) -> httpx2.Response:
    async def ask() -> httpx2.Response:
        answer = await cluster.http.get(path)
        return answer if answer.status_code == HTTPStatus.FORBIDDEN else answer.raise_for_status()

    return cluster.call("capabilities", ask, timeout=CHECK_TIMEOUT, repeatable=True)


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
    return tuple(
        Right(group, resource, verb)
        for role in load_all_yaml(role_file())
        if isinstance(role, Role)
        for rule in role.rules or ()
        for group, resource, verb in product(rule.apiGroups or (), rule.resources or (), rule.verbs)
    )


def missing_rights(cluster: Cluster, *, timeout: float) -> list[Right]:
    """Ask the API server for each right, and return those that the account lacks.

    Raises:
        ContainerError: It does not answer.
    """

    async def ask() -> list[bool]:
        return await asyncio.gather(*(_has(cluster, right) for right in rights()))

    has = cluster.call("capabilities", ask, timeout=timeout, repeatable=True)
    return [right for right, allowed in zip(rights(), has, strict=True) if not allowed]


async def _has(cluster: Cluster, right: Right) -> bool:
    resource, _, part = right.resource.partition("/")
    asked = ResourceAttributes(
        group=right.group, resource=resource, subresource=part, verb=right.verb, namespace=cluster.namespace
    )
    review = SelfSubjectAccessReview(spec=SelfSubjectAccessReviewSpec(resourceAttributes=asked))
    answer = await cluster.client.create(review)
    return bool(answer.status and answer.status.allowed)
