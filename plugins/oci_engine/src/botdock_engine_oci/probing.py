"""Which runtime works here, and what of the strict profile it really enforces: seen from within a container."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import secrets
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from botdock.archive import remove_tree
from botdock.errors import EngineUnavailableError
from botdock.model import Feature
from botdock.model.enforcement import seen_in, tried
from botdock.shim import kill_all, remove_all
from botdock_engine_oci.bundle import ROOT, Machine, bundle
from botdock_engine_oci.capabilities import LIMITS, missing_features
from botdock_engine_oci.cgroups import folders_of, group_of
from botdock_engine_oci.ids import Users, find_users
from botdock_engine_oci.rootfs import find_rootfs
from botdock_engine_oci.roots import Root
from botdock_engine_oci.runtimes import Runtime, advice, cgroup_version, how_to_install, installed, with_version
from botdock_engine_oci.settings import OciSettings

VERSION = 1
"""Of what is kept of a probe; it changes with what is looked at."""
CACHE = "-probe.json"
"""Ends the name of the file beside the state folder in which the answer is kept."""
TIMEOUT = 30.0
"""Seconds for a container that does next to nothing, on a busy machine."""
SAID = 300
"""Characters of a runtime's own words that are repeated."""
CGROUP = frozenset({Feature.MEMORY, Feature.SWAP, Feature.CPU, Feature.PIDS})
"""What cgroups alone enforce."""
_RLIMITS = {"NOFILE": 7, "FSIZE": 1, "CORE": 4, "MEMLOCK": 8, "SIGPENDING": 11, "MSGQUEUE": 12}
"""What Linux calls them; this Python has no name for the last two."""
_FILES = {
    "status": ("/proc/self/status",),
    "mounts": ("/proc/self/mountinfo",),
    "limits": ("/proc/self/limits",),
    "routes": ("/proc/self/net/route",),
    "memory": ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    "swap": ("/sys/fs/cgroup/memory.swap.max", "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"),
    "cpu": ("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
    "pids": ("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"),
}
_SCRIPT = """
for place in / /bot/; do
    if (: >"$place.probe") 2>/dev/null; then echo "written $place"; fi
done
show() {
    [ -r "$2" ] || return 0
    while IFS= read -r line; do echo "$1 $line"; done <"$2"
}
""" + "".join(f"show {name} {path}\n" for name, paths in _FILES.items() for path in paths)
"""In sh alone: a root file system may have nothing else."""


@attrs.frozen(kw_only=True)
class Probe:
    """What was found.

    Attributes:
        runtime: What starts containers.
        missing: Each feature of the strict profile that it does not enforce here, with the reason and what mends it.
        others: What each runtime said that does not work here, by its name.
    """

    runtime: Runtime
    missing: Mapping[Feature, str]
    others: Mapping[str, str]

    @property
    def enforced(self) -> frozenset[Feature]:
        """What of the strict profile it enforces here."""
        return frozenset(Feature) - set(self.missing)


def this_machine(enforced: frozenset[Feature]) -> Machine:
    """Return what this machine offers, where so much is enforced."""
    hard = {f"RLIMIT_{name}": resource.getrlimit(number)[1] for name, number in _RLIMITS.items()}
    return Machine(
        enforced=enforced,
        cgroup_version=cgroup_version(),
        architecture=os.uname().machine,
        rlimits={name: bound for name, bound in hard.items() if bound != resource.RLIM_INFINITY},
    )


def probe(state: Path, settings: OciSettings) -> Probe:
    """Return what works here; kept beside the state folder until something of it changes.

    Raises:
        EngineUnavailableError: No runtime is installed, or none works.
    """
    found = installed(settings.runtime)
    if not found:
        problem = f"{settings.runtime} is not installed" if settings.runtime else "neither crun nor runc is installed"
        raise _unavailable(problem, how_to_install())
    users, key = find_users(settings.user_range), _key(found, settings)
    with suppress(OSError, ValueError, LookupError, TypeError):
        return _read(json.loads(cache_of(state).read_bytes()), key)
    said: dict[str, str] = {}
    for runtime in map(with_version, found):
        seen = _look(runtime, users, settings)
        if isinstance(seen, str):
            said[str(runtime)] = seen
            continue
        result = Probe(runtime=runtime, missing=missing_features(seen, users), others=said)
        _keep(result, state, key)
        return result
    problems = "; ".join(f"{name} does not work here: {words}" for name, words in said.items())
    raise _unavailable(problems, advice(found[-1], problems))


def cache_of(state: Path) -> Path:
    """Return the file in which the answer is kept."""
    return state.with_name(state.name + CACHE)


def _look(runtime: Runtime, users: Users, settings: OciSettings) -> dict[str, list[str]] | str:
    """Return what a container sees under as much of the profile as can be had, or the runtime's words."""
    all_but_cgroup = frozenset(Feature) - CGROUP
    bare = partial(_run, runtime, users, settings, all_but_cgroup)
    if not group_of("any"):
        return bare()
    seen = _run(runtime, users, settings, frozenset(Feature))
    if not isinstance(seen, str) or isinstance(unlimited := bare(), str):
        return seen
    without_swap = _run(runtime, users, settings, frozenset(Feature) - {Feature.SWAP})
    return unlimited if isinstance(without_swap, str) else without_swap


def group_for(name: str, users: Users, enforced: frozenset[Feature]) -> str:
    """Return the cgroup of a container; without limits, an ordinary user's has none, as runtimes then refuse one."""
    return group_of(name) if users.own is None or enforced & CGROUP else ""


def _run(
    runtime: Runtime, users: Users, settings: OciSettings, enforced: frozenset[Feature]
) -> dict[str, list[str]] | str:
    made = Path(tempfile.mkdtemp(prefix="botdock-oci-"))
    name = f"probe-{secrets.token_hex(6)}"
    try:
        made.chmod(0o755)
        template, run = tried(made, ("/bin/sh", "-c", _SCRIPT), LIMITS, name=name)
        ids, cgroup = users.pick(), group_for(name, users, enforced)
        rootfs = find_rootfs(made, made, source=settings.tried_rootfs, interpreters=(), user=ids.user)
        document = bundle(template, run, rootfs=rootfs, machine=this_machine(enforced), cgroup=cgroup, ids=ids)
        Root.of(rootfs, document["mounts"]).make(made / ROOT)
        (made / "config.json").write_text(json.dumps(document), encoding="utf-8")
        done = subprocess.run(
            [runtime.path, "--root", str(made / "runtime"), "run", "--bundle", str(made), name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            env={"PATH": os.environ.get("PATH", "")},
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    finally:
        _clear(name, made)
    if done.returncode:
        return " ".join(done.stderr.decode("utf-8", "replace").split())[-SAID:] or f"exit code {done.returncode}"
    return seen_in(done.stdout)


def _clear(name: str, made: Path) -> None:
    """Leave nothing of a probe, not even of one that was killed with its runtime."""
    groups = folders_of(name)
    kill_all(groups)
    with suppress(OSError):  # in use for longer than a kill takes: the next start of the machine removes it
        remove_all(groups)
    remove_tree(made, timeout=TIMEOUT)


def _key(found: tuple[Runtime, ...], settings: OciSettings) -> str:
    """Return what changes whenever the answer may be another."""
    facts: list[Any] = [
        VERSION,
        settings.tried_rootfs,
        os.geteuid(),
        platform.release(),
        *(runtime.state for runtime in found),
    ]
    for path in ("/proc/sys/kernel/random/boot_id", *(("/proc/self/cgroup", "/etc/subuid") if os.geteuid() else ())):
        with suppress(OSError):
            facts.append(Path(path).read_text())
    with suppress(OSError):
        mounts = (line.partition(" - ")[2] for line in Path("/proc/self/mountinfo").read_text().splitlines())
        facts += sorted(mount for mount in mounts if mount.startswith("cgroup"))
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _keep(found: Probe, state: Path, key: str) -> None:
    document = {"key": key, **attrs.asdict(found)}
    with suppress(OSError):  # then the next one looks again
        path = cache_of(state)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}-{secrets.token_hex(6)}")
        draft.write_text(json.dumps(document), encoding="utf-8")
        draft.replace(path)


def _read(document: Mapping[str, Any], key: str) -> Probe:
    if document["key"] != key:
        raise ValueError("it was something else that was looked at")
    missing = {Feature(name): str(reason) for name, reason in document["missing"].items()}
    return Probe(runtime=Runtime(**document["runtime"]), missing=missing, others=document["others"])


def _unavailable(message: str, hint: str) -> EngineUnavailableError:
    return EngineUnavailableError(message, engine="oci", operation="capabilities", hint=hint)
