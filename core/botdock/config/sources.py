"""What the configuration is read from, one over the other: files, environment, arguments; and what came from where.

In the environment a setting is BOTDOCK_<SECTION>__<KEY>, besides the names that plugins read. A text is read as what
its field wants: `true`, `8`, `a,b`, and JSON where the field is a table. Tables also take one key each:
BOTDOCK_RUNTIME__IMAGES__PYTHON311. Settings of plugins are BOTDOCK_OPTIONS__LOCAL_FS__ROOT; `_` in the name of a plugin
stands for `-`.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, cast, get_args, get_origin

import attrs

from botdock.config.locations import CONFIG_VARIABLE, POLICY_VARIABLE, PREFIX
from botdock.config.options import OPTIONS, PluginSections
from botdock.config.rules import KeyPath, dotted
from botdock.errors import ConfigError, nearest
from botdock.model.executable import RESERVED_ENVIRONMENT

SEPARATOR = "__"
EVENT_VARIABLES = ("BOTDOCK_EVENT", "BOTDOCK_EVENT_BOT", "BOTDOCK_EVENT_EXECUTION", "BOTDOCK_EVENT_OUTCOME")
"""What `notify.command` is told besides."""
NO_SETTINGS = frozenset({CONFIG_VARIABLE, POLICY_VARIABLE, "BOTDOCK_DEBUG", *EVENT_VARIABLES}) | RESERVED_ENVIRONMENT
"""Variables of that prefix that are not settings."""
FOR_TESTS = "BOTDOCK_TEST_"

_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")
_MOST_BYTES = 64 * 1024
_MOST_DOTS = 2000
"""The cost of a dotted key grows with the square of its parts."""
_AT_LINE = re.compile(r"(.*) \(at line ([0-9]+), column ([0-9]+)\)", re.DOTALL)


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
        problem = "is nested too deeply" if isinstance(error, RecursionError) else str(error)
        if match := _AT_LINE.fullmatch(problem):
            problem = f"line {match[2]}, column {match[3]}: {match[1]}"
        raise ConfigError([f"{path}: {problem}"]) from error


class UnknownVariableError(Exception):
    """No setting has that name."""


def read_environment(cls: type, environ: Mapping[str, str], plugins: PluginSections) -> tuple[Layer, list[str]]:
    """Return the settings of `cls` and of plugins that `environ` holds, and a line for each variable that is none."""
    layer = Layer(data={}, source="environment", variables={})
    problems = []
    for name, path in plugins.variables().items():
        if environ.get(name):
            _set(layer, name, path, environ[name], _type_at(cls, path, plugins))
    # Sorted, a table's own variable comes before those of its keys, which thus add to it.
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in NO_SETTINGS and not name.startswith(FOR_TESTS):
            try:
                path = _path(cls, name, plugins)
                _set(layer, name, path, environ[name], _type_at(cls, path, plugins))
            except UnknownVariableError:
                near = nearest(name.removeprefix(PREFIX), [*_variables(cls), *variables_of(plugins)])
                meant = f"did you mean {PREFIX}{near[0]}?" if near else "`botdock config` lists all settings"
                problems.append(f"environment {name if name.isprintable() else repr(name)}: unknown; {meant}")
    return layer, problems


def _set(layer: Layer, name: str, path: KeyPath, text: str, cls: Any) -> None:
    insert(layer.data, path, _parsed(text, cls))
    layer.variables[path] = name


def _path(cls: type, name: str, plugins: PluginSections) -> KeyPath:
    """Return the path that a variable sets.

    Raises:
        UnknownVariableError: It is not a setting.
    """
    path = tuple(name.removeprefix(PREFIX).lower().split(SEPARATOR))
    if owner := None if path[0] in attrs.fields_dict(cls) else plugins.owner_of_section(path[0]):
        path = (OPTIONS, owner.name, *path[1:])
    elif path[0] == OPTIONS and len(path) > 1:
        owner = plugins.owner(path[1])
        path = (OPTIONS, owner.name if owner else path[1].replace("_", "-"), *path[2:])
    if "" in path or name != name.upper() or (path[0] != OPTIONS and attrs.has(_type_at(cls, path, plugins))):
        raise UnknownVariableError
    return path


def _type_at(cls: Any, path: KeyPath, plugins: PluginSections) -> Any:
    """Return the type of what stands at `path`.

    Raises:
        UnknownVariableError: Nothing does.
    """
    if path[0] == OPTIONS and len(path) > 1 and (owner := plugins.owner(str(path[1]))):
        cls, path = owner.settings or Any, path[2:]
    for key in path:
        if attrs.has(cls):
            cls = next((field.type for field in _fields(cls) if field.name == key), None)
        elif get_origin(cls) is dict:
            cls = get_args(cls)[1]
        elif cls is not Any:
            cls = None
        if cls is None:
            raise UnknownVariableError
    return cls


def _fields(cls: Any) -> tuple[attrs.Attribute[Any], ...]:
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(attrs.resolve_types(cls))
    return fields


def _parsed(text: str, cls: Any) -> object:
    """Return `text` as `cls`, or as it is where it is none: the converter says so."""
    if NoneType in get_args(cls):
        cls = get_args(cls)[0]
    if cls is bool:
        return _BOOLEANS.get(text.strip().lower(), text)
    if cls in {int, float} and _NUMBER.fullmatch(text.strip()):
        return float(text) if "." in text else int(text)
    if get_origin(cls) is tuple and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if cls is Any or attrs.has(cls) or get_origin(cls) in {tuple, dict}:
        return _json_or(text)
    return text


def _json_or(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _variables(cls: Any, prefix: str = "") -> Iterator[str]:
    """Yield the names of all settings' variables, without the prefix of all."""
    for field in _fields(cls):
        name = prefix + field.name.upper()
        if attrs.has(cast("type", field.type)):
            yield from _variables(field.type, name + SEPARATOR)
        else:
            yield name


def variables_of(plugins: PluginSections) -> Iterator[str]:
    """Yield the names of the variables of plugins' settings, without the prefix of all."""
    for owner in plugins:
        for section in filter(None, (OPTIONS + SEPARATOR + owner.name, owner.section)):
            yield from _variables(owner.settings, re.sub("[-.]", "_", section).upper() + SEPARATOR)
