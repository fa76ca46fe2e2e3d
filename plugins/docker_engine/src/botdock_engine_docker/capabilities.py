"""What the daemon can enforce, by its own word (`GET /info`), and what `botdock doctor` says of it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import attrs

from botdock.errors import BotdockError, EngineUnavailableError
from botdock.model import Check, EngineCapabilities, Feature
from botdock.model.units import format_bytes
from botdock.seccomp import ARCHITECTURES
from botdock_engine_docker.client import NANO, DockerClient, Server
from botdock_engine_docker.endpoint import Endpoint, find_endpoint
from botdock_engine_docker.errors import ENGINE
from botdock_engine_docker.profile import Machine
from botdock_engine_docker.settings import DockerSettings, read_profile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdock.config import Config

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


TRIED = ("20.10", "26.1")
"""Versions of Docker that contract, drills and attacks are run on."""
CHECK_TIMEOUT = 10.0
"""Seconds for the daemon to answer `botdock doctor`."""
COPIES = (
    "the daemon does not see this machine's files, so each run sends its code, and takes 17 calls in place of 10; "
    "one takes {milliseconds:.0f} ms from here"
)
CLOCKS = 60.0
"""Seconds by which two clocks may differ until times of logs and of certificates are hard to read."""
LOW_DISK = 1024 * 1024 * 1024
"""Bytes; with less, pulling an image is likely to fail."""
LOW_FILES = 20_000
"""Files and folders; an image has some thousands of them."""
_PRUNE = "`docker system prune` frees some."


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


def checks(config: Config) -> Iterable[Check]:
    """Look at the daemon and yield what was found; never raises."""
    try:
        settings = config.options_for("docker", DockerSettings)
        endpoint = find_endpoint(settings)
        read_profile(settings.seccomp)
        client = DockerClient(endpoint, api_version=settings.api_version, connect_timeout=settings.connect_timeout)
    except BotdockError as error:
        return [Check.failed("docker.config", error.message, error.hint or "")]
    try:
        output = config.runtime.limits.output or 0
        found = list(_examine(probe(client, timeout=CHECK_TIMEOUT), endpoint, settings.seccomp, output))
        return [*found, *_far(client)] if client.is_far else found
    except BotdockError as error:
        return [Check.failed("docker.engine", error.message, error.hint or "")]
    finally:
        client.close()


def _examine(probed: Probe, endpoint: Endpoint, seccomp: str, output: int) -> Iterator[Check]:
    tried = any(f"{probed.server.version}.".startswith(f"{version}.") for version in TRIED)
    other = "" if tried else f"; botdock was tried on {' and '.join(TRIED)}"
    yield Check.ok("docker.engine", f"{probed.capabilities.version} at {endpoint.url}{other}")
    missing = probed.missing()
    for feature, (reason, remedy) in missing.items():
        yield Check.failed(f"docker.{feature}", reason, remedy)
    if not missing:
        yield Check.ok("docker.isolation", "the whole of the strict profile is enforced")
    if probed.has_seccomp:
        yield _seccomp(probed.machine.architecture, seccomp)
    yield from _files(probed, endpoint, output)
    if probed.info.get("LiveRestoreEnabled"):
        yield Check.ok("docker.live_restore", "bots outlive a restart of the daemon")
    else:
        remedy = 'Put {"live-restore": true} into /etc/docker/daemon.json and run `sudo systemctl reload docker`.'
        yield Check.warning("docker.live_restore", "bots end when the daemon restarts", remedy)


def _far(client: DockerClient) -> Iterator[Check]:
    """Say how a daemon on another machine is reached, and what that costs."""
    call, begun = client.about("capabilities", timeout=CHECK_TIMEOUT), time.monotonic()
    client.send(call, "GET", "/version")
    cost = COPIES.format(milliseconds=(time.monotonic() - begun) * 1000)
    endpoint = client.endpoint
    if endpoint.ssh:
        yield Check.ok("docker.remote", f"over ssh, by one connection for all; {cost}")
    elif endpoint.certificates or endpoint.socket:
        yield Check.ok(
            "docker.remote", f"{'over TCP with TLS' if endpoint.certificates else 'over a local socket'}; {cost}"
        )
    else:
        remedy = "Start dockerd with `--tlsverify`, or use ssh://: what reaches that port is root on its machine."
        yield Check.warning("docker.remote", f"over TCP, and nothing is encrypted or checked; {cost}", remedy)
    if abs(ahead := client.ahead_ns(call) / NANO) > CLOCKS:
        remedy = "Let both follow the network's time: `timedatectl set-ntp true`."
        yield Check.warning("docker.clock", f"this machine's clock is {ahead:+.0f} s ahead of the daemon's", remedy)


def _seccomp(architecture: str, own: str) -> Check:
    """Say which seccomp profile is in force; where there is none at all, that was said before."""
    if own:
        return Check.ok("docker.seccomp", f"the operator's own profile, {own}")
    if architecture in ARCHITECTURES:
        return Check.ok("docker.seccomp", "botdock's own profile")
    known = " and ".join(ARCHITECTURES)
    remedy = "Set docker.seccomp to a profile of your own, which denies AF_VSOCK sockets and io_uring."
    detail = f"the daemon's default profile: botdock's is for {known}, not {architecture or 'unknown'}"
    return Check.warning("docker.seccomp", detail, remedy)


def _files(probed: Probe, endpoint: Endpoint, output: int) -> Iterator[Check]:
    if endpoint.shared_disk is False:
        return
    if probed.says("selinux"):
        remedy = "Label botdock's state folder for containers: `chcon -Rt container_file_t FOLDER`."
        yield Check.warning("docker.selinux", "SELinux may keep containers from reading mounted folders", remedy)
    running = int(probed.info.get("ContainersRunning") or 0)
    yield from _disk(str(probed.info.get("DockerRootDir") or ""), LOW_DISK + (running + 1) * output)


def _disk(root: str, needed: int) -> Iterator[Check]:
    try:
        found = os.statvfs(root)
    except OSError:
        return  # only root may look there, or it lies on another machine
    free = found.f_bavail * found.f_frsize
    detail = f"{format_bytes(free)} free in {root}; an image and what runs may write {format_bytes(needed)}"
    if free < needed:
        yield Check.warning("docker.disk", detail, _PRUNE)
    else:
        yield Check.ok("docker.disk", detail)
    if found.f_files and found.f_favail < LOW_FILES:
        yield Check.warning("docker.files", f"room for {found.f_favail:,} more files in {root}", _PRUNE)
