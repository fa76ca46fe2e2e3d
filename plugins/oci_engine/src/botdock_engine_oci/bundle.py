"""The strict profile: from a template and a run to the `config.json` of an OCI runtime. Pure: nothing is looked at.

Everything that a bot gets is written out here; what is not has no default that would add it. As with Docker's
network `none`, the runtime sets up the loopback interface, which leads nowhere but to the container's own processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import attrs

from botdock.errors import PolicyError
from botdock.model import DEFAULT_LIMITS, Feature
from botdock.model.profile import (
    HOME,
    HOSTNAME,
    LOCKED_BYTES,
    PERIOD,
    QUEUE_BYTES,
    SHARED_MEMORY,
    SIGNALS,
    USUAL_ENVIRONMENT,
    inodes_of,
)
from botdock.seccomp import ARCHITECTURES, allow_list

if TYPE_CHECKING:
    from botdock.model import ContainerRun, ContainerTemplate, Limits
    from botdock_engine_oci.ids import Ids
    from botdock_engine_oci.rootfs import RootFs

ROOT = "rootfs"
"""Where the root is mounted: a folder beside the configuration, unless another one takes its place."""
SPECIFICATION = "1.0.2"
"""Of the OCI runtime; crun 1.8 and runc 1.1 know it."""
SECRETS_BYTES, SECRETS_FILES = 16 * 1024 * 1024, 4096
"""Of the folder that the bot's secrets are in; all its variables together have 1 MiB at most."""
SHORTEST_QUOTA = 1000
"""Microseconds; the kernel refuses less."""

INIT = 'exec 3>&2 2>/dev/null\n(exec "$@" 2>&3 3>&-)\nexit $?'
"""Runs as the first process, in any `sh`: it starts the bot, reaps what that leaves behind, and ends as it did.

A bot that were the first process itself would not be ended by SIGTERM, nor by `abort`: the kernel keeps such signals
from it. What a shell says of a child's death is not the bot's word, so it goes nowhere."""

NAMESPACES = ("pid", "mount", "ipc", "uts", "network", "cgroup")
MASKED = (
    *("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
    *("/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats"),
    *("/sys/devices/virtual/powercap", "/sys/firmware"),
)
"""What tells of the machine, or of others on it."""
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_SAFE = ("nosuid", "nodev", "noexec")
_SHOWN = ("bind", "ro", "nosuid", "nodev")


@attrs.frozen(kw_only=True)
class Machine:
    """What the machine offers.

    Attributes:
        enforced: What of the strict profile is enforced; what cannot be is not asked for.
        cgroup_version: 1 or 2.
        architecture: Its processors', as the kernel names them.
        rlimits: The hard limits of this process, by name such as `RLIMIT_NOFILE`: without a capability they can only
            be lowered. One that is absent has no bound.
    """

    enforced: frozenset[Feature] = frozenset(Feature)
    cgroup_version: int = 2
    architecture: str = "x86_64"
    rlimits: Mapping[str, int] = attrs.field(factory=dict)


def bundle(
    template: ContainerTemplate, run: ContainerRun, *, rootfs: RootFs, machine: Machine, cgroup: str, ids: Ids
) -> dict[str, Any]:
    """Return the configuration of a container.

    Args:
        template: What it has in common with others.
        run: What is its own.
        rootfs: Its root file system.
        machine: What can be enforced here.
        cgroup: The path of its cgroup, below what the runtime takes for the root of all; empty for the runtime's own
            choice.
        ids: Its user.

    Raises:
        PolicyError: It wants a network.
    """
    if template.network != "none":
        raise PolicyError(
            f"network {template.network!r} is not there: bots of the oci engine have no network",
            setting="policy.networks",
            hint="Leave the network at `none`, or use --engine docker.",
        )
    return {
        "ociVersion": SPECIFICATION,
        "hostname": HOSTNAME,
        "root": {"path": ROOT, "readonly": True},
        "process": _process(template, rootfs, machine, ids),
        "mounts": list(_mounts(template, run, rootfs, machine, ids)),
        "linux": _linux(template.limits, machine, cgroup, ids),
    }


def _process(template: ContainerTemplate, rootfs: RootFs, machine: Machine, ids: Ids) -> dict[str, Any]:
    usual = {"PATH": rootfs.search_path, **USUAL_ENVIRONMENT}
    environment = {**rootfs.environment, **usual, **template.environment}
    return {
        "terminal": False,
        "user": {"uid": ids.user, "gid": ids.user, "umask": 0o022},
        "args": ["/bin/sh", "-c", INIT, "sh", *template.command, template.context_target],
        "env": [f"{name}={value}" for name, value in environment.items()],
        "cwd": template.code_target,
        "capabilities": {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")},
        "noNewPrivileges": True,
        "rlimits": [
            {"type": name, "soft": bound, "hard": bound}
            for name, value in _rlimits(template.limits).items()
            for bound in [min(value, machine.rlimits.get(name, value))]
        ],
    }


def _rlimits(limits: Limits) -> dict[str, int]:
    complete = cast("Any", limits.over(DEFAULT_LIMITS))  # so that no limit is None
    return {
        "RLIMIT_NOFILE": complete.open_files,
        "RLIMIT_FSIZE": complete.file_size,
        "RLIMIT_CORE": 0,
        "RLIMIT_SIGPENDING": SIGNALS,
        "RLIMIT_MSGQUEUE": QUEUE_BYTES,
        "RLIMIT_MEMLOCK": LOCKED_BYTES,
    }


def _mounts(
    template: ContainerTemplate, run: ContainerRun, rootfs: RootFs, machine: Machine, ids: Ids
) -> Iterator[dict[str, Any]]:
    size = template.limits.over(DEFAULT_LIMITS).tmpfs or 0
    tty_group = () if ids.mappings else ("gid=5",)  # which is not mapped in a user namespace
    yield _mount("proc", "/proc", *_SAFE)
    yield _mount("tmpfs", "/dev", "nosuid", "noexec", "strictatime", "ro", "mode=755", "size=64k")
    yield _mount("devpts", "/dev/pts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", *tty_group)
    yield _mount("mqueue", "/dev/mqueue", *_SAFE)
    yield _tmpfs("/dev/shm", min(size, SHARED_MEMORY))  # noqa: S108 - in its container
    yield _mount("sysfs", "/sys", *_SAFE, "ro")
    if machine.cgroup_version > 1 or not ids.mappings:  # else a tmpfs that the root of the namespace may write
        yield _mount("cgroup", "/sys/fs/cgroup", *_SAFE, "relatime", "ro")
    for target, source in rootfs.binds.items():
        yield _bind(source, target)
    yield _tmpfs(HOME, size)
    if run.secrets_target:
        yield _tmpfs(
            run.secrets_target, SECRETS_BYTES, SECRETS_FILES, f"uid={ids.user}", f"gid={ids.user}", mode="0700"
        )
    yield _bind(run.code, template.code_target)
    yield _bind(template.program, template.program_target)
    yield _bind(run.context, template.context_target)
    yield {**_bind(run.result, template.result_target), "options": ["bind", "rw", *_SAFE]}


def _mount(kind: str, target: str, *options: str) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": kind, "options": list(options)}


def _tmpfs(target: str, size: int, inodes: int = 0, *more: str, mode: str = "1777") -> dict[str, Any]:
    inodes = inodes or inodes_of(size)
    return _mount("tmpfs", target, *_SAFE, f"mode={mode}", f"size={size}", f"nr_inodes={inodes}", *more)


def _bind(source: str, target: str) -> dict[str, Any]:
    """Return a read-only mount of a folder or file alone: what is mounted below the source would stay writable."""
    return {"destination": target, "type": "bind", "source": source, "options": list(_SHOWN)}


def _linux(limits: Limits, machine: Machine, cgroup: str, ids: Ids) -> dict[str, Any]:
    namespaces = [*NAMESPACES, *(["user"] if ids.mappings else [])]
    users, groups = (
        [{"containerID": inside, "hostID": outside, "size": size} for inside, outside, size in mappings]
        for mappings in (ids.mappings, ids.group_mappings)
    )
    seccomp = Feature.SECCOMP in machine.enforced and machine.architecture in ARCHITECTURES
    return {
        "namespaces": [{"type": name} for name in namespaces],
        **({"uidMappings": users, "gidMappings": groups} if users else {}),
        **({"cgroupsPath": cgroup} if cgroup else {}),
        "resources": {"devices": [{"allow": False, "access": "rwm"}], **_resources(limits, machine)},
        **({"seccomp": _seccomp(machine.architecture)} if seccomp else {}),
        "maskedPaths": list(MASKED),
        "readonlyPaths": list(READ_ONLY),
    }


def _resources(limits: Limits, machine: Machine) -> dict[str, Any]:
    complete = cast("Any", limits.over(DEFAULT_LIMITS))  # so that no limit is None
    memory: dict[str, int] = {}
    if Feature.MEMORY in machine.enforced:
        memory["limit"] = complete.memory
        if Feature.SWAP in machine.enforced:
            memory["swap"] = complete.memory  # memory and swap together: so there is no swap
            if machine.cgroup_version == 1:
                memory["swappiness"] = 0  # cgroup v2 has no such knob
    quota = max(SHORTEST_QUOTA, int(complete.cpus * PERIOD))
    return {
        **({"memory": memory} if memory else {}),
        **({"cpu": {"quota": quota, "period": PERIOD}} if Feature.CPU in machine.enforced else {}),
        **({"pids": {"limit": complete.pids}} if Feature.PIDS in machine.enforced else {}),
    }


@cache
def _seccomp(architecture: str) -> dict[str, Any]:
    """Return botdock's list of system calls, for one architecture: the calls of others kill the bot.

    What it returns is shared, and so not to be changed.
    """
    listed = allow_list()
    rules = [{key: value for key, value in rule.items() if key != "comment"} for rule in listed["syscalls"]]
    return {**listed, "architectures": [ARCHITECTURES[architecture]], "syscalls": rules}
