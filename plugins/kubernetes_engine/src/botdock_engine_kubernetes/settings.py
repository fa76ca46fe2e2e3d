"""The settings of this engine."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from botdock.config import Section, rules, setting
from botdock.config.rules import Rule
from botdock.model.units import Seconds

_TOLERATION = re.compile(r"([^=:]+)(?:=([^=:]*))?(?::(NoSchedule|PreferNoSchedule|NoExecute))?")
_LONGEST_GRACE = 3600


def _tolerations_problem(texts: tuple[str, ...]) -> str | None:
    wrong = [text for text in texts if not _TOLERATION.fullmatch(text)]
    return f"{wrong[0]!r} must be 'key', 'key=value' or either with ':NoSchedule' or ':NoExecute'" if wrong else None


@attrs.frozen(kw_only=True)
class KubernetesSettings(Section):
    """The settings of this engine: `[options.kubernetes]`.

    Attributes:
        kubeconfig: File that names the cluster; empty means the pod's service account, KUBECONFIG or ~/.kube/config.
        context: The context of it; empty means its current one.
        namespace: Where the Jobs are made; empty means the context's.
        helper_image: Image with a shell, tar and gzip that delivers code and fetches results; empty means the bot's.
        probe_image: Image by which is tried what the cluster enforces; it has a shell and python3, node, bash or nc;
            empty means `helper_image`, else the first of `runtime.images`, else `bash:5.2`.
        node_selector: Labels that a node must have for bots.
        tolerations: Taints of nodes for bots: `key`, `key=value`, either with `:NoSchedule` or `:NoExecute`.
        runtime_class: Such as `gvisor` or `kata`; empty means the cluster's default.
        service_account: Of the bots' pods; they get no token of it. Empty means the namespace's default.
        image_pull_secrets: Names of Secrets in the namespace that the registries ask for.
        users: `first:count` of the user ids that bots run as.
        user_namespaces: Whether each pod has user ids of its own, from 1000 on in place of `users`; none of them is
            a user of its node. A cluster that does not have them is refused.
        cpu_request: The part of a bot's processors that its node keeps free for it; the rest it gets where it is idle.
        longest_grace: No stop waits longer for a bot to end by itself.
        keep_finished: Until the cluster removes a Job that has ended and that no runner has removed.
        connect_timeout: To open a connection to the API server.
        requests_per_second: Of this runner at most to the API server; short bursts may be faster.
    """

    kubeconfig: str = setting("", rule=rules.PATH)
    context: str = ""
    namespace: str = ""
    helper_image: str = ""
    probe_image: str = ""
    node_selector: Mapping[str, str] = attrs.field(factory=dict)
    tolerations: tuple[str, ...] = setting((), rule=Rule(_tolerations_problem))
    runtime_class: str = ""
    service_account: str = ""
    image_pull_secrets: tuple[str, ...] = ()
    users: str = setting("2000000:65536", rule=rules.USERS)
    user_namespaces: bool = False
    cpu_request: float = setting(0.1, rule=rules.number(0, 1))
    longest_grace: Seconds = setting(120.0, rule=rules.number(1, _LONGEST_GRACE, " seconds"))
    keep_finished: Seconds = setting(86_400.0, rule=rules.WAIT)
    connect_timeout: Seconds = setting(5.0, rule=rules.WAIT)
    requests_per_second: float = setting(50.0, rule=rules.number(0.1, 10_000))

    @property
    def user_ids(self) -> range:
        """The user ids that bots run as."""
        if self.user_namespaces:
            return range(rules.LOWEST_USER, rules.OVERFLOW_USER)
        return rules.user_range(self.users)

    @property
    def pod_tolerations(self) -> list[dict[str, str]]:
        """The tolerations as a pod names them."""
        return [_toleration(text) for text in self.tolerations]


def _toleration(text: str) -> dict[str, str]:
    match = _TOLERATION.fullmatch(text)
    assert match  # noqa: S101 - the rule has seen it
    key, value, effect = match.groups()
    document = {"key": key, "operator": "Exists" if value is None else "Equal", "value": value, "effect": effect}
    return {name: text for name, text in document.items() if text is not None}
