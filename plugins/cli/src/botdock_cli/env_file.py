"""Files of variables for `--env-file`, in Docker's form: a line each, `KEY=VALUE`, `KEY`, or a comment behind `#`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from botdock.errors import ExecutableError
from botdock.model import Executable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def read_env_files(files: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of all files; of one that is set twice, the later line, and the later file, win.

    A value is what stands behind the first `=`, to the end of its line: quotes, `#` and `$` are part of it, as in
    Docker.

    Args:
        files: Their names.
        environ: Where the value of a line that is only a `KEY` comes from.

    Raises:
        ExecutableError: With every line that is wrong, by file and number; or with a file that cannot be read.
    """
    variables: dict[str, str] = {}
    problems: list[str] = []
    for file in files:
        for number, line in _lines(file):
            name, equals, value = line.partition("=")
            given = value if equals else environ.get(name)
            if problem := _problem(name, given):
                problems.append(f"--env-file: {file}, line {number}: {problem}")
            else:
                variables[name] = given or ""
    if problems:
        raise ExecutableError(problems)
    return variables


def _lines(file: str) -> Iterator[tuple[int, str]]:
    """Yield each line that is neither empty nor a comment, without the blanks before it, and its number."""
    try:
        text = Path(file).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        raise ExecutableError([f"--env-file: {file}, line {number}: is not UTF-8"]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ExecutableError([f"--env-file: {file!r} cannot be read: {reason}"]) from None
    for number, line in enumerate(text.split("\n"), 1):
        if (bare := line.removesuffix("\r").lstrip()) and not bare.startswith("#"):
            yield number, bare


def _problem(name: str, value: str | None) -> str | None:
    """Say why this cannot be a variable of a bot; a value of None is one that our own environment does not have."""
    try:
        Executable(id="bot", env={name: value or ""})
    except ExecutableError as error:
        return error.problems[0].removeprefix("env: ")
    if value is None:
        return f"{name} is not set in your environment; export it first, or write {name}=VALUE"
    return None
