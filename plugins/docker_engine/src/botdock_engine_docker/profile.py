"""The strict profile: from a template and a run to what Docker is asked to create. Pure: no call is made here.

Everything that the profile turns off is written out, so that neither the image nor the daemon's defaults decide.
"""

from __future__ import annotations

import json
from functools import cache, partial
from posixpath import normpath
from typing import TYPE_CHECKING, Any, cast

import attrs

from botdock.errors import PolicyError
from botdock.model import DEFAULT_LIMITS, Feature
from botdock.model.profile import (
    HOME,
    HOSTNAME,
    IDENTITY_FILES,
    LOCKED_BYTES,
    QUEUE_BYTES,
    SHARED_MEMORY,
    SIGNALS,
    USUAL_ENVIRONMENT,
    inodes_of,
)
from botdock.seccomp import ARCHITECTURES, allow_list

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdock.model import ContainerRun, ContainerTemplate, Limits

LOG_FACTOR = 2
"""The log may take so many times the output limit: each line of it costs some 40 bytes of bookkeeping."""
LOG_HEADROOM = 1024 * 1024
"""Bytes more, for what a bot writes until it is killed for having written too much."""
LOG_FILES = 2
"""With one, Docker would empty the only file when it is full."""
NANO = 1_000_000_000
VOLUME = "/.botdock"
"""Where the volume itself appears that a run's files lie in; root alone may enter it."""
SECRETS = "rw,noexec,nosuid,nodev,mode=700,size=16777216,nr_inodes=4096"
"""Of the folder that the bot's secrets are in; all its variables together have 1 MiB at most."""
LABEL_USER = "io.botdock.user"
"""The user id that a container has to itself until it is removed."""
MAPPED_USERS = range(1000, 65534)
"""What there is on a daemon with user namespaces, which maps the ids below 65536 alone."""


@attrs.frozen(kw_only=True)
class Machine:
    """What the daemon's machine offers.

    Attributes:
        enforced: What of the strict profile it enforces; what it cannot is not asked for.
        cpus: Its processors; Docker refuses to allow more. 0 for not known.
        cgroup_version: 1 or 2.
        architecture: Its processors', as the kernel names them.
        maps_users: Whether the ids of its containers are others on the machine: rootless, or with `userns-remap`.
    """

    enforced: frozenset[Feature] = frozenset(Feature)
    cpus: int = 0
    cgroup_version: int = 2
    architecture: str = "x86_64"
    maps_users: bool = False


@attrs.frozen(kw_only=True)
class Tuning:
    """What the operator sets for all containers.

    Attributes:
        cpu_shares: Relative weight when processors are short; 0 for the daemon's default.
        runtime: OCI runtime such as `runsc`; empty for the daemon's default.
        users: The user ids that bots run as.
        seccomp: A seccomp profile, JSON; empty for botdock's own.
    """

    cpu_shares: int = 0
    runtime: str = ""
    users: range = range(2_000_000, 2_065_536)
    seccomp: str = ""

    def users_on(self, machine: Machine) -> range:
        """Return the user ids there are on a machine."""
        return MAPPED_USERS if machine.maps_users and self.users[-1] not in MAPPED_USERS else self.users


def create_request(
    template: ContainerTemplate,
    run: ContainerRun,
    *,
    user: int,
    machine: Machine,
    tuning: Tuning,
    volumes: Iterable[str] = (),
    volume: str = "",
) -> dict[str, Any]:
    """Return the body of `POST /containers/create`.

    Args:
        template: What it has in common with others.
        run: What is its own.
        user: Its user id, and group id.
        machine: What can be enforced there.
        tuning: The operator's settings.
        volumes: Where the image declares volumes: each becomes a sized tmpfs, not a folder on the host's disk.
        volume: The volume that the files lie in, which so stays as long as the container; empty for none.

    Raises:
        PolicyError: The network is another's.
    """
    _check_network(template.network)
    program, *arguments = template.command
    # Docker's init, which is tini, reads one variable: else it would signal the main process alone
    environment = {**USUAL_ENVIRONMENT, "TINI_KILL_PROCESS_GROUP": "1", **template.environment}
    return {
        "Image": template.image,
        "Entrypoint": [program],
        "Cmd": [*arguments, template.context_target],
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Labels": {**run.annotations, **run.selectors, LABEL_USER: str(user)},
        "WorkingDir": template.code_target,
        "User": f"{user}:{user}",
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
        "HostConfig": {
            **_host_config(template, machine, tuning),
            **_file_systems(template, run, user, volumes, volume),
        },
    }


def _host_config(template: ContainerTemplate, machine: Machine, tuning: Tuning) -> dict[str, Any]:
    log_size = LOG_FACTOR * (template.limits.over(DEFAULT_LIMITS).output or 0) + LOG_HEADROOM
    return {
        **_isolation(template.network),
        "SecurityOpt": ["no-new-privileges", *_seccomp(machine, tuning)],  # AppArmor keeps the daemon's default profile
        **_limits(template.limits, machine),
        **({"CpuShares": tuning.cpu_shares} if tuning.cpu_shares else {}),
        **({"Runtime": tuning.runtime} if tuning.runtime else {}),
        "Init": True,  # forwards SIGTERM to the bot's process group, and reaps what the bot leaves behind
        "AutoRemove": False,  # it would take the log along before it can be read
        "RestartPolicy": {"Name": "no"},
        # `local` is the only driver that keeps bytes as they are and can be read back
        "LogConfig": {
            "Type": "local",
            "Config": {"max-size": str(log_size), "max-file": str(LOG_FILES), "compress": "false"},
        },
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
        "Devices": [],
        "DeviceRequests": [],
        "DeviceCgroupRules": [],
        "GroupAdd": [],
        "PublishAllPorts": False,
        "OomKillDisable": False,
    }


def _seccomp(machine: Machine, tuning: Tuning) -> list[str]:
    """Return the option that names the profile; the daemon's default holds where botdock's does not fit the machine."""
    fits = machine.architecture in ARCHITECTURES
    found = tuning.seccomp or (own_profile() if fits else "")
    return [f"seccomp={found}"] if found and Feature.SECCOMP in machine.enforced else []


@cache
def own_profile() -> str:
    """Return botdock's profile of system calls as Docker takes it: JSON."""
    architectures = [{"architecture": name, "subArchitectures": []} for name in ARCHITECTURES.values()]
    return json.dumps({**allow_list(), "archMap": architectures}, separators=(",", ":"))


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
            _ulimit("sigpending", SIGNALS),
            _ulimit("msgqueue", QUEUE_BYTES),
            _ulimit("memlock", LOCKED_BYTES),
        ],
    }


def _ulimit(name: str, value: int) -> dict[str, Any]:
    return {"Name": name, "Soft": value, "Hard": value}


def _file_systems(
    template: ContainerTemplate, run: ContainerRun, user: int, volumes: Iterable[str], volume: str
) -> dict[str, Any]:
    bind = partial(_bind, propagation="rslave" if volume else "private")  # Docker wants it of what is its own
    shown = {
        template.code_target: run.code,
        template.program_target: template.program,
        template.context_target: run.context,
        template.result_target: run.result,
    }
    size = template.limits.over(DEFAULT_LIMITS).tmpfs or 0
    tmpfs = f"rw,noexec,nosuid,nodev,mode=1777,size={size},nr_inodes={inodes_of(size)}"
    return {
        "ReadonlyRootfs": True,
        "Tmpfs": {
            **dict.fromkeys(sorted({HOME, *map(normpath, volumes)} - shown.keys()), tmpfs),
            **({run.secrets_target: f"{SECRETS},uid={user},gid={user}"} if run.secrets_target else {}),
        },
        "Mounts": [
            *(bind(source, target, read_only=target != template.result_target) for target, source in shown.items()),
            *([volume_mount(volume, read_only=True)] if volume else []),
            *(bind(f"{run.context}/{name}", f"/etc/{name}", read_only=True) for name in IDENTITY_FILES),
        ],
    }


def _bind(source: str, target: str, *, read_only: bool, propagation: str) -> dict[str, Any]:
    """Return a mount of type `bind`: unlike with `Binds`, a source that is missing is an error and never made."""
    return {
        "Type": "bind",
        "Source": source,
        "Target": target,
        "ReadOnly": read_only,
        # a mount below the source would stay writable in a read-only bind of an older kernel, so none is taken along
        "BindOptions": {"Propagation": propagation, "NonRecursive": True},
    }


def volume_mount(name: str, *, read_only: bool = False) -> dict[str, Any]:
    """Return a mount of the volume that a run's files lie in."""
    options = {"NoCopy": True}  # of what the image has there
    return {"Type": "volume", "Source": name, "Target": VOLUME, "ReadOnly": read_only, "VolumeOptions": options}


def _check_network(network: str) -> None:
    if network == "host" or network.startswith("container:") or not network:
        raise PolicyError(
            f"network {network!r} would put the bot into a network that is not its own",
            setting="policy.networks",
            hint="Name `none`, or a network of Docker's: `docker network ls` lists them.",
        )
