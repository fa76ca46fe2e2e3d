"""What of the strict profile a cluster enforces, by what a container that was tried saw of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from botdock.model import Feature, Limits
from botdock.model.enforcement import Seen, checks_for, has_bounded_home, is_bounded
from botdock.model.limits import MIB
from botdock.model.profile import HOME
from botdock_engine_kubernetes.pod import HELPER_PROCESSES

LIMITS = Limits(memory=96 * MIB, cpus=0.5, pids=24, open_files=64, file_size=MIB, tmpfs=MIB, output=MIB, result=MIB)
"""Of a container that is tried: unlike any default, so that a bound that is seen is the one that was asked for."""
PROCESSES = 2 * (LIMITS.pids or 0)
"""It tries to start so many."""
_POLICY = (
    "Install a network plugin that enforces NetworkPolicies, such as Calico or Cilium, "
    "and see that the policy `botdock-deny-all` is in the namespace"
)
_KUBELET = "Let the kubelet make cgroups for pods (`cgroupsPerQOS`), on nodes that have that controller"
_RUNTIME = "Name another container runtime (options.kubernetes.runtime_class), or other nodes (node_selector)"
_WORDS: Mapping[Feature, tuple[str, str]] = {
    Feature.MEMORY: ("no limit of memory was seen", _KUBELET),
    Feature.CPU: ("no limit of processor time was seen", f"{_KUBELET}, and leave `cpuCFSQuota` on"),
    Feature.SWAP: (
        "the node has swap, and no limit of it was seen",
        "Set `memorySwap.swapBehavior: NoSwap` in the kubelet's configuration, or turn swap off on the nodes",
    ),
    Feature.PIDS: (
        "a container that was tried started more processes than it may",
        "Set `podPidsLimit` in the kubelet's configuration, which botdock cannot read, and allow it: policy.unenforced",
    ),
    Feature.TMPFS: (
        f"{HOME} is bounded and in memory, but a bot may run programs from it: no volume of Kubernetes is `noexec`",
        "A bot can do by them nothing that its interpreter could not; an operator may allow it: policy.unenforced",
    ),
}
"""Per feature: what its absence means, and what mends it."""


def missing_features(seen: Seen, free: Seen) -> dict[Feature, str]:
    """Return each feature that is not enforced, with the reason and what mends it.

    Args:
        seen: What a container saw that was held to the profile.
        free: What one of the same image saw that no NetworkPolicy of botdock's selects.
    """
    missing = {}
    if network := _network(seen, free):
        missing[Feature.NETWORK] = network
    for feature, holds in _CHECKS.items():
        if not holds(seen):
            reason, mend = _WORDS.get(feature, (f"a container that was tried lacks {feature.value}", _RUNTIME))
            if feature is Feature.TMPFS and not has_bounded_home(seen, LIMITS):
                reason, mend = f"{HOME} is not a file system in memory of the size that was asked for", _RUNTIME
            missing[feature] = f"{reason}. {mend}."
    return missing


def _network(seen: Seen, free: Seen) -> str:
    """Say why a bot's network is not known to be closed; empty where it is.

    That nothing is reached proves something only if a container that may reach it does.
    """
    if reached := seen.get("reached", ()):
        return f"the policy that denies all has no effect: a container reached {' and '.join(reached)}. {_POLICY}."
    if not seen.get("tool"):
        return (
            "it could not be tried: the image has none of python3, node, bash and nc. "
            "Name one that has, in options.kubernetes.probe_image."
        )
    if not free.get("reached"):
        return (
            "it could not be tried: a container that may use the network reaches neither the API server nor its "
            f"node. {_POLICY}; then allow it: policy.unenforced."
        )
    return ""


_MOST = (LIMITS.pids or 0) + HELPER_PROCESSES
_CHECKS: Mapping[Feature, Callable[[Seen], bool]] = {
    **checks_for(LIMITS),
    Feature.PIDS: lambda seen: is_bounded(seen, "Max processes", _MOST) and not seen.get("forked"),
}
