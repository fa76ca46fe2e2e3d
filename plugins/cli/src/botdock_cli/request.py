"""From the options of `botdock run` to what is to be run and how botdock is set up for it."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import attrs

from botdock.errors import ExecutableError, UserError, nearest
from botdock.model import Executable, Limits, Outcome
from botdock.model.units import parse_bytes, parse_seconds
from botdock_cli.bot_config import read_bot_config
from botdock_cli.moments import parse_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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


class OptionError(UserError):
    """An option of the command line is wrong.

    Attributes:
        option: As it is typed, such as `--timeout`.
    """

    def __init__(self, option: str, problem: str, *, hint: str | None = None) -> None:
        super().__init__(f"{option}: {problem}", hint=hint)
        self.option = option


@attrs.frozen(kw_only=True)
class RunRequest:
    """The options of `botdock run` as they were typed; see its help."""

    code: str
    runtime: str | None = None
    entrypoint: str = "bot"
    script: str | None = None
    config: str = "{}"
    id: str | None = None
    engine: str | None = None
    timeout: str | None = None
    memory: str | None = None
    cpus: float | None = None
    pids: int | None = None
    network: str | None = None
    env: tuple[str, ...] = ()
    secret: tuple[str, ...] = attrs.field(default=(), repr=lambda value: f"<{len(value)} secrets>")
    storage: str | None = None
    pull: str | None = None
    persist: bool | None = None
    settings: tuple[str, ...] = ()

    def executable(self, environ: Mapping[str, str] = os.environ) -> Executable:
        """Return what is to be run.

        Args:
            environ: Where variables without a value come from.

        Raises:
            OptionError: An option cannot be read.
            ExecutableError: Options that can be read, but ask for what cannot be; each problem names its option.
        """
        fields: dict[str, Any] = {
            "id": default_id(self.code) if self.id is None else self.id,
            "runtime": self.runtime,
            "entrypoint": self.entrypoint,
            "entrypoint_files": {} if self.script is None else {self.entrypoint: self.script},
            "config": read_bot_config(self.config),
            "file_path": self.code,
            "limits": self._limits(),
            "env": _variables("--env", self.env, environ),
            "secrets": _variables("--secret", self.secret, environ),
            "network": self.network,
            "persist_results": self.entrypoint == "backtest" if self.persist is None else self.persist,
            "timeout": _parsed("--timeout", self.timeout, parse_seconds),
        }
        try:
            return Executable(**fields)
        except ExecutableError as error:
            raise ExecutableError([_in_options(problem) for problem in error.problems], hint=error.hint) from None

    def _limits(self) -> Limits:
        return Limits(memory=_parsed("--memory", self.memory, parse_bytes), cpus=self.cpus, pids=self.pids)

    def overrides(self) -> dict[str, Any]:
        """Return what the options change in the configuration, nested like its file.

        Raises:
            OptionError: `--set` without `=`, or a key within one that has a value.
        """
        overrides: dict[str, Any] = {}
        for setting in self.settings:
            key, equals, value = setting.partition("=")
            if not (equals and key.strip()):
                raise OptionError("--set", f"{setting!r} is no KEY=VALUE, such as runtime.timeout=30s")
            _put(overrides, key.strip(), _toml_value(value))
        named = {"engine": self.engine, "storage": self.storage, "containers.pull": self.pull}
        for key, given in named.items():
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


def _variables(option: str, given: tuple[str, ...], environ: Mapping[str, str]) -> dict[str, str]:
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
