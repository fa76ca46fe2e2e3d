"""The disk and the kernel of an emulated machine, built once from Debian's packages."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from testbed.cache import built
from testbed.console import TestbedError, run, say
from testbed.daemon import PrivateDaemon
from testbed.images import ensure_images
from testbed.mirror import find_mirror
from testbed.packages import SYSTEM_PATH, ensure_programs, find_program
from testbed.rootfs import recipe_key
from testbed.suites import NEWER

RECIPE = 2
"""Raise it when what is built changes, so that old builds are not taken."""
PYTHON = "3.13"
"""That of the suite, for which the tests' own packages are chosen."""
GIVEN = "/given"
"""Where the machine sees the disk that a run gives it."""
CACHE = "/var/cache/botdock-testbed"
"""The machine's cache folder: two daemons' images lie in it, whose import there would take minutes."""

_PACKAGES = (
    "linux-image-cloud-amd64,docker.io,iptables,ca-certificates,crun,runc,python3,python3-venv,procps,iproute2,git"
)
_DISK_SIZE = "4G"  # the file takes no more than what is in it
_UNUSED = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man")
_FIRST = f"#!/bin/sh\nmount /dev/vdb {GIVEN} && exec /bin/sh {GIVEN}/init\n"
_TIMEOUT = 900.0


def ensure_machine() -> Path:
    """Return the folder with `vmlinuz`, `initrd` and `root.img`, made where it is not in the cache.

    Raises:
        TestbedError: It cannot be made here.
    """
    if os.geteuid() != 0 or os.uname().machine != "x86_64":
        raise TestbedError("a machine is emulated by root on x86-64 alone")
    ensure_programs("qemu-system-x86_64", "mke2fs", "debootstrap")
    key = hashlib.sha256(f"{RECIPE} {NEWER} {_PACKAGES} {_FIRST} {recipe_key()}".encode()).hexdigest()[:12]
    return built(f"machine-{key}", _build)


def make_disk(tree: Path, image: Path) -> None:
    """Write what a folder holds as the disk of a machine.

    Raises:
        TestbedError: It does not fit, or the program failed.
    """
    program = find_program("mke2fs") or "mke2fs"
    run([program, "-q", "-t", "ext4", "-d", str(tree), str(image), _DISK_SIZE], timeout=_TIMEOUT)


def _build(work: Path) -> Path:
    tree, made = work / "tree", work / "made"
    made.mkdir()
    _bootstrap(tree)
    for name in ("vmlinuz", "initrd"):
        (found,) = tree.glob(f"boot/{name}*")
        shutil.move(found, made / name.split(".")[0])
    _add_images(tree / CACHE.strip("/"))
    make_disk(tree, made / "root.img")
    return made


def _bootstrap(tree: Path) -> None:
    mirror = find_mirror()
    say(f"building the disk of a machine with Debian {NEWER} from {mirror} (some 3 minutes)")
    program = find_program("debootstrap") or "debootstrap"
    run(
        [program, "--variant=minbase", f"--include={_PACKAGES}", NEWER, str(tree), mirror],
        timeout=_TIMEOUT,
        env={"PATH": SYSTEM_PATH, "DEBIAN_FRONTEND": "noninteractive"},
    )
    for name in _UNUSED:
        shutil.rmtree(tree / name, ignore_errors=True)
    first = tree / "usr/local/sbin/first"
    first.write_text(_FIRST)
    first.chmod(0o755)
    (tree / GIVEN.strip("/")).mkdir()
    (tree / f"usr/local/lib/python{PYTHON}/dist-packages/given.pth").write_text(f"{GIVEN}/site\n")


def _add_images(cache: Path) -> None:
    """Let a daemon of the same version import the images, for the session's daemon and for one to be killed."""
    first, second = cache / "daemon-0", cache / "daemon-1"
    first.mkdir(parents=True)
    daemon = PrivateDaemon(first, NEWER)
    try:
        daemon.start()
        ensure_images(daemon.host)
    finally:
        daemon.stop()
    run(["cp", "-a", str(first), str(second)], timeout=_TIMEOUT)
