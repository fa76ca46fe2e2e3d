"""From the options of running to an executable, and to changes of the configuration."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import attrs

from botdock.errors import ExecutableError, UserError, nearest
from botdock.model import Executable, Limits
from botdock_cli.interrupts import interruptible_stdin
from botdock_cli.values import OptionError, bytes_option, seconds_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

OPTION_OF_FIELD = {
    "id": "--id",
    "entrypoint": "--entrypoint",
    "entrypoint_files.bot": "--script",
    "entrypoint_files.backtest": "--script",
    "config": "--config",
    "limits.memory": "--memory",
    "limits.cpus": "--cpus",
    "limits.pids": "--pids",
    "image": "--image",
    "env": "--env",
    "secrets": "--secret",
    "timeout": "--timeout",
    "start_timeout": "--start-timeout",
    "silence_timeout": "--silence-timeout",
    "restart": "--restart",
}
"""What a user typed for each field of an `Executable`."""

_ARCHIVE_SUFFIX = re.compile(r"(\.tar)?\.(zip|tar|gz|tgz|bz2|tbz2|xz|txz|zst|tzst)$", re.IGNORECASE)
_LONGEST_ID = 128
_MENDED = 'Write an object such as \'{"symbol": "BTC"}\', or @FILE that holds one.'


class BotConfigError(UserError):
    """`--config` is not a JSON object."""


@attrs.frozen(kw_only=True)
class RunRequest:
    """The options of running, as they were typed; see `takes_run_options`."""

    code: str
    runtime: str | None = None
    entrypoint: str = "bot"
    script: str | None = None
    config: str = "{}"
    id: str | None = None
    engine: str | None = None
    timeout: str | None = None
    start_timeout: str | None = None
    silence_timeout: str | None = None
    memory: str | None = None
    cpus: float | None = None
    pids: int | None = None
    network: str | None = None
    image: str | None = None
    env: Sequence[str] = ()
    env_file: Sequence[str] = ()
    secret: Sequence[str] = attrs.field(default=(), repr=False)
    storage: str | None = None
    pull: str | None = None
    persist: bool | None = None
    restart: str | None = None
    settings: Sequence[str] = ()

    def executable(self, environ: Mapping[str, str] | None = None) -> Executable:
        """Return what is to be run; variables without a value come from `environ`, by default our own environment.

        Raises:
            OptionError: An option cannot be read.
            ExecutableError: Options that can be read, but ask for what cannot be; each problem names its option.
        """
        variables = os.environ if environ is None else environ
        fields: dict[str, Any] = {
            "id": default_id(self.code) if self.id is None else self.id,
            "runtime": self.runtime,
            "entrypoint": self.entrypoint,
            "entrypoint_files": {} if self.script is None else {self.entrypoint: self.script},
            "config": read_bot_config(self.config),
            "file_path": self.code,
            "limits": Limits(memory=bytes_option("--memory", self.memory), cpus=self.cpus, pids=self.pids),
            "env": read_env_files(self.env_file, variables) | _variables("--env", self.env, variables),
            "secrets": _variables("--secret", self.secret, variables),
            "image": self.image,
            "network": self.network,
            "persist_results": self.entrypoint == "backtest" if self.persist is None else self.persist,
            "timeout": seconds_option("--timeout", self.timeout),
            "start_timeout": seconds_option("--start-timeout", self.start_timeout),
            "silence_timeout": seconds_option("--silence-timeout", self.silence_timeout),
            "restart": self.restart,
        }
        try:
            return Executable(**fields)
        except ExecutableError as error:
            raise ExecutableError([_in_options(problem) for problem in error.problems], hint=error.hint) from None

    def overrides(self) -> dict[str, Any]:
        """Return what the options change in the configuration, nested like its file.

        Raises:
            OptionError: `--set` without `=`, or a key within one that has a value.
        """
        overrides: dict[str, Any] = {}
        for setting in self.settings:
            key, equals, value = setting.partition("=")
            if not (equals and key.strip()):
                raise OptionError("--set", f"{setting!r} is not KEY=VALUE, such as runtime.timeout=30s")
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


def read_env_files(files: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of files in Docker's form, a line each: `KEY=VALUE`, `KEY`, or a comment behind `#`.

    Of one that is set twice, the later line, and the later file, win. A value is what stands behind the first `=`, to
    the end of its line: quotes, `#` and `$` are part of it, as in Docker.

    Args:
        files: Their names.
        environ: Where the value of a line that is only a `KEY` comes from.

    Raises:
        ExecutableError: With every line that is wrong, by file and number; or with a file that cannot be read.
    """
    variables: dict[str, str] = {}
    problems: list[str] = []
    for file in files:
        for number, line in _env_lines(file):
            name, equals, value = line.partition("=")
            given = value if equals else environ.get(name)
            if problem := _env_problem(name, given):
                problems.append(f"--env-file: {file}, line {number}: {problem}")
            else:
                variables[name] = given or ""
    if problems:
        raise ExecutableError(problems)
    return variables


def _env_lines(file: str) -> Iterator[tuple[int, str]]:
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


def _env_problem(name: str, value: str | None) -> str | None:
    """Say why this cannot be a variable of a bot; a value of None is one that our own environment does not have."""
    try:
        Executable(id="bot", env={name: value or ""})
    except ExecutableError as error:
        return error.problems[0].removeprefix("env: ")
    if value is None:
        return f"{name} is not set in your environment; export it first, or write {name}=VALUE"
    return None


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
    field, colon, text = problem.partition(": ")
    return f"{OPTION_OF_FIELD.get(field, field)}{colon}{text}"


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
        with interruptible_stdin() as stdin:
            return "--config (stdin)", stdin.read()
    try:
        return f"--config ({name})", Path(name).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BotConfigError(f"--config: {name!r} cannot be read: {reason}") from None


def _word(value: object) -> str:
    words = {bool: "a boolean", str: "a text", list: "a list", type(None): "null"}
    return words.get(type(value), "a number")
