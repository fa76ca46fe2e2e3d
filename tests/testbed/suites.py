"""The Docker of another Debian, beside the one of this machine: its `/usr`, seen by that daemon alone.

`BOTDOCK_TEST_DOCKER=trixie` runs a session's tests on Debian trixie's Docker (26.1) in place of the installed one.
"""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

from testbed.cache import built
from testbed.console import run, say
from testbed.mirror import find_mirror
from testbed.packages import SYSTEM_PATH, ensure_programs, find_program

VARIABLE = "BOTDOCK_TEST_DOCKER"
NEWER = "trixie"
"""The Debian whose `docker.io` is tried beside the installed one."""
_UNUSED = ("share/doc", "share/locale", "share/man", "share/zoneinfo", "lib/python3")
_TIMEOUT = 900.0


def wanted_suite() -> str:
    """Return the suite whose Docker this session is to use; empty for the installed one."""
    return os.environ.get(VARIABLE, "")


def ensure_usr(suite: str) -> Path:
    """Return the `/usr` of a Debian with its Docker, made where it is not in the cache.

    Raises:
        TestbedError: It cannot be made here.
    """
    return built(f"docker-{suite}", partial(_build, suite))


def _build(suite: str, work: Path) -> Path:
    ensure_programs("debootstrap")
    mirror, tree = find_mirror(), work / "tree"
    say(f"building a Debian {suite} with its Docker from {mirror} (about 40 s)")
    packages = "--include=docker.io,iptables,ca-certificates"
    program = find_program("debootstrap") or "debootstrap"
    run(
        [program, "--variant=minbase", packages, suite, str(tree), mirror],
        timeout=_TIMEOUT,
        env={"PATH": SYSTEM_PATH, "DEBIAN_FRONTEND": "noninteractive"},
    )
    for name in _UNUSED:
        shutil.rmtree(tree / "usr" / name, ignore_errors=True)
    return tree / "usr"


def within(usr: Path, command: list[str]) -> list[str]:
    """Return the command that runs another one which sees this folder as `/usr`, and all else as it is.

    The mount is in a namespace of its own, which ends with its last process: nothing is left of it on this machine. So
    is all that is mounted later: the command does not see what is mounted on this machine, nor the other way round.
    """
    script = 'mount --bind "$0" /usr && exec "$@"'
    return [find_program("unshare") or "unshare", "--mount", "sh", "-c", script, str(usr), *command]
