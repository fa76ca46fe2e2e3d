"""Says before a run what is wrong with a bash script, as far as reading it can tell."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from botdock import read_code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SHELLS = re.compile(rb"#!.*\b(ba|da|a|z|k|)sh\b")
_SYNTAX = re.compile(rb"^bash: (line (\d+): (?:syntax error|unexpected EOF).*)", re.MULTILINE)
_LEAVES = re.compile(rb"^(exit|exec)\b", re.MULTILINE)
_READS = '((BASH_VERSINFO[0] >= 5)) && ulimit -c 0 -t 2 -v 262144 && exec -a bash "$BASH"'
"""Becomes a bash that reads with 2 seconds of CPU and 256 MiB; an older one knows less than the image's."""
_READING_TIMEOUT = 10.0
"""Seconds that bash may take to read a script on a busy machine."""


def problems(tree: Path, script: str) -> Iterator[str]:
    """Yield what is wrong with `script` in `tree`, in words; the syntax is read by bash, where this machine has one."""
    source = read_code(tree, script)
    if source is None:
        return
    first = source.partition(b"\n")[0]
    if first.endswith(b"\r") and first != source:
        yield f"{script} has Windows line endings, which bash takes for part of its commands; make them LF: dos2unix"
    elif first.startswith(b"#!") and not _SHELLS.match(first):
        said = first[2:].decode(errors="replace").strip()
        yield f"{script} asks for {said} in its first line, and would be run by bash; choose another runtime"
    elif (bash := shutil.which("bash")) and (problem := _syntax_problem(bash, source)):
        yield f"{script}, {problem}"


def _syntax_problem(bash: str, source: bytes) -> str | None:
    """Return what bash says of a syntax that it accepts neither by itself nor with what `shopt` can turn on later."""
    if _said(bash, "-n", source) is None or (found := _said(bash, "-O extglob -n", source)) is None:
        return None
    before = b"".join(source.splitlines(keepends=True)[: int(found[2]) - 1])
    return None if _LEAVES.search(before) else found[1].decode(errors="replace")  # what follows may be no script


def _said(bash: str, options: str, source: bytes) -> re.Match[bytes] | None:
    """Return the syntax error that bash names, running nothing; None for all else, be it that bash did not last."""
    try:
        done = subprocess.run(
            [bash, "-c", f"{_READS} {options}"],
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            input=source,
            capture_output=True,
            timeout=_READING_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return _SYNTAX.search(done.stderr) if done.returncode > 0 else None
