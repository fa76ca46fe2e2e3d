"""The programs that the testbed needs, from Debian's packages where we may install them."""

from __future__ import annotations

import os
import shutil

from testbed.console import TestbedError, run, say

PACKAGES = {"dockerd": "docker.io", "iptables": "iptables", "debootstrap": "debootstrap"}
"""Program, and the package that has it. `docker.io` depends on `tini`, which is `docker-init`."""

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where dockerd and debootstrap look for their helpers; a user's PATH may lack the sbin folders."""

_APT_TIMEOUT = 600.0


def find_program(name: str) -> str | None:
    """Return the path of a program, in the sbin folders too."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")


def ensure_programs(*names: str) -> None:
    """Install what is missing by apt-get.

    Raises:
        TestbedError: Something is missing and we cannot install it.
    """
    missing = sorted({PACKAGES[name] for name in names if find_program(name) is None})
    if not missing:
        return
    wanted = " ".join(missing)
    if os.geteuid() != 0 or find_program("apt-get") is None:
        raise TestbedError(f"not installed: {wanted}; as root on a Debian-like system the testbed installs them itself")
    say(f"installing {wanted} by apt-get")
    _apt_get("update")
    _apt_get("install", "--yes", "--no-install-recommends", *missing)


def _apt_get(*arguments: str) -> None:
    options = ("-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3", "-qq")
    run(
        ["apt-get", *options, *arguments],
        timeout=_APT_TIMEOUT,
        env={"DEBIAN_FRONTEND": "noninteractive", "PATH": SYSTEM_PATH},
        attempts=3,
    )
