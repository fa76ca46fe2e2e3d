"""The seam to a language: how a tree of code is started."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any

import attrs

ENTRYPOINT_SCRIPT = "entrypoint.sh"
"""The file that every runtime generates and every container starts: `/bin/sh <program>/entrypoint.sh <context>`.

The folder of the program is the same for every bot, that of the context holds what one run is told."""
CONTEXT_FILE = "context.json"
"""In the context folder: everything about this one run, as JSON; see `ExecutionContext`."""
ENVIRONMENT_FILE = "environment"
"""Beside it too: the bot's variables, each a line `NAME=value`; each further line of a value begins with `=`.

`BOTDOCK_RESULT_FILE` comes last. For programs that read no JSON; `shell_entrypoint` is one."""
CONFIG_FILE = "config.json"
"""Beside it too: the config alone, as JSON; what `BOT_CONFIG_FILE` names when the config is too long for a variable."""
STARTUP_FILE = "startup"
"""Beside it too, in the form of `ENVIRONMENT_FILE`, where the bot has variables that an interpreter reads at its start:
just those, which `wrapper_entrypoint` exports, since the interpreter is there before its wrapper reads the rest."""
SECRETS_FILE = "secrets"
"""Beside it too, for a bot with secrets: the folder that each is to be in as a file, and the names of those variables,
a line each. The program writes them there before the bot starts; without a private filesystem they are there already,
in a folder of this name."""
SECRETS_TARGET = "/run/secrets"
"""Where the bot finds them, where it sees a file system of its own."""
READY_FIFO = "ready"
"""Beside it too, where a container was started before there is a run for it: a FIFO whose end of file says that the
context is there. What comes before it means nothing: it shows that the program reads. Where there is no `CONTEXT_FILE`
then, nothing is to run after all, and the program ends.

A run with a `STARTUP_FILE` cannot take such a container, whose interpreter has started: it is given one of its own; so
is one with secrets, unless the runtime has `late_secrets`."""
_READ_BY_ANY = (
    *("LD_*", "GLIBC_*", "MALLOC_*", "LANG*", "LC_*", "LOCPATH", "GCONV_PATH", "TZ*", "HOME"),
    *("OPENSSL_*", "SSL_*"),
)
"""Names of the variables that the loader, the C library and what most interpreters are built on read as they start."""

MAX_CHECKED_BYTES = 32 * 1024
"""Bytes of a script that a runtime's check looks at: a parser takes up to a thousand times as much memory."""
_MAX_PROBLEMS = 20
_MAX_PROBLEM = 500


def inside(tree: Path, name: str) -> bool:
    """Whether a name still lies within the tree when its links are followed."""
    parts = name.split("/")
    steps = [os.path.join(tree, *parts[: length + 1]) for length in range(len(parts))]  # noqa: PTH118 - as below
    if not (name.startswith("/") or ".." in parts or any(map(os.path.islink, steps))):
        return True  # the usual case, without following the links to the tree
    top = os.path.realpath(tree)
    return os.path.commonpath([top, os.path.realpath(tree / name)]) == top


def read_head(path: Path, size: int) -> bytes | None:
    """Return the first `size` bytes of a regular file, or None for another kind; a FIFO does not hold it up.

    Raises:
        OSError: The file is absent or unreadable.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
        return file.read(size) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None


def read_code(tree: Path, name: str, *, limit: int = MAX_CHECKED_BYTES) -> bytes | None:
    """Return a file of a stranger's code, for a runtime's check: in bounded memory, and from within the tree only.

    Args:
        tree: The code.
        name: The file, relative to the tree.
        limit: Bytes that it may have.

    Returns:
        None where a check has nothing to say: the file is absent, unreadable, larger than `limit`, not a regular
        file, or reached by a link that leads out of the tree.
    """
    try:
        data = read_head(tree / name, limit + 1) if inside(tree, name) else None
    except (OSError, ValueError):
        return None
    return data if data is not None and len(data) <= limit else None


class ResultFormat(StrEnum):
    """What a runtime's wrapper writes into the result file."""

    ENVELOPE = "envelope"
    """An object with `value` and what the wrapper knows about it; see `entrypoints.read_result`."""
    VALUE = "value"
    """The JSON value itself, or nothing."""


@attrs.frozen(kw_only=True)
class RuntimeCapabilities:
    """What the wrapper of a runtime can do.

    Attributes:
        result: What it writes into the result file.
        late_secrets: Whether it heeds a `SECRETS_FILE` that is there only when its `READY_FIFO` ends.
    """

    result: ResultFormat = ResultFormat.ENVELOPE
    late_secrets: bool = False


@attrs.frozen(kw_only=True)
class Packages:
    """How the packages that code needs are installed beside it, for `botdock pack --vendor`.

    Attributes:
        manifests: Names of the files that list them, such as `("requirements.txt",)`; the first that is there counts.
        folder: Where the runtime looks for them, relative to the code, such as `vendor`. It is made anew.
        command: Returns a command line that fills `folder` when it is run in a copy of the code, on this machine: given
            that copy, the image that is to run it, and whether packages may be built, which runs code of theirs.
            Raises `CodeError` for what it refuses.
        tidy: Removes from `folder` what differs between installations of the same packages.
        hint: What to do when the command fails.
    """

    manifests: tuple[str, ...]
    folder: str
    command: Callable[[Path, str, bool], Sequence[str]]
    tidy: Callable[[Path], None] = lambda _folder: None
    hint: str = ""

    def manifest_in(self, tree: Path) -> str | None:
        """Return which of `manifests` a tree of code holds."""
        return next((name for name in self.manifests if (tree / name).is_file()), None)


def _no_problems(_tree: Path, _script: str) -> Iterable[str]:
    return ()


def _declares_none(_tree: Path) -> None:
    return None


@attrs.frozen(kw_only=True)
class Runtime:
    r"""A language that bots are written in.

    The files it generates are the same for every bot: a runtime is never shown an id, a config or a script name when
    it writes code, so there is nothing that it could splice into shell or source text. All that differs between runs
    travels as data, in `CONTEXT_FILE` and `ENVIRONMENT_FILE`, which its program reads when it starts. Secrets
    are among it, and so no command line and no engine is to have it.

    Example:
        >>> from botdock.entrypoints import shell_entrypoint
        >>> runtime = Runtime(
        ...     name="busybox", image="busybox:1.36", suffixes=(".sh",), interpreters=("sh",),
        ...     scripts={"bot": ("main.sh",), "backtest": ("backtest.sh",)},
        ...     files=lambda: {"entrypoint.sh": shell_entrypoint("sh")},
        ...     capabilities=RuntimeCapabilities(result=ResultFormat.VALUE),
        ... )
        >>> runtime.knows("busybox")
        True

    Attributes:
        name: Canonical name, such as `python311`.
        aliases: Other names for it, such as `python3.11`.
        summary: One line for `botdock plugins`.
        language: What it is a version of, such as `python`. Of several runtimes of one language, that which has this as
            its name or alias runs the code that names none.
        image: Default image; stock, small, and with a POSIX `/bin/sh`.
        interpreters: Programs any one of which is enough, for engines without images: `("python3.11", "python3")`.
        suffixes: Endings of its scripts, such as `(".py",)`.
        scripts: Per entrypoint, the names a script may have when none is named; the first that exists is taken.
        declared: Returns, for a tree with none of these, the script that a file of the language's own declares, such as
            `main` of a package.json; it is what `check` is: code that reads a stranger's text, with `read_code`.
        files: Returns what the wrapper consists of, name to bytes; `entrypoint.sh` must be among it. A runtime that has
            settings is given them.
        check: Yields, for a tree and a script that exists in it, what is wrong with them in words. It runs in the
            runner's process, on a stranger's text: it reads with `read_code`, and asks an interpreter only in a child
            with limits. What it cannot tell is left to the wrapper.
        checked_bytes: Bytes of a script up to which `check` is asked; more only where it parses nothing by itself.
        startup_variables: Names of the variables that the interpreter reads as it starts, such as `("PYTHON*",)`. An
            `entrypoint.sh` finds those that a bot has in `STARTUP_FILE`, with those that any program reads; empty where
            it needs no such file, as that of `shell_entrypoint`.
        refused_variables: Names that a bot's variables cannot have, each with the reason.
        capabilities: What its wrapper can do.
        packages: How packages are installed for it; None means that it has none.
        settings: The attrs class of `[options.<name>]`; None means that there are none.
    """

    name: str
    aliases: tuple[str, ...] = ()
    summary: str = ""
    language: str = ""
    image: str
    interpreters: tuple[str, ...]
    suffixes: tuple[str, ...]
    scripts: Mapping[str, tuple[str, ...]]
    files: Callable[..., Mapping[str, bytes]]
    declared: Callable[[Path], str | None] = _declares_none
    check: Callable[[Path, str], Iterable[str]] = _no_problems
    checked_bytes: int = MAX_CHECKED_BYTES
    startup_variables: tuple[str, ...] = ()
    refused_variables: Mapping[str, str] = attrs.field(factory=dict)
    capabilities: RuntimeCapabilities = attrs.field(factory=RuntimeCapabilities)
    packages: Packages | None = None
    settings: type | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The canonical name and the aliases."""
        return (self.name, *self.aliases)

    def knows(self, name: str) -> bool:
        """Whether `name` is its name or one of its aliases; case does not matter."""
        return name.casefold() in {known.casefold() for known in self.names}

    def startup_names(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return those of a bot's variables that must be there when the interpreter starts, sorted."""
        patterns = (*self.startup_variables, *_READ_BY_ANY) if self.startup_variables else ()
        return tuple(sorted(name for name in names if any(fnmatchcase(name, each) for each in patterns)))

    def find_script(self, tree: Path, entrypoint: str) -> str | None:
        """Return the script of `entrypoint` that `tree` holds under a usual name, or else declares, or None."""
        return self.usual_script(tree, entrypoint) or self.declared(tree)

    def usual_script(self, tree: Path, entrypoint: str) -> str | None:
        """Return the script of `entrypoint` that `tree` holds under one of the usual names, or None."""
        return next((name for name in self.scripts.get(entrypoint, ()) if (tree / name).is_file()), None)

    def problems(self, tree: Path, script: str) -> tuple[str, ...]:
        """Return what `check` finds wrong with a script; nothing where the script is too large or deep to look at."""
        path = tree / script
        if not (inside(tree, script) and path.is_file() and path.stat().st_size <= self.checked_bytes):
            return ()
        try:
            found = tuple(islice(self.check(tree, script), _MAX_PROBLEMS))
        except (RecursionError, MemoryError):  # a limit of this process, which the bot's interpreter need not have
            return ()
        return tuple(problem[:_MAX_PROBLEM] for problem in found)

    def recognises(self, tree: Path, entrypoint: str) -> bool:
        """Whether `tree` looks like code of this runtime: it has a script under a usual name, or declares one."""
        return self.find_script(tree, entrypoint) is not None


@attrs.frozen(kw_only=True)
class ExecutionContext:
    """What a wrapper must know to run one bot once.

    Attributes:
        id: The executable's id, `main`'s first argument.
        entrypoint: `bot` or `backtest`.
        script: The script, relative to the tree.
        config: `main`'s second argument.
        code_dir: Where the bot sees its tree.
        context_dir: Where the bot sees its context folder.
        result_file: Where the wrapper writes the result.
        result_limit: Bytes the result may have.
        variables: The caller's own variables and secrets.
        startup: Names of those that must be there when the interpreter starts.
        secrets: Names of those that are secrets, which the bot gets as files, too.
        secrets_dir: Where the bot finds these files.
    """

    id: str
    entrypoint: str
    script: str
    config: Mapping[str, Any]
    code_dir: str
    context_dir: str
    result_file: str
    result_limit: int
    variables: Mapping[str, str] = attrs.field(factory=dict, repr=lambda value: f"<{len(value)} variables>")
    startup: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    secrets_dir: str = ""
