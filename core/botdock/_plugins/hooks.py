"""The hooks of one plugin: checked before any is called, called under guard; and what is asked of what they yield."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeAlias, get_args

import attrs
import pluggy

from botdock._plugins.records import PluginStage, RejectedError, guarded
from botdock.config.converter import reader_of
from botdock.errors import meant
from botdock.hookspecs import INTERFACE, PROJECT, BotdockSpecs
from botdock.model import (
    EnginePlugin,
    LogSinkPlugin,
    MetricsExporterPlugin,
    Runtime,
    RuntimeCapabilities,
    StorageBackendPlugin,
)

MOST_OBJECTS = 1000
"""Of one hook; a generator that never ends is a mistake."""

HOOK_NAMES = frozenset(name for name in vars(BotdockSpecs) if name.startswith(f"{PROJECT}_"))

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
    "images": bool | Callable,
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
class ItemKind:
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
    ItemKind(key="runtime", label="runtime", hook="botdock_runtimes", type=Runtime),
    ItemKind(key="engine", label="engine", hook="botdock_engines", type=EnginePlugin),
    ItemKind(key="storage", label="storage backend", hook="botdock_storage_backends", type=StorageBackendPlugin),
    ItemKind(key="sink", label="sink", hook="botdock_log_sinks", type=LogSinkPlugin),
    ItemKind(key="exporter", label="exporter", hook="botdock_metrics_exporters", type=MetricsExporterPlugin),
)


def names_of(item: Item) -> tuple[str, ...]:
    """Return the canonical name and the aliases, folded so that case does not matter."""
    names = item.names if isinstance(item, Runtime) else (item.name,)
    return tuple(name.casefold() for name in names)


def item_problem(kind: ItemKind, item: object) -> str | None:
    """Say why `item` cannot be used as an object of `kind`."""
    if not isinstance(item, kind.type):
        return f"yields {_shown(item)}, not a {kind.type.__name__}"
    problem = next(_attribute_problems(item), None) or _names_problem(item) or _settings_problem(item)
    return f"yields {kind.key} {item.name!r}: {problem}" if problem else None


def _attribute_problems(item: Item) -> Iterator[str]:
    for field in attrs.fields(type(item)):
        value, shape = getattr(item, field.name), _SHAPES.get(field.name, object)
        if not isinstance(value, shape):
            shapes = " or a ".join(one.__name__ for one in get_args(shape) or (shape,))
            yield f"its {field.name} is {_shown(value)}, not a {shapes}"
        elif isinstance(value, tuple) and not all(isinstance(element, str) for element in value):
            yield f"its {field.name} holds something that is not text"


def _names_problem(item: Item) -> str | None:
    names = names_of(item)
    if wrong := [name for name in names if not _NAME.fullmatch(name)]:
        return f"a name must be {_NAME_RULE}; {wrong[0][:80]!r} is not"
    if len(set(names)) < len(names):
        return "it has one name twice"
    return None


def _settings_problem(item: Item) -> str | None:
    settings: Any = item.settings
    if settings is None:
        return None
    if not isinstance(settings, type) or not attrs.has(settings):
        return f"its settings are {_shown(settings)}, not an attrs class"
    reader_of(settings)  # raises what its author has to know, such as a name that is not imported
    return None


def _shown(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


class PluginHooks:
    """The hooks of one plugin.

    Attributes:
        names: Which hooks of botdock it has.

    Each plugin has a pluggy manager of its own, so that what one does to its hooks cannot reach another's.
    """

    def __init__(self, plugin: object) -> None:
        """Check the hooks of `plugin`, a module or any other object.

        Raises:
            RejectedError: They are not hooks of botdock.
        """
        self.names: set[str] = set()
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(BotdockSpecs)
        with guarded(PluginStage.VALIDATE):
            if problems := list(self._problems(plugin)):
                raise RejectedError(PluginStage.VALIDATE, "; ".join(problems))
        try:
            self._manager.register(plugin, name="plugin")
        except pluggy.PluginValidationError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise RejectedError(PluginStage.VALIDATE, "; ".join(lines[1:])) from error

    def _problems(self, plugin: object) -> Iterator[str]:
        if (interface := getattr(plugin, "BOTDOCK_INTERFACE", INTERFACE)) != INTERFACE:
            yield (
                f"it is written for version {interface} of the plugin interface, and this botdock has version "
                f"{INTERFACE}; install versions of the two that fit"
            )
            return
        for name in dir(plugin):
            options = self._manager.parse_hookimpl_opts(plugin, name)
            if options is None:
                if name in HOOK_NAMES and inspect.isroutine(getattr(plugin, name)):
                    yield f"{name} is not marked with @hookimpl"
                continue
            hook = options["specname"] or name
            self.names.add(hook)
            if hook not in HOOK_NAMES:
                yield f"{hook} is not a hook of botdock; {meant(hook, sorted(HOOK_NAMES))}"
            elif options["wrapper"] or options["hookwrapper"]:
                yield f"{hook} is a wrapper, and there is nothing to wrap: each plugin's hooks are called by themselves"
        if not self.names:
            yield "it has no hook; mark a function such as botdock_runtimes with @hookimpl"

    def objects(self) -> list[tuple[ItemKind, Item]]:
        """Return what the plugin registers.

        Raises:
            RejectedError: A hook raised, or something of it cannot be used; then nothing of the plugin is.
        """
        found = [(kind, item) for kind in KINDS if kind.hook in self.names for item in self._yielded(kind)]
        seen: set[tuple[str, str]] = set()
        for kind, item in found:
            names = {(kind.key, name) for name in names_of(item)}
            if twice := seen & names:
                raise RejectedError(PluginStage.REGISTER, f"registers {':'.join(twice.pop())} twice")
            seen |= names
        return found

    def _yielded(self, kind: ItemKind) -> Iterator[Item]:
        """Call the register hook of `kind`, and yield what is fit to be used."""
        items: list[Item] = []
        with guarded(PluginStage.REGISTER, kind.hook):
            for yielded in getattr(self._manager.hook, kind.hook)():
                if not hasattr(yielded, "__iter__"):
                    raise RejectedError(PluginStage.REGISTER, f"{kind.hook} returns no iterable; use `yield`")
                items.extend(islice(yielded, MOST_OBJECTS + 1 - len(items)))
            problems = [problem for item in items[: MOST_OBJECTS + 1] if (problem := item_problem(kind, item))]
        if len(items) > MOST_OBJECTS:
            problems = [f"yields more than {MOST_OBJECTS} objects"]
        if problems:
            raise RejectedError(PluginStage.REGISTER, f"{kind.hook} {'; '.join(problems[:3])}")
        yield from items

    def call(self, hook: str, arguments: dict[str, object]) -> None:
        """Call an event hook that the plugin has.

        Raises:
            RejectedError: It raised.
        """
        with guarded(PluginStage.LOADED, hook):
            getattr(self._manager.hook, hook)(**arguments)
