"""Installs what a `requirements.txt` names into `vendor/`, for the Python and the image that are to run it.

Every start of botdock imports this module, so that patterns are compiled when they are used.
"""

from __future__ import annotations

import csv
import io
import os
import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from botdock import Packages
from botdock.errors import CodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MANIFEST = "requirements.txt"
_HINT = "Only wheels are taken; --build builds a package that has none for this Python, which runs its code here."
_GLIBC = range(36, 4, -1)
"""Minor versions of the glibc 2 of the official images' oldest Debian and before, as wheels name them (PEP 600)."""
_MUSL = ("musllinux_1_2", "musllinux_1_1")
_HARMLESS = (
    r"-[if].*|--(?:index-url|extra-index-url|find-links|trusted-host)[\s=].*|--(?:no-index|pre|prefer-binary|require-hashes)"
    r"|(?:-[rc]|--(?:requirement|constraint)[\s=])(?!.*://).*"
)
"""Options by which nothing is built; all others are refused, for pip takes them shortened too."""
_MAY_BE_BUILT = r"\.|.*/|.*\.(?:zip|tgz|tbz|txz|tar\.\w+)$"
"""Requirements that name a file, a folder or an address, and not a package of the index."""
_WHEEL = r"(?!.*\w\+\w+:).*\.whl(?:#.*)?"
_INCLUDE = r"(?:-r|--requirement)[\s=]*(\S+)"


def packages(version: tuple[int, int], programs: tuple[str, ...]) -> Packages:
    """Return how packages are installed for one Python."""
    command = partial(_command, version=version, programs=programs)
    return Packages(manifests=(_MANIFEST,), folder="vendor", command=command, tidy=tidy, hint=_HINT)


def _command(tree: Path, image: str, build: bool, *, version: tuple[int, int], programs: tuple[str, ...]) -> list[str]:  # noqa: FBT001 - the seam's own form
    """Return pip's command line: only wheels are taken, unless they may be built by the very same Python."""
    common = ["install", "--target=vendor", "--no-compile", "--disable-pip-version-check", f"--requirement={_MANIFEST}"]
    name = ".".join(map(str, version))
    if build:
        return [*_pip([f"python{name}"], f"building packages for Python {name}"), *common]
    for place, line in _lines(tree, _MANIFEST):
        if _is_built(line):
            hint = "--build allows that, which runs code of the package on this machine."
            raise CodeError(f"{place}: {line!r} names no wheel, and would be built", source=_MANIFEST, hint=hint)
    wheels = ["--only-binary=:all:", f"--python-version={name}", "--implementation=cp"]
    platforms = [f"--platform={each}_{os.uname().machine}" for each in _platforms(image)]
    return [*_pip([*programs, sys.executable], "installing packages"), *common, *wheels, *platforms]


def _pip(candidates: list[str], purpose: str) -> list[str]:
    """Return the command that is the pip of the first Python that has one."""
    import subprocess

    for python in candidates:
        try:
            subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return [python, "-m", "pip"]
    names = " or ".join(dict.fromkeys(candidates))
    hint = "On Debian: apt-get install python3-pip; elsewhere: python -m ensurepip."
    raise CodeError(f"{purpose} takes pip, which {names} does not have here", source=_MANIFEST, hint=hint)


def _platforms(image: str) -> list[str]:
    if "alpine" in image:
        return [*_MUSL, "linux"]
    return [*(f"manylinux_2_{minor}" for minor in _GLIBC), "manylinux2014", "manylinux2010", "manylinux1", "linux"]


def _lines(tree: Path, name: str, seen: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """Yield the lines of a requirements file and of those that it includes, each with its place."""
    path = tree / name
    if name in seen or not os.path.isfile(path):  # noqa: PTH113 - False for any text; pip says what is wrong with it
        return
    text = re.sub(r"\\\r?\n", " ", path.read_text(encoding="utf-8-sig", errors="replace"))
    for number, raw in enumerate(text.splitlines(), start=1):
        if line := re.sub(r"(?:^|\s)#.*", "", raw).strip():
            yield f"{name}, line {number}", line
            if included := re.match(_INCLUDE, line):
                yield from _lines(tree, os.path.normpath(Path(name).parent / included[1]), seen | {name})


def _is_built(line: str) -> bool:
    if line.startswith("-"):
        return not re.fullmatch(_HARMLESS, line)
    named = re.split(r"\s*;|\s+--", line)[0]
    return bool(re.match(_MAY_BE_BUILT, named)) and not re.fullmatch(_WHEEL, named)


def tidy(folder: Path) -> None:
    """Remove what names this machine: the scripts of packages, where each came from, and the record of both."""
    for script in folder.glob("bin/*"):
        if script.is_file() and script.read_bytes().startswith(b"#!"):
            script.unlink()
    if (folder / "bin").is_dir() and not any((folder / "bin").iterdir()):
        (folder / "bin").rmdir()
    for origin in folder.glob("*.dist-info/direct_url.json"):
        origin.unlink()
    for record in folder.glob("*.dist-info/RECORD"):
        rows = csv.reader(io.StringIO(record.read_text(encoding="utf-8"), newline=""))
        kept = sorted(row for row in rows if row and (folder / row[0]).is_file())
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(kept)
        record.write_text(text.getvalue(), encoding="utf-8", newline="")
