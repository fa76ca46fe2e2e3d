"""The configuration that stands in the environment: BOTDOCK_<SECTION>__<KEY>, and what plugins read besides.

A text is read as what its field wants: `true`, `8`, `a,b`, and JSON where the field is a table. Tables also take one
key each: BOTDOCK_RUNTIME__IMAGES__PYTHON311. Settings of plugins are BOTDOCK_OPTIONS__LOCAL_FS__ROOT; `_` in the name
of a plugin stands for `-`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, cast, get_args, get_origin

import attrs

from botdock.config.layers import KeyPath, Layer, insert
from botdock.config.locations import CONFIG_VARIABLE, PREFIX
from botdock.config.options import OPTIONS, PluginSections
from botdock.errors import nearest
from botdock.model.executable import RESERVED_ENVIRONMENT

SEPARATOR = "__"
NO_SETTINGS = frozenset({CONFIG_VARIABLE, "BOTDOCK_DEBUG"}) | RESERVED_ENVIRONMENT
"""Variables of that prefix that are not settings."""
FOR_TESTS = "BOTDOCK_TEST_"

_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")


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
                shown = name if name.isprintable() else repr(name)
                problems.append(f"environment {shown}: unknown{_meant(cls, name, plugins)}")
    return layer, problems


def _set(layer: Layer, name: str, path: KeyPath, text: str, cls: Any) -> None:
    insert(layer.data, path, _parsed(text, cls))
    layer.variables[path] = name


def _path(cls: type, name: str, plugins: PluginSections) -> KeyPath:
    """Return the path that a variable sets.

    Raises:
        UnknownVariableError: There is no such setting.
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


def _meant(cls: type, name: str, plugins: PluginSections) -> str:
    near = nearest(name.removeprefix(PREFIX), [*_variables(cls), *variables_of(plugins)])
    return f"; did you mean {PREFIX}{near[0]}?" if near else "; `botdock config` lists all settings"


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
