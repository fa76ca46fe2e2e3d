"""What the daemon can enforce, by its own word: `GET /info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from botdock.errors import EngineUnavailableError
from botdock.model import EngineCapabilities, Feature
from botdock_engine_docker.errors import ENGINE
from botdock_engine_docker.profile import Machine
from botdock_engine_docker.seccomp import ARCHITECTURES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdock_engine_docker.client import DockerClient, Server

_CGROUP = (
    "Mount that cgroup controller on the daemon's machine (cgroup v2 has them all), or allow it: policy.unenforced."
)
_FLAGS: Mapping[Feature, tuple[str, str, str]] = {
    Feature.MEMORY: ("MemoryLimit", "the kernel has no memory limit for the daemon", _CGROUP),
    Feature.SWAP: (
        "SwapLimit",
        "the kernel does not account for swap, so a bot may use its memory limit once more in swap",
        "Boot with `cgroup_enable=memory swapaccount=1` or with cgroup v2, or allow it: policy.unenforced.",
    ),
    Feature.CPU: ("CpuCfsQuota", "the kernel has no CPU quota for the daemon", _CGROUP),
    Feature.PIDS: ("PidsLimit", "the kernel has no limit of processes for the daemon", _CGROUP),
}
"""Per feature: the daemon's word for it, what its absence means, and what mends it."""
_SECCOMP = "the daemon has no seccomp, or none by default on a machine that botdock's profile does not fit"
_SECCOMP_REMEDY = "Run dockerd on a kernel with seccomp, without `--seccomp-profile=unconfined`."


@attrs.frozen(kw_only=True)
class Probe:
    """What one look at the daemon tells.

    Attributes:
        server: What answers.
        info: Its answer to `GET /info`.
    """

    server: Server
    info: Mapping[str, Any]

    @property
    def capabilities(self) -> EngineCapabilities:
        """What botdock's users are told."""
        missing = {feature: f"{reason}. {remedy}" for feature, (reason, remedy) in self.missing().items()}
        return EngineCapabilities(
            engine=ENGINE,
            version=f"Docker {self.server.version} (API {self.server.api}, cgroup v{self.cgroup_version})",
            enforced=frozenset(Feature) - set(missing),
            missing=missing,
        )

    @property
    def machine(self) -> Machine:
        """What the profile needs to know."""
        return Machine(
            enforced=frozenset(Feature) - set(self.missing()),
            cpus=int(self.info.get("NCPU") or 0),
            cgroup_version=self.cgroup_version,
            architecture=self.architecture,
            maps_users=self.says("userns") or self.says("rootless"),
        )

    @property
    def cgroup_version(self) -> int:
        """1 or 2; daemons that do not say have 1."""
        return int(self.info.get("CgroupVersion") or 1)

    def missing(self) -> dict[Feature, tuple[str, str]]:
        """Return what cannot be enforced: the reason, and what mends it.

        The rest of the profile (namespaces, capabilities, rlimits, tmpfs, read-only mounts) every kernel has that
        runs Docker 20.10 or newer.
        """
        missing = {
            feature: (reason, remedy)
            for feature, (flag, reason, remedy) in _FLAGS.items()
            if not self.info.get(flag, False)
        }
        if not self.has_seccomp:
            missing[Feature.SECCOMP] = (_SECCOMP, _SECCOMP_REMEDY)
        return missing

    @property
    def has_seccomp(self) -> bool:
        """Whether containers get a seccomp profile: botdock's, or where that does not fit the daemon's default."""
        fits = self.architecture in ARCHITECTURES
        return self.says("seccomp") and (fits or not self.says("seccomp", "profile=unconfined"))

    @property
    def architecture(self) -> str:
        """The machine's processors, such as `x86_64`."""
        return str(self.info.get("Architecture") or "")

    def says(self, option: str, *details: str) -> bool:
        """Whether the daemon names a security option, such as `selinux`, with these details."""
        options = [set(said.split(",")) for said in self.info.get("SecurityOptions") or ()]
        return any({f"name={option}", *details} <= said for said in options)


def probe(client: DockerClient, *, timeout: float) -> Probe:
    """Look at the daemon.

    Raises:
        EngineUnavailableError: It does not answer, is too old, or runs Windows containers.
    """
    server = client.server(timeout=timeout)
    call = client.about("capabilities", timeout=timeout)
    if server.os != "linux":
        hint = "Switch it to Linux containers."
        raise call.error(EngineUnavailableError, f"the engine runs {server.os} containers", hint=hint)
    info = client.send(call, "GET", "/info")
    if not isinstance(info, dict):
        raise call.error(EngineUnavailableError, "what answers is not a Docker engine")
    return Probe(server=server, info=info)
