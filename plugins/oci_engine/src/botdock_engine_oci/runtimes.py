"""The OCI runtimes of this machine, and why one does not work here."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs

from botdock_engine_oci.settings import RUNTIMES

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The PATH of Debian's images; runc lies in a sbin folder, which an ordinary user's PATH may lack."""
VERSION_TIMEOUT = 10.0
_MANAGERS = {
    "apt-get": "apt-get install",
    "dnf": "dnf install",
    "zypper": "zypper install",
    "pacman": "pacman -S",
    "apk": "apk add",
}
"""How a package is installed, by the program that does it."""
_SWITCHES = (
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
    ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=10000"),
)
"""What forbids user namespaces to ordinary users: a file, what it then holds, and the setting that allows them."""


@attrs.frozen(kw_only=True)
class Runtime:
    """An OCI runtime that is installed.

    Attributes:
        name: `crun` or `runc`, or the name of the file that was named.
        path: Where it is.
        version: Its own word, such as `1.8.1`; empty where it says none.
    """

    name: str
    path: str
    version: str = ""

    def __str__(self) -> str:
        """Return its name and version."""
        return f"{self.name} {self.version}".strip()

    @property
    def state(self) -> tuple[str, int, int]:
        """What changes when another program takes its place: path, size and time of change."""
        found = Path(self.path).stat()
        return self.path, found.st_size, found.st_mtime_ns


def installed(wanted: str = "") -> tuple[Runtime, ...]:
    """Return the runtimes that are installed, the preferred one first; versions are not asked for.

    Args:
        wanted: As `options.oci.runtime`: one of them alone.
    """
    names = (wanted,) if wanted else RUNTIMES
    paths = (shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}") for name in names)
    return tuple(Runtime(name=Path(path).name, path=path) for path in paths if path)


def with_version(runtime: Runtime) -> Runtime:
    """Return the runtime with the version that it says it has."""
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            [runtime.path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VERSION_TIMEOUT,
            check=False,
        )
        words = done.stdout.decode("utf-8", "replace").partition("\n")[0].split()
        if words:
            return attrs.evolve(runtime, version=words[-1])
    return runtime


def how_to_install(*packages: str, what: str = "") -> str:
    """Return the sentence with the command that installs packages here; without any, a runtime."""
    known = (command for program, command in _MANAGERS.items() if shutil.which(program, path=SYSTEM_PATH))
    wanted = " ".join(packages) or RUNTIMES[0]
    return f"{what or 'Install one'}, as root: `{next(known, 'apt-get install')} {wanted}`."


def cgroup_version() -> int:
    """Return the version of the cgroups that limits are set by: 2 where it is the only one, else 1."""
    return 2 if Path("/sys/fs/cgroup/cgroup.controllers").exists() else 1


def advice(runtime: Runtime, said: str) -> str:
    """Return what mends that a runtime does not work here, as far as it is known.

    Args:
        runtime: The runtime.
        said: Its own words.
    """
    return next(_advices(runtime, said), "Run `botdock doctor` as root, or use --engine docker.")


def _advices(runtime: Runtime, said: str) -> Iterator[str]:
    if "hybrid" in said:
        yield (
            f"Install runc, which takes this machine's mix of cgroups, or boot with cgroup v2 alone for {runtime.name} "
            "(the kernel's option `systemd.unified_cgroup_hierarchy=1`)."
        )
    if os.geteuid() != 0:
        for path, value, switch in _SWITCHES:
            with suppress(OSError):
                if Path(path).read_text().strip() == value:
                    yield f"Allow user namespaces to ordinary users, as root: `sysctl -w {switch}`."
