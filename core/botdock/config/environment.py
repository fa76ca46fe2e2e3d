"""The configuration that stands in the environment: BOTDOCK_<SECTION>__<KEY>, and the old runner's MINIO_*.

A text is read as what its field wants: `true`, `8`, `a,b`, and JSON where the field is a table. Tables also take one
key each: BOTDOCK_RUNTIME__IMAGES__PYTHON311, BOTDOCK_OPTIONS__LOCAL_FS__ROOT. There, `_` in the name of a plugin stands
for `-`, and a value that is JSON is read as JSON, because only the plugin knows what it wants.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, cast, get_args, get_origin

import attrs

from botdock.config.config import CONFIG_VARIABLE
from botdock.config.layers import Layer, insert
from botdock.config.problems import Path
from botdock.errors import nearest
from botdock.model.executable import RESERVED_ENVIRONMENT

PREFIX = "BOTDOCK_"
SEPARATOR = "__"
NO_SETTINGS = frozenset({CONFIG_VARIABLE, "BOTDOCK_DEBUG"}) | RESERVED_ENVIRONMENT
"""Variables of that prefix that are no settings."""
FOR_TESTS = "BOTDOCK_TEST_"

OLD_NAMES: dict[str, Path] = {
    "MINIO_ENDPOINT": ("minio", "endpoint"),
    "MINIO_ACCESS_KEY": ("minio", "access_key"),
    "MINIO_SECRET_KEY": ("minio", "secret_key"),
    "MINIO_SSL": ("minio", "use_ssl"),
    "MINIO_CODE_BUCKET": ("minio", "code_bucket"),
    "MINIO_BACKTESTS_BUCKET": ("minio", "results_bucket"),
    "MINIO_LOGS_BUCKET": ("minio", "logs_bucket"),
}
"""What the old runner read; an empty one counts as absent, as it did there."""

_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")


class UnknownVariableError(Exception):
    """No setting has that name."""


def read_environment(cls: type, environ: Mapping[str, str]) -> tuple[Layer, list[str]]:
    """Return the settings of `cls` that `environ` holds, and a line for each variable that is none."""
    layer = Layer(data={}, source="environment", variables={})
    problems = []
    for name, path in OLD_NAMES.items():
        if environ.get(name):
            _set(layer, cls, name, path, environ[name])
    # Sorted, a table's own variable comes before those of its keys, which thus add to it.
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in NO_SETTINGS and not name.startswith(FOR_TESTS):
            try:
                _set(layer, cls, name, _path(cls, name), environ[name])
            except UnknownVariableError:
                shown = name if name.isprintable() else repr(name)
                problems.append(f"environment {shown}: unknown{_meant(cls, name)}")
    return layer, problems


def _set(layer: Layer, cls: type, name: str, path: Path, text: str) -> None:
    insert(layer.data, path, _parsed(text, _type_at(cls, path)))
    layer.variables[path] = name


def _path(cls: type, name: str) -> Path:
    """Return the path that a variable sets.

    Raises:
        UnknownVariableError: There is no such setting.
    """
    path = tuple(name.removeprefix(PREFIX).lower().split(SEPARATOR))
    if path[0] == "options" and len(path) > 1:
        path = ("options", path[1].replace("_", "-"), *path[2:])
    if "" in path or name != name.upper() or attrs.has(_type_at(cls, path)):
        raise UnknownVariableError
    return path


def _type_at(cls: Any, path: Path) -> Any:
    """Return the type of what stands at `path`.

    Raises:
        UnknownVariableError: Nothing does.
    """
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
    if cls is Any or get_origin(cls) in {tuple, dict}:
        return _json_or(text)
    return text


def _json_or(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _meant(cls: type, name: str) -> str:
    near = nearest(name.removeprefix(PREFIX), _variables(cls))
    return f"; did you mean {PREFIX}{near[0]}?" if near else "; `botdock config` lists all settings"


def _variables(cls: Any, prefix: str = "") -> Iterator[str]:
    """Yield the names of all settings' variables, without the prefix of all."""
    for field in _fields(cls):
        name = prefix + field.name.upper()
        if attrs.has(cast("type", field.type)):
            yield from _variables(field.type, name + SEPARATOR)
        else:
            yield name
