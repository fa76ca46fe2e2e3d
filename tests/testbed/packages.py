"""The programs that the testbed needs, from Debian's packages: installed, or unpacked into the cache."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from testbed.cache import cache_dir, locked
from testbed.console import TestbedError, run, say

PACKAGES = {
    "chromium-headless-shell": "chromium-headless-shell",
    "containerd": "containerd",
    "crun": "crun",
    "debootstrap": "debootstrap",
    "dockerd": "docker.io",
    "ip": "iproute2",
    "iptables": "iptables",
    "mke2fs": "e2fsprogs",
    "openssl": "openssl",
    "qemu-system-x86_64": "qemu-system-x86",
    "runc": "runc",
    "skopeo": "skopeo",
    "umoci": "umoci",
}
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


def unpacked_program(package: str, name: str, place: str = "usr/bin") -> Path:
    """Return the path of a program of a package that is unpacked into the cache, once, and never installed.

    Installing it would start a service, and needs root.

    Args:
        package: Of Debian.
        name: The program, or a file that lies in no PATH.
        place: Its folder in the package.

    Raises:
        TestbedError: It is not on PATH and cannot be had; saying how to get it.
    """
    if found := find_program(name):
        return Path(found)
    folder = cache_dir() / package
    program = folder / place / name
    with locked(cache_dir() / f"{package}.lock"):
        if not program.is_file():
            _unpack(package, folder, missing=name)
    return program


def _unpack(package: str, folder: Path, *, missing: str) -> None:
    remedy = f"put `{missing}` on PATH, or run this on a Debian-like system (`apt-get download {package}`)"
    if find_program("apt-get") is None or find_program("dpkg") is None:
        raise TestbedError(f"no {missing}: {remedy}")
    say(f"downloading Debian's package {package}; it is unpacked, not installed")
    with tempfile.TemporaryDirectory(dir=cache_dir()) as made:
        try:
            _download(package, Path(made))
        except TestbedError as error:
            raise TestbedError(f"no {missing}: {remedy}; {error}") from error
        (archive,) = Path(made).glob("*.deb")
        draft = Path(made) / "unpacked"
        run(["dpkg", "-x", str(archive), str(draft)], timeout=_APT_TIMEOUT)
        shutil.rmtree(folder, ignore_errors=True)
        draft.replace(folder)


def _download(package: str, folder: Path) -> None:
    """Let apt write into `folder`, which is the working folder of a shell: `download` knows no other place."""
    environment = {"PATH": SYSTEM_PATH, "FOLDER": str(folder), "PACKAGE": package}
    download = ["sh", "-c", 'cd "$FOLDER" && apt-get -qq -o Acquire::Retries=3 download "$PACKAGE"']
    try:
        run(download, timeout=_APT_TIMEOUT, env=environment)
    except TestbedError:
        if os.geteuid() != 0:
            raise
        _apt_get("update")
        run(download, timeout=_APT_TIMEOUT, env=environment, attempts=2)
