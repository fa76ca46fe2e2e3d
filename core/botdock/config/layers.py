"""File, environment and arguments, one over the other, and where what is wrong with them came from."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from botdock.errors import ConfigError

KeyPath: TypeAlias = tuple[str | int, ...]
"""The keys and indexes that lead to something."""

_SHOWN = 60
_MOST_BYTES = 64 * 1024
_MOST_DOTS = 2000
"""The cost of a dotted key grows with the square of its parts."""
_AT_LINE = re.compile(r"(.*) \(at line ([0-9]+), column ([0-9]+)\)", re.DOTALL)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@attrs.frozen
class Problem:
    """Something that is wrong with outside data.

    Attributes:
        path: The keys and indexes that lead to it.
        text: What is wrong.
    """

    path: KeyPath
    text: str


class InvalidDataError(Exception):
    """Data that does not fit its class; `structure` turns it into a `ConfigError`."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


def dotted(path: KeyPath) -> str:
    """Return a path as TOML writes it: `runtime.images."a.b"`."""
    return ".".join(_key(key) for key in path) or "document"


def _key(key: str | int) -> str:
    text = str(key)
    return text if _BARE_KEY.fullmatch(text) else json.dumps(text[:_SHOWN])


@attrs.frozen(kw_only=True)
class Layer:
    """One source of settings.

    Attributes:
        data: Nested like the file.
        source: As messages name it.
        variables: For the environment, the variable that set a path.
        written: For settings of plugins, the path under which the user wrote what is read from another.
    """

    data: dict[str, Any]
    source: str
    variables: dict[KeyPath, str] = attrs.field(factory=dict)
    written: dict[KeyPath, KeyPath] = attrs.field(factory=dict)

    def holds(self, path: KeyPath) -> bool:
        """Whether something stands at `path`."""
        value: object = self.data
        for key in path:
            if isinstance(value, Mapping) and key in value:
                value = value[key]
            elif isinstance(value, Sequence) and isinstance(key, int) and not isinstance(value, str):
                value = value[key] if key < len(value) else None
            else:
                return False
        return True

    def name(self, path: KeyPath) -> str:
        """Return what a user calls `path` in this source: `botdock.toml: docker.host`, `environment BOTDOCK_...`."""
        for length in range(len(path), 0, -1):
            if variable := self.variables.get(path[:length]):
                return f"{self.source} {variable}"
        for length in range(len(path), 0, -1):
            if written := self.written.get(path[:length]):
                return f"{self.source}: {dotted((*written, *path[length:]))}"
        return f"{self.source}: {dotted(path)}"


def insert(data: dict[str, Any], path: KeyPath, value: object) -> None:
    """Put a value at a path of nested tables; what is not a table on the way is replaced by one."""
    *parents, last = path
    for key in parents:
        if not isinstance(data.get(str(key)), dict):
            data[str(key)] = {}
        data = data[str(key)]
    data[str(last)] = value


def merged(layers: Sequence[Layer]) -> dict[str, Any]:
    """Return all layers in one, the later over the earlier, table by table."""
    result: dict[str, Any] = {}
    for layer in layers:
        result = _merge(result, layer.data)
    return result


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = _merge(result[key], value) if both else value
    return result


def name_of(layers: Sequence[Layer], *paths: KeyPath) -> str:
    """Return where the first of `paths` that is set was set last, as `source: key.path`."""
    for path in paths:
        for layer in reversed(layers):
            if layer.holds(path):
                return layer.name(path)
    table = paths[0][:-1]
    for layer in reversed(layers):  # of what is missing, where its table stands
        if len(table) > 1 and layer.holds(table):
            return layer.name(paths[0])
    return f"configuration: {dotted(paths[0])}"


def read_file(path: Path) -> Layer:
    """Read a TOML file.

    Raises:
        ConfigError: It cannot be read, or is not TOML; names the line.
    """
    return parse_file(path, read_content(path))


def read_content(path: Path, *, bounded: bool = False) -> bytes:
    """Read a file; a `bounded` one came with its folder, and is not to cost more than a file of settings does.

    Raises:
        ConfigError: It cannot be read, or is larger than it may be.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1) if bounded else file.read()
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    if bounded and (len(content) > _MOST_BYTES or content.count(b".") > _MOST_DOTS):
        raise ConfigError(
            [f"{path}: holds more than {_MOST_BYTES} bytes or {_MOST_DOTS} dots, too much for a file of the folder"],
            hint=f"If it is yours: --config-file {path}",
        )
    return content


def parse_file(path: Path, content: bytes) -> Layer:
    """Return what stands in a file of TOML.

    Raises:
        ConfigError: It is not TOML; names the line.
    """
    try:
        return Layer(data=tomllib.loads(content.decode()), source=str(path))
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: is not UTF-8: {error.reason} at byte {error.start}"]) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{path}: {_toml_problem(error)}"]) from error


def _toml_problem(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    if match := _AT_LINE.fullmatch(str(error)):
        return f"line {match[2]}, column {match[3]}: {match[1]}"
    return str(error)
