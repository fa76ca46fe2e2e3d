"""The strict profile: from a `ContainerSpec` to what Docker is asked to create. Pure: no call is made here.

Everything that the profile turns off is written out, so that neither the image nor the daemon's defaults decide.
"""

from __future__ import annotations

import re
from posixpath import normpath
from typing import TYPE_CHECKING, Any, cast

import attrs

from botdock.errors import PolicyError
from botdock.model import DEFAULT_LIMITS, Feature

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdock.model import ContainerSpec, Limits, Mount

TMP = "/tmp"  # noqa: S108 - the bot's own, in its container
SHARED_MEMORY = 64 * 1024 * 1024
"""Bytes of /dev/shm at most; Docker's own default."""
BYTES_PER_INODE = 4096
"""A tmpfs may hold one file per so many bytes: its files cost kernel memory, however small they are."""
FEWEST_INODES = 1024
LOG_FACTOR = 2
"""The log may take so many times the output limit: each line of it costs some 40 bytes of bookkeeping."""
LOG_HEADROOM = 1024 * 1024
"""Bytes more, for what a bot writes until it is killed for having written too much."""
LOG_FILES = 2
"""With one, Docker would empty the only file when it is full."""
NANO = 1_000_000_000
HOSTNAME = "botdock"

_NUMERIC = re.compile(r"(\d{1,10}):(\d{1,10})")


@attrs.frozen(kw_only=True)
class Machine:
    """What the daemon's machine offers.

    Attributes:
        enforced: What of the strict profile it enforces; what it cannot is not asked for.
        cpus: Its processors; Docker refuses to allow more. 0 for not known.
        cgroup_version: 1 or 2.
    """

    enforced: frozenset[Feature] = frozenset(Feature)
    cpus: int = 0
    cgroup_version: int = 2


@attrs.frozen(kw_only=True)
class Tuning:
    """What the operator sets for all containers.

    Attributes:
        cpu_shares: Relative weight when processors are short; 0 for the daemon's default.
        runtime: OCI runtime such as `runsc`; empty for the daemon's default.
    """

    cpu_shares: int = 0
    runtime: str = ""


def create_request(
    spec: ContainerSpec, *, machine: Machine, tuning: Tuning, volumes: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the body of `POST /containers/create`.

    Args:
        spec: The container.
        machine: What can be enforced there.
        tuning: The operator's settings.
        volumes: Where the image declares volumes: each becomes a sized tmpfs, not a folder on the host's disk.

    Raises:
        PolicyError: The user is root or has a name, or the network is another's.
    """
    _check_user(spec.user)
    _check_network(spec.network)
    program, *arguments = spec.command
    return {
        "Image": spec.image,
        "Entrypoint": [program],
        "Cmd": arguments,
        "Env": [f"{name}={value}" for name, value in _environment(spec).items()],
        "Labels": dict(spec.labels),
        "WorkingDir": spec.working_dir,
        "User": spec.user,
        "Hostname": HOSTNAME,
        "Domainname": "",
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "StopSignal": "SIGTERM",
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(spec, machine, tuning, volumes),
    }


def _host_config(spec: ContainerSpec, machine: Machine, tuning: Tuning, volumes: Iterable[str]) -> dict[str, Any]:
    return {
        **_isolation(spec.network),
        **_limits(spec.limits, machine),
        **_file_systems(spec, volumes),
        **({"CpuShares": tuning.cpu_shares} if tuning.cpu_shares else {}),
        **({"Runtime": tuning.runtime} if tuning.runtime else {}),
        "Init": True,  # forwards SIGTERM to the bot, and reaps what the bot leaves behind
        "AutoRemove": False,  # it would take the log along before it can be read
        "RestartPolicy": {"Name": "no"},
        "LogConfig": _log_config(spec.limits),
    }


def _isolation(network: str) -> dict[str, Any]:
    return {
        "NetworkMode": network,
        **({"Dns": ["127.0.0.1"], "DnsSearch": ["."]} if network == "none" else {}),  # else the host's would be shown
        "IpcMode": "private",
        "PidMode": "",
        "UTSMode": "",
        "CgroupnsMode": "private",
        "Privileged": False,
        "CapAdd": [],
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],  # seccomp and AppArmor keep the daemon's default profiles
        "Devices": [],
        "DeviceRequests": [],
        "DeviceCgroupRules": [],
        "GroupAdd": [],
        "PublishAllPorts": False,
        "OomKillDisable": False,
    }


def _limits(limits: Limits, machine: Machine) -> dict[str, Any]:
    complete = cast("Any", limits.over(DEFAULT_LIMITS))  # so that no limit is None
    asked: dict[Feature, dict[str, Any]] = {
        Feature.MEMORY: {"Memory": complete.memory},
        Feature.SWAP: {"MemorySwap": complete.memory},  # memory and swap together: so there is no swap
        Feature.CPU: {"NanoCpus": int(min(complete.cpus, machine.cpus or complete.cpus) * NANO)},
        Feature.PIDS: {"PidsLimit": complete.pids},
    }
    enforced = {
        name: value for feature in asked if feature in machine.enforced for name, value in asked[feature].items()
    }
    if "Memory" not in enforced:
        enforced.pop("MemorySwap", None)  # Docker refuses the one without the other
    elif "MemorySwap" in enforced and machine.cgroup_version == 1:
        enforced["MemorySwappiness"] = 0  # cgroup v2 has no such knob
    return {
        **enforced,
        "ShmSize": min(complete.tmpfs, SHARED_MEMORY),
        "Ulimits": [
            _ulimit("nofile", complete.open_files),
            _ulimit("fsize", complete.file_size),
            _ulimit("core", 0),
        ],
    }


def _ulimit(name: str, value: int) -> dict[str, Any]:
    return {"Name": name, "Soft": value, "Hard": value}


def _file_systems(spec: ContainerSpec, volumes: Iterable[str]) -> dict[str, Any]:
    ours = {mount.target for mount in (spec.code, spec.files, spec.result)}
    size = spec.limits.over(DEFAULT_LIMITS).tmpfs or 0
    return {
        "ReadonlyRootfs": True,
        "Tmpfs": {target: _tmpfs(size) for target in sorted({TMP, *map(normpath, volumes)} - ours)},
        "Mounts": [
            _bind(spec.code, read_only=True),
            _bind(spec.files, read_only=True),
            _bind(spec.result, read_only=False),
        ],
    }


def _tmpfs(size: int) -> str:
    inodes = max(FEWEST_INODES, size // BYTES_PER_INODE)
    return f"rw,noexec,nosuid,nodev,mode=1777,size={size},nr_inodes={inodes}"


def _bind(mount: Mount, *, read_only: bool) -> dict[str, Any]:
    """Return a mount of type `bind`: unlike with `Binds`, a source that is missing is an error and never made."""
    return {
        "Type": "bind",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": read_only,
        # a mount below the source would stay writable in a read-only bind of an older kernel, so none is taken along
        "BindOptions": {"Propagation": "private", "NonRecursive": True},
    }


def _log_config(limits: Limits) -> dict[str, Any]:
    output = limits.over(DEFAULT_LIMITS).output or 0
    size = LOG_FACTOR * output + LOG_HEADROOM
    # `local` is the only driver that keeps bytes as they are and can be read back
    return {"Type": "local", "Config": {"max-size": str(size), "max-file": str(LOG_FILES), "compress": "false"}}


def _environment(spec: ContainerSpec) -> dict[str, str]:
    return {"HOME": TMP, "TMPDIR": TMP, **spec.environment}


def _check_user(user: str) -> None:
    match = _NUMERIC.fullmatch(user)
    if match is None or not all(int(number) for number in match.groups()):
        raise PolicyError(
            f"docker.user: {user!r} must be uid:gid, both numbers and neither of them 0",
            setting="docker.user",
            hint="Bots never run as root; leave docker.user as it is, or write for example '65532:65532'.",
        )


def _check_network(network: str) -> None:
    if network == "host" or network.startswith("container:") or not network:
        raise PolicyError(
            f"network {network!r} would put the bot into a network that is not its own",
            setting="policy.networks",
            hint="Name `none`, or a network of Docker's: `docker network ls` lists them.",
        )
