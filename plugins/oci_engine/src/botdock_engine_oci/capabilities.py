"""What of the strict profile is enforced, by what a container sees of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from botdock.model import EngineCapabilities, Feature, Limits
from botdock.model.enforcement import Seen, checks_for, words_of
from botdock.model.limits import MIB
from botdock_engine_oci.ids import Users
from botdock_engine_oci.runtimes import cgroup_version

if TYPE_CHECKING:
    from botdock_engine_oci.probing import Probe

LIMITS = Limits(memory=64 * MIB, cpus=0.5, pids=32, open_files=64, file_size=MIB, tmpfs=MIB, output=MIB, result=MIB)
"""Of a container that is tried: unlike any default, so that a bound that is seen is the one that was asked for."""
SUBORDINATE = "300000-365535"
"""User ids that are seldom taken."""
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


_CHECKS: Mapping[Feature, Callable[[Seen], bool]] = {
    **checks_for(LIMITS),
    Feature.NETWORK: lambda seen: len(seen.get("routes", ())) == 1,  # its heading alone
    Feature.PIDS: lambda seen: words_of(seen, "pids") == [str(LIMITS.pids)],
}
