"""Says before a run what is wrong with a bash script, as far as reading it can tell."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from botdock import read_code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES = 1024 * 1024
"""Bytes of a script that are looked at: only bash, in a process with limits, parses them."""
_MARK = "\ufeff".encode()
_SHELL = re.compile(r"(?:ba|da|a)?sh[-.\d]*")
_OPTION = re.compile(r"[-+][abefhikmopruvxBCEHOPTl]+|--(?:login|noediting|noprofile|norc|posix|restricted|verbose)")
"""Those with which bash runs the script; with others, such as `-n` and `-s`, it would succeed and run nothing."""
_SYNTAX = re.compile(rb"^bash: (line (\d+): (?:syntax error|unexpected EOF).*)", re.MULTILINE)
_ENDLESS = re.compile(rb"^bash: ()(?:line (\d+): )?warning: here-document", re.MULTILINE)
_LEAVES = re.compile(rb"^['\"]*(?:exit\b|exec['\"]*[ \t]+[^\s<>&#\d{]).*\n?", re.MULTILINE)
_MOST_EXITS = 5
_READS = '((BASH_VERSINFO[0] >= 5)) && ulimit -c 0 -t 2 -v 262144 && exec -a bash "$BASH"'
"""Becomes a bash that reads with 2 seconds of CPU and 256 MiB; an older one knows less than the image's."""
_REMEMBERED = 16
"""Scripts, the last ones, of which it is remembered what bash says of them."""
_READING_TIMEOUT = 10.0
"""Seconds that bash may take to read a script on a busy machine."""


def problems(tree: Path, script: str) -> Iterator[str]:
    """Yield what is wrong with `script` in `tree`, in words; the syntax is read by bash, where this machine has one."""
    source = read_code(tree, script, limit=MAX_BYTES)
    if source is None:
        return
    problem = _encoding_problem(source) or _first_line_problem(source.partition(b"\n")[0])
    if problem or (problem := _text_problem(source)):
        yield f"{script}{problem}"


def _encoding_problem(source: bytes) -> str | None:
    if source.startswith((b"\xff\xfe", b"\xfe\xff")):
        return " is UTF-16, which bash cannot read; save it as UTF-8, without a byte order mark"
    if source.startswith(_MARK):
        return " begins with a byte order mark, which spoils its first command; save it without: dos2unix"
    first = source.partition(b"\n")[0]
    if first.startswith(b"#") and b"\r" in first:
        return _line_endings("line 1")
    return None


def _line_endings(where: str) -> str:
    return f" has Windows line endings ({where}), which bash takes for part of its commands; make them LF: dos2unix"


def _first_line_problem(first: bytes) -> str | None:
    """Return what bash cannot do of what the first line asks for; the runtime's `entrypoint.sh` reads it as we do."""
    if not first.startswith(b"#!"):
        return None
    said = first[2:].decode(errors="replace").replace("\t", " ").strip(" ")
    words = [word for word in said.split(" ") if word]
    if words and words[0].rpartition("/")[2] == "env":
        words = [word for word in [" ".join(words[1:2]).removeprefix("-S"), *words[2:]] if word]
    if words and not _SHELL.fullmatch(words[0].rpartition("/")[2]):
        return (
            f" asks for {said} in its first line, and would be run by bash; write it for bash, or name another runtime"
        )
    refused = _refused_option(words[1:])
    return (
        f" asks for {refused} in its first line, which cannot be given to bash here; leave it out" if refused else None
    )


def _refused_option(options: list[str]) -> str:
    """Return the first word that is not an option with which bash runs the script; an empty text for none."""
    names = 0
    for number, word in enumerate(options, start=1):
        if names and re.fullmatch(r"[a-z_0-9]+", word) and word != "noexec":
            names -= 1
        elif not names and _OPTION.fullmatch(word):
            names = 0 if word.startswith("--") else len(re.findall("[oO]", word))
        elif names or number < len(options) or word not in {"-", "--"}:
            return word
    return options[-1] if names else ""


def _text_problem(source: bytes) -> str | None:
    """Return where carriage returns and byte order marks stand that are part of a command, or what bash cannot read."""
    bash = shutil.which("bash")
    if not bash or (source != _without(source) and not _complaint(bash, b"fi\n")):
        return _line_endings("most") if 2 * source.count(b"\r\n") > source.count(b"\n") else None
    if not _complaint(bash, source) and source == _without(source):
        return None
    source = _run_part(bash, source)
    meant = _complaint(bash, _without(source))
    if meant and meant[1]:
        return f", {meant[1].decode(errors='replace')}"
    for spoils in (_MARK, b"\r"):  # two operators are an error in a command, and data where these are data
        spoilt = _complaint(bash, source.replace(spoils, b" & & ")) if spoils in source else None
        if spoilt and (spoilt[1] or not meant):
            where = f"line {spoilt[2].decode()}" if spoilt[2] else "at the end of a here-document"
            mark = f" has a byte order mark ({where}), which spoils a command; save it without: dos2unix"
            return mark if spoils == _MARK else _line_endings(where)
    return None


def _without(source: bytes) -> bytes:
    return source.replace(b"\r", b"").replace(_MARK, b"")


def _run_part(bash: str, source: bytes) -> bytes:
    """Return what comes up to the first `exit` or `exec` that ends the script: what follows may be none."""
    for leaves in islice(_LEAVES.finditer(source), _MOST_EXITS):
        if not _complaint(bash, _without(source[: leaves.start()])):  # and so no part of something larger
            return source[: leaves.end()]
    return source


@lru_cache(maxsize=_REMEMBERED)
def _complaint(bash: str, source: bytes) -> re.Match[bytes] | None:
    """Return what bash says of a syntax that it accepts neither by itself nor with what `shopt` can turn on later.

    It takes as long as a bot of one line, which is often run again.
    """
    return _said(bash, "-n", source) and _said(bash, "-O extglob -n", source)


def _said(bash: str, options: str, source: bytes) -> re.Match[bytes] | None:
    """Return the syntax error, or the here-document without an end, that bash names, running nothing; else None.

    None as well where bash did not last.
    """
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
    return (_SYNTAX.search(done.stderr) or _ENDLESS.search(done.stderr)) if done.returncode >= 0 else None
