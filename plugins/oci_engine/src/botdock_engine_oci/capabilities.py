"""What of the strict profile is enforced, by what a container sees of itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from botdock.model import EngineCapabilities, Feature, Limits
from botdock.model.limits import KIB, MIB
from botdock.model.profile import HOME
from botdock_engine_oci.bundle import PERIOD
from botdock_engine_oci.ids import Users
from botdock_engine_oci.runtimes import cgroup_version

if TYPE_CHECKING:
    from botdock_engine_oci.probing import Probe

Seen = Mapping[str, Sequence[str]]
"""By topic, the lines that a container wrote: `status`, `mounts` and so on; `written` for what it could write."""

LIMITS = Limits(memory=64 * MIB, cpus=0.5, pids=32, open_files=64, file_size=MIB, tmpfs=MIB, output=MIB, result=MIB)
"""Of a container that is tried: unlike any default, so that a bound that is seen is the one that was asked for."""
SUBORDINATE = "300000-365535"
"""User ids that are seldom taken."""
_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_CGROUPS = {
    Feature.MEMORY: "there is no memory limit for a bot",
    Feature.SWAP: "swap is not accounted for, so a bot may use its memory limit once more in swap",
    Feature.CPU: "there is no limit of processor time for a bot",
    Feature.PIDS: "there is no limit of processes for a bot",
}
_MENDS_ROOT = (
    "Mount that cgroup controller (cgroup v2 has them all; swap on v1 wants the kernel's option `swapaccount=1`)"
)
_MENDS_V1 = "Run botdock as root, who has the cgroups of this machine"
_MENDS_V2 = (
    "Start botdock by `systemd-run --user --scope`, below user@.service, to which systemd gives cgroups "
    "(`Delegate=memory pids cpu`); or run it as root"
)


def missing_features(seen: Seen, users: Users) -> dict[Feature, str]:
    """Return each feature that is not enforced, with the reason and what mends it."""
    missing = {
        feature: f"{_reason(feature)}. {_mend(feature, users)}." for feature in Feature if not _CHECKS[feature](seen)
    }
    if Feature.NON_ROOT in missing and users.own is not None and not users.ids:
        missing[Feature.NON_ROOT] = (
            f"the bot runs as you (user id {users.own[0]}) in a user namespace, whose root it is, with no capability. "
            f"Give yourself user ids for bots: `apt-get install uidmap`, and as root `usermod --add-subuids "
            f"{SUBORDINATE} --add-subgids {SUBORDINATE} $USER`."
        )
    return missing


def _reason(feature: Feature) -> str:
    return _CGROUPS.get(feature, f"a container that was tried lacks {feature.value}")


def _mend(feature: Feature, users: Users) -> str:
    if feature not in _CGROUPS:
        return "Install another runtime, or a newer one"
    if users.own is None:
        return _MENDS_ROOT
    return _MENDS_V1 if cgroup_version() == 1 else _MENDS_V2


def capabilities(found: Probe, rootfs: str) -> EngineCapabilities:
    """Return what botdock's users are told.

    Args:
        found: What was found.
        rootfs: What bots see as the root file system, in words.
    """
    version = f"{found.runtime} (cgroup v{cgroup_version()}) on {rootfs}"
    return EngineCapabilities(engine="oci", version=version, enforced=found.enforced, missing=dict(found.missing))


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


def _rlimit(name: str, wanted: int | None) -> Callable[[Seen], bool]:
    def is_set(seen: Seen) -> bool:
        line = next((line for line in seen.get("limits", ()) if line.startswith(name)), "")
        bounds = re.findall(r"\b(?:[0-9]+|unlimited)\b", line)[:2]
        return len(bounds) == 2 and all(bound.isdigit() and int(bound) <= (wanted or 0) for bound in bounds)  # noqa: PLR2004 - the soft and the hard one

    return is_set


def _number(seen: Seen, topic: str) -> list[str]:
    return next(iter(seen.get(topic, ())), "").split()


def _has_swap_limit(seen: Seen) -> bool:
    return _number(seen, "swap") in ([str(LIMITS.memory)], ["0"])  # with memory on v1, without on v2


def _has_cpu_quota(seen: Seen) -> bool:
    return _number(seen, "cpu")[:1] == [str(int((LIMITS.cpus or 0) * PERIOD))]


def _has_bounded_tmp(seen: Seen) -> bool:
    options, kind, own = _mount(seen, HOME)
    return kind == "tmpfs" and "noexec" in options and f"size={(LIMITS.tmpfs or 0) // KIB}k" in own


_CHECKS: Mapping[Feature, Callable[[Seen], bool]] = {
    Feature.NETWORK: lambda seen: len(seen.get("routes", ())) == 1,  # its heading alone
    Feature.NON_ROOT: lambda seen: bool(ids := _status(seen, "Uid")) and "0" not in ids,
    Feature.READ_ONLY_ROOT: lambda seen: "ro" in _mount(seen, "/")[0] and "/" not in seen.get("written", ()),
    Feature.READ_ONLY_CODE: lambda seen: "ro" in _mount(seen, "/bot")[0] and "/bot/" not in seen.get("written", ()),
    Feature.CAPABILITIES: lambda seen: all(set(*_status(seen, name)) == {"0"} for name in _SETS),
    Feature.NO_NEW_PRIVILEGES: lambda seen: _status(seen, "NoNewPrivs") == ["1"],
    Feature.SECCOMP: lambda seen: _status(seen, "Seccomp") == ["2"],
    Feature.MEMORY: lambda seen: _number(seen, "memory") == [str(LIMITS.memory)],
    Feature.SWAP: _has_swap_limit,
    Feature.CPU: _has_cpu_quota,
    Feature.PIDS: lambda seen: _number(seen, "pids") == [str(LIMITS.pids)],
    Feature.OPEN_FILES: _rlimit("Max open files", LIMITS.open_files),
    Feature.FILE_SIZE: _rlimit("Max file size", LIMITS.file_size),
    Feature.TMPFS: _has_bounded_tmp,
}
