"""What of the strict profile a cluster enforces, by what a container that was tried saw of itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from botdock.model import Feature, Limits
from botdock.model.limits import KIB, MIB
from botdock.model.profile import HOME
from botdock_engine_kubernetes.pod import HELPER_PROCESSES

Seen = Mapping[str, Sequence[str]]
"""By topic, the lines that `probe.sh` wrote: `status`, `mounts` and so on."""

LIMITS = Limits(memory=96 * MIB, cpus=0.5, pids=24, open_files=64, file_size=MIB, tmpfs=MIB, output=MIB, result=MIB)
"""Of a container that is tried: unlike any default, so that a bound that is seen is the one that was asked for."""
PROCESSES = 2 * (LIMITS.pids or 0)
"""It tries to start so many."""
_PERIOD = 100_000
"""Microseconds: the kubelet's own default for a quota of processor time."""
_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
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
            if feature is Feature.TMPFS and not _is_bounded(seen):
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


def _status(seen: Seen, name: str) -> list[str]:
    line = next((line for line in seen.get("status", ()) if line.startswith(f"{name}:")), "")
    return line.partition(":")[2].split()


def _mount(seen: Seen, target: str) -> tuple[set[str], str, set[str]]:
    """Return the options of a mount, its kind, and the options of its file system."""
    for line in seen.get("mounts", ()):
        place, _, kind = line.partition(" - ")
        if place.split()[4] == target:
            name, _, options = kind.split()[:3]
            return set(place.split()[5].split(",")), name, set(options.split(","))
    return set(), "", set()


def _rlimit(seen: Seen, name: str, wanted: int | None) -> bool:
    line = next((line for line in seen.get("limits", ()) if line.startswith(name)), "")
    bounds = re.findall(r"\b(?:[0-9]+|unlimited)\b", line)[:2]
    return len(bounds) == 2 and all(bound.isdigit() and int(bound) <= (wanted or 0) for bound in bounds)  # noqa: PLR2004 - the soft and the hard one


def _number(seen: Seen, topic: str) -> list[str]:
    return next(iter(seen.get(topic, ())), "").split()


def _has_no_swap(seen: Seen) -> bool:
    """Whether its cgroup has none (with memory on v1, without on v2), or the node has none."""
    return _number(seen, "swap") in ([str(LIMITS.memory)], ["0"]) or len(seen.get("swaps", ())) == 1  # its heading


def _has_cpu_quota(seen: Seen) -> bool:
    return _number(seen, "cpu")[:1] == [str(int((LIMITS.cpus or 0) * _PERIOD))]


def _has_few_processes(seen: Seen) -> bool:
    return _rlimit(seen, "Max processes", (LIMITS.pids or 0) + HELPER_PROCESSES) and not seen.get("forked")


def _is_bounded(seen: Seen) -> bool:
    _, kind, own = _mount(seen, HOME)
    return kind == "tmpfs" and f"size={(LIMITS.tmpfs or 0) // KIB}k" in own


def _is_noexec(seen: Seen) -> bool:
    return "noexec" in _mount(seen, HOME)[0]


_CHECKS: Mapping[Feature, Callable[[Seen], bool]] = {
    Feature.NON_ROOT: lambda seen: bool(ids := _status(seen, "Uid")) and "0" not in ids,
    Feature.READ_ONLY_ROOT: lambda seen: "ro" in _mount(seen, "/")[0] and "/" not in seen.get("written", ()),
    Feature.READ_ONLY_CODE: lambda seen: "ro" in _mount(seen, "/bot")[0] and "/bot/" not in seen.get("written", ()),
    Feature.CAPABILITIES: lambda seen: all(set(*_status(seen, name)) == {"0"} for name in _SETS),
    Feature.NO_NEW_PRIVILEGES: lambda seen: _status(seen, "NoNewPrivs") == ["1"],
    Feature.SECCOMP: lambda seen: _status(seen, "Seccomp") == ["2"],
    Feature.MEMORY: lambda seen: _number(seen, "memory") == [str(LIMITS.memory)],
    Feature.SWAP: _has_no_swap,
    Feature.CPU: _has_cpu_quota,
    Feature.PIDS: _has_few_processes,
    Feature.OPEN_FILES: lambda seen: _rlimit(seen, "Max open files", LIMITS.open_files),
    Feature.FILE_SIZE: lambda seen: _rlimit(seen, "Max file size", LIMITS.file_size),
    Feature.TMPFS: lambda seen: _is_bounded(seen) and _is_noexec(seen),
}
