"""The kinds of objects that plugins register, and what is asked of one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from botdock.model import (
    EnginePlugin,
    LogSinkPlugin,
    MetricsExporterPlugin,
    Runtime,
    RuntimeCapabilities,
    StorageBackendPlugin,
)

Item: TypeAlias = Runtime | EnginePlugin | StorageBackendPlugin | LogSinkPlugin | MetricsExporterPlugin

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_NAME_RULE = "1 to 64 of A-Z a-z 0-9 . _ + -, and begin with a letter or a digit"

_SHAPES: dict[str, Any] = {
    "aliases": tuple,
    "automatic": bool,
    "capabilities": RuntimeCapabilities,
    "check": Callable,
    "checks": Callable,
    "factory": Callable,
    "files": Callable,
    "image": str,
    "images": bool,
    "interpreters": tuple,
    "language": str,
    "name": str,
    "scripts": Mapping,
    "section": str,
    "suffixes": tuple,
    "summary": str,
}
"""What each attribute of a registered object must be."""


@attrs.frozen(kw_only=True)
class Kind:
    """A kind of object.

    Attributes:
        key: As in `plugins.prefer` and in `PluginRecord.provides`.
        label: As messages say it; begins with `key`.
        hook: The hook that yields such objects.
        type: Of the objects.
    """

    key: str
    label: str
    hook: str
    type: type[Item]


KINDS = (
    Kind(key="runtime", label="runtime", hook="botdock_runtimes", type=Runtime),
    Kind(key="engine", label="engine", hook="botdock_engines", type=EnginePlugin),
    Kind(key="storage", label="storage backend", hook="botdock_storage_backends", type=StorageBackendPlugin),
    Kind(key="sink", label="sink", hook="botdock_log_sinks", type=LogSinkPlugin),
    Kind(key="exporter", label="exporter", hook="botdock_metrics_exporters", type=MetricsExporterPlugin),
)


def names_of(item: Item) -> tuple[str, ...]:
    """Return the canonical name and the aliases, folded so that case does not matter."""
    names = item.names if isinstance(item, Runtime) else (item.name,)
    return tuple(name.casefold() for name in names)


def item_problem(kind: Kind, item: object) -> str | None:
    """Say why `item` cannot be used as an object of `kind`."""
    if not isinstance(item, kind.type):
        return f"yields {_shown(item)}, not a {kind.type.__name__}"
    problem = next(_attribute_problems(item), None) or _names_problem(item) or _settings_problem(item)
    return f"yields {kind.key} {item.name!r}: {problem}" if problem else None


def _attribute_problems(item: Item) -> Iterator[str]:
    for field in attrs.fields(type(item)):
        value, shape = getattr(item, field.name), _SHAPES.get(field.name, object)
        if not isinstance(value, shape):
            yield f"its {field.name} is {_shown(value)}, not a {shape.__name__}"
        elif isinstance(value, tuple) and not all(isinstance(element, str) for element in value):
            yield f"its {field.name} holds something that is not text"


def _names_problem(item: Item) -> str | None:
    names = names_of(item)
    if wrong := [name for name in names if not _NAME.fullmatch(name)]:
        return f"a name must be {_NAME_RULE}; {wrong[0][:80]!r} is not"
    if len(set(names)) < len(names):
        return "one of its names stands there twice"
    return None


def _settings_problem(item: Item) -> str | None:
    settings: Any = item.settings
    if settings is None:
        return None
    if not isinstance(settings, type) or not attrs.has(settings):
        return f"its settings are {_shown(settings)}, not an attrs class"
    attrs.resolve_types(settings)  # raises what its author has to know, such as a name that is not imported
    return None


def _shown(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
