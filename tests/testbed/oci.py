"""OCI runtimes for tests: runc and crun, each in a form that works on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from botdock.errors import EngineUnavailableError
from botdock_engine_oci.fetching import TOOLS
from botdock_engine_oci.probing import cache_of, probe
from botdock_engine_oci.settings import RUNTIMES, OciSettings
from testbed.cache import cache_dir
from testbed.console import TestbedError
from testbed.packages import ensure_programs, find_program

_ALONE = """#!/bin/sh
exec unshare --mount sh -c 'umount {place} && exec {crun} "$@"' sh "$@"
"""


def ensure_runtime(name: str) -> str:
    """Return the path of a runtime that works here.

    crun gives up where cgroups of version 2 are mounted beside those of version 1. There, what is returned is a script
    that starts it in a mount namespace of its own, without version 2.

    Raises:
        TestbedError: It cannot be had.
    """
    if os.geteuid() != 0:
        raise TestbedError(f"{name} is tried as root alone, who has the cgroups of this machine")
    ensure_programs(name)
    program = find_program(name)
    assert program, f"{name} was installed and is not there"
    place = second_cgroups() if name == "crun" else ""
    if not place:
        return program
    script, text = cache_dir() / "oci" / name, _ALONE.format(place=place, crun=program)
    if not script.exists() or script.read_text() != text:
        script.parent.mkdir(exist_ok=True)
        script.write_text(text)
        script.chmod(0o755)
    return str(script)


def ensure_runtimes() -> None:
    """Install the runtimes that the engine knows.

    Raises:
        TestbedError: One cannot be had.
    """
    for name in RUNTIMES:
        ensure_runtime(name)


def ensure_image_tools() -> None:
    """Install what the engine fetches and unpacks images with.

    Raises:
        TestbedError: One cannot be had.
    """
    ensure_programs(*TOOLS)


def try_runtime(path: str) -> Path:
    """Return the file that the engine keeps what a runtime enforces in, of a state folder that is not used.

    Raises:
        TestbedError: It does not work.
    """
    state = cache_dir() / "oci" / f"tried-{Path(path).name}"
    try:
        probe(state, OciSettings(runtime=path))
    except EngineUnavailableError as error:
        raise TestbedError(str(error)) from error
    return cache_of(state)


def second_cgroups() -> str:
    """Return where cgroups of version 2 are mounted beside those of version 1; empty for nowhere."""
    found: dict[str, str] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, _, kind = line.partition(" - ")
        found[kind.split()[0]] = place.split()[4]
    return found["cgroup2"] if {"cgroup", "cgroup2"} <= found.keys() else ""
