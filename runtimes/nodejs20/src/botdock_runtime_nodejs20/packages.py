"""Installs what a `package.json` names into `node_modules/`, for the image that is to run it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from botdock import Packages
from botdock.errors import CodeError

_MANIFEST = "package.json"
_LOCKS = ("package-lock.json", "npm-shrinkwrap.json")
_PROCESSORS = {"x86_64": "x64", "aarch64": "arm64"}
"""What Node.js calls them."""


def command(tree: Path, image: str, build: bool) -> list[str]:  # noqa: FBT001 - the seam's own form
    """Return npm's command line: what a lock file says exactly, where there is one; no script of a package runs."""
    npm = shutil.which("npm")
    if npm is None:
        hint = "Install Node.js with npm; on Debian: apt-get install npm."
        raise CodeError("installing packages takes npm, which is not on PATH", source=_MANIFEST, hint=hint)
    locked = any((tree / name).is_file() for name in _LOCKS)
    machine = os.uname().machine
    return [
        npm,
        *(["ci"] if locked else ["install", "--no-package-lock"]),
        *([] if build else ["--ignore-scripts"]),
        *("--omit=dev", "--no-audit", "--no-fund", "--os=linux"),
        f"--cpu={_PROCESSORS.get(machine, machine)}",
        f"--libc={'musl' if 'alpine' in image else 'glibc'}",
    ]


def tidy(folder: Path) -> None:
    """Remove what only npm reads: its own record, and links to the programs of packages."""
    (folder / ".package-lock.json").unlink(missing_ok=True)
    shutil.rmtree(folder / ".bin", ignore_errors=True)


PACKAGES = Packages(
    manifests=(_MANIFEST,),
    folder="node_modules",
    command=command,
    tidy=tidy,
    hint="No script of a package runs; --build runs those that build something, on this machine.",
)
