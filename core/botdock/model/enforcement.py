"""What of the strict profile a container is held to: how an engine tries one, and what that one sees of itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from botdock.model.container import ContainerRun, ContainerTemplate
from botdock.model.engine import Feature
from botdock.model.limits import KIB, Limits
from botdock.model.profile import HOME, PERIOD

Seen: TypeAlias = Mapping[str, Sequence[str]]
"""By topic, the lines that a container wrote: of /proc/self `status`, `mounts` and `limits`; of its cgroup `memory`,
`swap` and `cpu`; `swaps` of the machine; `written` for each place that it could write."""

_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def tried(
    folder: Path, command: Sequence[str], limits: Limits, *, name: str, **template: Any
) -> tuple[ContainerTemplate, ContainerRun]:
    """Return the container that is tried.

    Args:
        folder: Empty; its files are made here.
        command: What writes what it sees, each line behind its topic.
        limits: Unlike any default, so that a bound that is seen is the one that was asked for.
        name: Of the run.
        template: Other fields of its template.
    """
    for part in ("code", "program", "context"):
        (folder / part).mkdir()
    (folder / "result").touch()
    made = ContainerTemplate(
        **{"image": "", **template},
        command=tuple(command),
        program=str(folder / "program"),
        program_digest="",
        program_target="/botdock/program",
        code_target="/bot",
        context_target="/botdock/context",
        result_target="/botdock/result",
        limits=limits,
    )
    code, context, result = (str(folder / part) for part in ("code", "context", "result"))
    return made, ContainerRun(name=name, selectors={}, code=code, context=context, result=result)


def seen_in(output: bytes) -> dict[str, list[str]]:
    """Return what a container wrote, by topic."""
    seen: dict[str, list[str]] = {}
    for line in output.decode("utf-8", "replace").split("\n"):
        topic, _, rest = line.partition(" ")
        seen.setdefault(topic, []).append(rest)
    return seen


def mount_of(seen: Seen, target: str) -> tuple[set[str], str, set[str]]:
    """Return the options of a mount, its kind, and the options of its file system."""
    for line in seen.get("mounts", ()):
        place, _, kind = line.partition(" - ")
        if place.split()[4] == target:
            name, _, options = kind.split()[:3]
            return set(place.split()[5].split(",")), name, set(options.split(","))
    return set(), "", set()


def words_of(seen: Seen, topic: str) -> list[str]:
    """Return the words of the first line of a topic."""
    return next(iter(seen.get(topic, ())), "").split()


def is_bounded(seen: Seen, name: str, most: int | None) -> bool:
    """Tell whether a bound of its processes, as /proc names it, is at most so high."""
    line = next((line for line in seen.get("limits", ()) if line.startswith(name)), "")
    bounds = re.findall(r"\b(?:[0-9]+|unlimited)\b", line)[:2]
    return len(bounds) == 2 and all(bound.isdigit() and int(bound) <= (most or 0) for bound in bounds)  # noqa: PLR2004 - the soft and the hard one


def has_bounded_home(seen: Seen, limits: Limits) -> bool:
    """Tell whether its home is in memory, and as large as was asked for."""
    _, kind, own = mount_of(seen, HOME)
    return kind == "tmpfs" and f"size={(limits.tmpfs or 0) // KIB}k" in own


def checks_for(limits: Limits) -> dict[Feature, Callable[[Seen], bool]]:
    """Return, by feature, what tells whether a container under these limits was held to it.

    Whether its network is closed and its processes are bounded, each engine finds out in its own way.
    """
    quota = str(int((limits.cpus or 0) * PERIOD))
    without_swap = ([str(limits.memory)], ["0"])  # with memory on cgroup v1, without on v2
    return {
        Feature.NON_ROOT: lambda seen: bool(ids := _status(seen, "Uid")) and "0" not in ids,
        Feature.READ_ONLY_ROOT: lambda seen: _is_read_only(seen, "/", "/"),
        Feature.READ_ONLY_CODE: lambda seen: _is_read_only(seen, "/bot", "/bot/"),
        Feature.CAPABILITIES: lambda seen: all(set(*_status(seen, name)) == {"0"} for name in _SETS),
        Feature.NO_NEW_PRIVILEGES: lambda seen: _status(seen, "NoNewPrivs") == ["1"],
        Feature.SECCOMP: lambda seen: _status(seen, "Seccomp") == ["2"],
        Feature.MEMORY: lambda seen: words_of(seen, "memory") == [str(limits.memory)],
        # the heading alone: the machine has none
        Feature.SWAP: lambda seen: words_of(seen, "swap") in without_swap or len(seen.get("swaps", ())) == 1,
        Feature.CPU: lambda seen: words_of(seen, "cpu")[:1] == [quota],
        Feature.OPEN_FILES: lambda seen: is_bounded(seen, "Max open files", limits.open_files),
        Feature.FILE_SIZE: lambda seen: is_bounded(seen, "Max file size", limits.file_size),
        Feature.TMPFS: lambda seen: has_bounded_home(seen, limits) and "noexec" in mount_of(seen, HOME)[0],
    }


def _status(seen: Seen, name: str) -> list[str]:
    line = next((line for line in seen.get("status", ()) if line.startswith(f"{name}:")), "")
    return line.partition(":")[2].split()


def _is_read_only(seen: Seen, target: str, place: str) -> bool:
    return "ro" in mount_of(seen, target)[0] and place not in seen.get("written", ())
