"""From what was typed to what is meant: the options of running, durations, sizes, moments, the bot's config."""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from botdock.errors import ExecutableError, UserError, nearest
from botdock.model import Executable, Limits, Outcome
from botdock.model.units import parse_bytes, parse_seconds
from botdock_cli.moments import parse_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from botdock_cli.options import RunRequest

OPTION_OF_FIELD = {
    "id": "--id",
    "entrypoint": "--entrypoint",
    "entrypoint_files.bot": "--script",
    "entrypoint_files.backtest": "--script",
    "config": "--config",
    "limits.memory": "--memory",
    "limits.cpus": "--cpus",
    "limits.pids": "--pids",
    "env": "--env",
    "secrets": "--secret",
    "timeout": "--timeout",
}
"""What a user typed for each field of an `Executable`."""

_ARCHIVE_SUFFIX = re.compile(r"(\.tar)?\.(zip|tar|gz|tgz|bz2|tbz2|xz|txz)$", re.IGNORECASE)
_LONGEST_ID = 128
_MENDED = 'Write an object such as \'{"symbol": "BTC"}\', or @FILE that holds one.'


class OptionError(UserError):
    """An option of the command line is wrong.

    Attributes:
        option: As it is typed, such as `--timeout`.
    """

    def __init__(self, option: str, problem: str, *, hint: str | None = None) -> None:
        super().__init__(f"{option}: {problem}", hint=hint)
        self.option = option


class BotConfigError(UserError):
    """`--config` is not a JSON object."""


def executable_of(request: RunRequest, environ: Mapping[str, str] | None = None) -> Executable:
    """Return what is to be run; see `RunRequest.executable`."""
    variables = os.environ if environ is None else environ
    entrypoint = str(request.entrypoint)
    fields: dict[str, Any] = {
        "id": default_id(request.code) if request.id is None else request.id,
        "runtime": request.runtime,
        "entrypoint": entrypoint,
        "entrypoint_files": {} if request.script is None else {entrypoint: request.script},
        "config": read_bot_config(request.config),
        "file_path": request.code,
        "limits": Limits(memory=_parsed("--memory", request.memory, parse_bytes), cpus=request.cpus, pids=request.pids),
        "env": _variables("--env", request.env or (), variables),
        "secrets": _variables("--secret", request.secret or (), variables),
        "network": request.network,
        "persist_results": entrypoint == "backtest" if request.persist is None else request.persist,
        "timeout": _parsed("--timeout", request.timeout, parse_seconds),
    }
    try:
        return Executable(**fields)
    except ExecutableError as error:
        raise ExecutableError([_in_options(problem) for problem in error.problems], hint=error.hint) from None


def overrides_of(request: RunRequest) -> dict[str, Any]:
    """Return what the options change in the configuration; see `RunRequest.overrides`."""
    overrides: dict[str, Any] = {}
    for setting in request.settings or ():
        key, equals, value = setting.partition("=")
        if not (equals and key.strip()):
            raise OptionError("--set", f"{setting!r} is not KEY=VALUE, such as runtime.timeout=30s")
        _put(overrides, key.strip(), _toml_value(value))
    pull = None if request.pull is None else str(request.pull)
    for key, given in {"engine": request.engine, "storage": request.storage, "containers.pull": pull}.items():
        if given is not None:
            _put(overrides, key, given)
    return overrides


def default_id(code: str) -> str:
    """Return an id for code that was given none: its name without the archive's suffix.

    Example:
        >>> default_id("bots/My bot.tar.gz")
        'My-bot'
    """
    name = PurePath(code).name
    if name in {"", ".", ".."}:
        name = os.path.basename(os.path.abspath(code))  # noqa: PTH100, PTH119 - resolve() would follow links
    name = _ARCHIVE_SUFFIX.sub("", name)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:_LONGEST_ID] or "bot"


def seconds_option(option: str, text: str | None) -> float | None:
    """Return the seconds of an option such as `30s`, or None when it is not given.

    Raises:
        OptionError: It is not a duration.
    """
    seconds: float | None = _parsed(option, text, parse_seconds)
    return seconds


def bytes_option(option: str, text: str | None) -> int | None:
    """Return the bytes of an option such as `20GiB`, or None when it is not given.

    Raises:
        OptionError: It is not a size.
    """
    size: int | None = _parsed(option, text, parse_bytes)
    return size


def moment_option(option: str, text: str | None) -> int | None:
    """Return the moment of an option in nanoseconds since the epoch, or None when it is not given.

    Raises:
        OptionError: It is not a moment.
    """
    moment: int | None = _parsed(option, text, parse_moment)
    return moment


def outcome_option(option: str, text: str | None) -> Outcome | None:
    """Return the outcome that an option names, or None when it is not given.

    Raises:
        OptionError: It is not an outcome.
    """
    if text is None:
        return None
    if text in set(Outcome):
        return Outcome(text)
    near = " or ".join(nearest(text, list(Outcome)) or Outcome)
    raise OptionError(option, f"{text!r} is not an outcome", hint=f"Did you mean {near}?")


def _parsed(option: str, text: str | None, parse: Callable[[str], Any]) -> Any:
    if text is None:
        return None
    try:
        return parse(text)
    except (ValueError, OverflowError) as error:  # a number of hundreds of digits overflows
        raise OptionError(option, str(error)) from None


def _variables(option: str, given: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return `K=V` as they stand, and for a bare `K` the value of our own environment."""
    variables = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals and name not in environ:
            raise OptionError(option, f"{name!r} is not set in your environment", hint=_variable_hint(name, environ))
        variables[name] = value if equals else environ[name]
    return variables


def _variable_hint(name: str, environ: Mapping[str, str]) -> str:
    near = nearest(name, environ)
    return f"Did you mean {' or '.join(near)}?" if near else f"Export it first, or write {name}=VALUE."


def _in_options(problem: str) -> str:
    field, colon, said = problem.partition(": ")
    return f"{OPTION_OF_FIELD.get(field, field)}{colon}{said}"


def _put(tree: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise OptionError("--set", f"{path} lies below {parent}, which has a value already")
    tree[last] = value


def _toml_value(text: str) -> Any:
    """Return `text` read as a TOML value, and as plain text where it is none: `30s`, `process`."""
    if "\n" in text:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # no TOML, a number of thousands of digits, or nested too deeply
        return text


def read_bot_config(text: str) -> dict[str, Any]:
    """Return the object that `text` is, or that the file behind its `@` holds; `@-` is stdin.

    Raises:
        BotConfigError: It cannot be read, is not JSON, or is not an object.
    """
    source, document = ("--config", text) if not text.startswith("@") else _read(text[1:])
    try:
        value = json.loads(document)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise BotConfigError(f"{source} is not JSON: {error.msg} ({where})", hint=_MENDED) from None
    except (ValueError, RecursionError) as error:  # bytes in no encoding, a number or a nesting beyond all bounds
        raise BotConfigError(f"{source} is not JSON: {error}", hint=_MENDED) from None
    if not isinstance(value, dict):
        raise BotConfigError(f"{source} must be a JSON object, not {_word(value)}", hint=_MENDED)
    return value


def _read(name: str) -> tuple[str, bytes]:
    if name == "-":
        return "--config (stdin)", sys.stdin.buffer.read()
    try:
        return f"--config ({name})", Path(name).read_bytes()
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise BotConfigError(f"--config: {name!r} cannot be read: {said}") from None


def _word(value: object) -> str:
    words = {bool: "a boolean", str: "a text", list: "a list", type(None): "null"}
    return words.get(type(value), "a number")
