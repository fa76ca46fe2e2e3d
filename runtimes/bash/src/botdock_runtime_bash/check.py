"""Says before a run what is wrong with a bash script, as far as reading it can tell."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SHELLS = re.compile(rb"#!.*\b(ba|da|a|z|k|)sh\b")
_READING_TIMEOUT = 10.0
"""Seconds that bash may take to read a script."""


def problems(tree: Path, script: str) -> Iterator[str]:
    """Yield what is wrong with `script` in `tree`, in words; the syntax is read by bash, where this machine has one."""
    with (tree / script).open("rb") as file:
        first = file.readline()
    if first.endswith(b"\r\n"):
        yield f"{script} has Windows line endings, which bash takes for part of its commands; make them LF: dos2unix"
    elif first.startswith(b"#!") and not _SHELLS.match(first):
        said = first[2:].decode(errors="replace").strip()
        yield f"{script} asks for {said} in its first line, and would be run by bash; choose another runtime"
    elif bash := shutil.which("bash"):
        yield from _syntax_problems(bash, tree, script)


def _syntax_problems(bash: str, tree: Path, script: str) -> Iterator[str]:
    """Yield what `bash -n` says: it reads a script and runs nothing of it."""
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    path = str(tree / script)
    try:
        done = subprocess.run(
            [bash, "-n", path],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_READING_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode and said:
        yield said.splitlines()[0].replace(f"{path}:", f"{script},", 1)
