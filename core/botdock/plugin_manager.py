"""Finds plugins, loads them under guard, and says who provides what.

A plugin that does not import, whose hooks are not botdock's, or that registers something unusable contributes nothing
and hides no other: it becomes a `PluginRecord`, as those do that load.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self, TypeVar, cast

import attrs

from botdock._plugins.discovery import Candidate, blocked_because, configuration_records, discover
from botdock._plugins.hooks import HOOK_NAMES, KINDS, Item, ItemKind
from botdock._plugins.plugin import NameTable, Plugin
from botdock._plugins.records import Origin, PluginRecord, PluginStage
from botdock.config import PluginsConfig
from botdock.config.options import OPTIONS, Owner, PluginSections
from botdock.config.rules import InvalidDataError, dotted
from botdock.errors import ConfigError, NotFoundError, PluginLoadError
from botdock.model import EnginePlugin, LogSinkPlugin, MetricsExporterPlugin, Runtime, StorageBackendPlugin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdock.config import Config

__all__ = ["PluginManager", "PluginRecord", "PluginStage"]

_T = TypeVar("_T", bound=Item)
_KIND_OF: dict[type[object], ItemKind] = {kind.type: kind for kind in KINDS}


class PluginManager:
    """The plugins of one application; built by it and passed on, never global.

    Example:
        >>> manager = PluginManager.load()
        >>> [record.reason for record in manager.records if record.failed]
        []
    """

    def __init__(self, config: PluginsConfig | None = None) -> None:
        """Make a manager that knows no plugin yet.

        Args:
            config: Which plugins may be loaded, and who wins a disputed name.
        """
        self._config = config or PluginsConfig()
        self._plugins: list[Plugin] = []
        self._discovered = False
        self._names = NameTable((), self._config.prefer)

    @classmethod
    def load(cls, config: PluginsConfig | None = None) -> Self:
        """Return a manager of all that is installed; what does not load is among `records`."""
        manager = cls(config)
        for candidate in discover():
            manager._add(candidate, blocked=blocked_because(manager._config, candidate.origin))
        manager._discovered = True
        manager._rebuild_names()
        return manager

    def register(self, plugin: object, *, name: str, distribution: str = "(application)", version: str = "") -> None:
        """Add a plugin that is not installed; for applications that embed botdock.

        What is blocked stays blocked; the allow-list is for what is installed.

        Args:
            plugin: A module, or any object whose methods are marked with `hookimpl`.
            name: In place of an entry point's.
            distribution: In place of a distribution's name.
            version: In place of a distribution's version.

        Raises:
            PluginLoadError: It is not a plugin of botdock; it is among `records` all the same.
        """
        module = str(getattr(plugin, "__name__", type(plugin).__qualname__))
        origin = Origin(name=name, distribution=distribution, version=version, module=module)
        blocked = blocked_because(attrs.evolve(self._config, allowed=()), origin)
        added = self._add(Candidate(origin=origin, load=lambda: plugin), blocked=blocked)
        self._rebuild_names()
        if not blocked and added.hooks is None:
            raise added.load_error("the plugin")

    def _add(self, candidate: Candidate, *, blocked: str) -> Plugin:
        plugin = Plugin.blocked(candidate.origin, blocked) if blocked else Plugin.load(candidate)
        self._plugins.append(plugin)
        return plugin

    def _rebuild_names(self) -> None:
        claims = [claim for plugin in self._plugins for claim in plugin.claims]
        self._names = NameTable(claims, self._config.prefer)

    @property
    def records(self) -> tuple[PluginRecord, ...]:
        """What became of each plugin, and each name in the configuration's `plugins.*` that picks nothing."""
        records = [plugin.record(self._names) for plugin in self._plugins]
        if self._discovered:
            records += configuration_records(self._config, [plugin.origin for plugin in self._plugins], self._names)
        return tuple(records)

    @property
    def sections(self) -> PluginSections:
        """Who owns which settings."""
        usable, unusable = [], [Owner(name=plugin.origin.name) for plugin in self._plugins if plugin.hooks is None]
        for claim in (claim for plugin in self._plugins for claim in plugin.claims if claim.item.settings):
            owner = Owner(
                name=claim.item.name, settings=claim.item.settings, section=getattr(claim.item, "section", "")
            )
            if self._names.usable(claim):
                usable.append(owner)
            else:
                unusable.append(attrs.evolve(owner, settings=None))
        return PluginSections(usable, unusable)

    def configured(self, config: Config) -> Config:
        """Return a configuration whose settings of plugins are objects of their own classes.

        Raises:
            ConfigError: With every setting that is wrong, or that no plugin has, as `options.<plugin>.<key>: problem`.
        """
        try:
            return attrs.evolve(config, options=self.sections.structured(config.options))
        except InvalidDataError as error:
            raise ConfigError(
                [f"{dotted((OPTIONS, *problem.path))}: {problem.text}" for problem in error.problems]
            ) from None

    def runtimes(self) -> Mapping[str, Runtime]:
        """Return the runtimes that can be used, by canonical name."""
        return self._items(Runtime)

    def engines(self) -> Mapping[str, EnginePlugin]:
        """Return the engines that can be used, by name."""
        return self._items(EnginePlugin)

    def storage_backends(self) -> Mapping[str, StorageBackendPlugin]:
        """Return the storage backends that can be used, by name."""
        return self._items(StorageBackendPlugin)

    def log_sinks(self) -> Mapping[str, LogSinkPlugin]:
        """Return the log sinks that can be used, by name."""
        return self._items(LogSinkPlugin)

    def metrics_exporters(self) -> Mapping[str, MetricsExporterPlugin]:
        """Return the metrics exporters that can be used, by name."""
        return self._items(MetricsExporterPlugin)

    def runtime(self, name: str) -> Runtime:
        """Return the runtime of a name or an alias; case does not matter.

        Raises:
            NotFoundError: Nothing of that name is registered; says the nearest names.
            PluginConflictError: Several plugins claim the name.
            PluginLoadError: The plugin of that name does not load.
        """
        return self._item(Runtime, name)

    def engine(self, name: str) -> EnginePlugin:
        """Return the engine of a name; raises like `runtime`."""
        return self._item(EnginePlugin, name)

    def storage_backend(self, name: str) -> StorageBackendPlugin:
        """Return the storage backend of a name; raises like `runtime`."""
        return self._item(StorageBackendPlugin, name)

    def log_sink(self, name: str) -> LogSinkPlugin:
        """Return the log sink of a name; raises like `runtime`."""
        return self._item(LogSinkPlugin, name)

    def metrics_exporter(self, name: str) -> MetricsExporterPlugin:
        """Return the metrics exporter of a name; raises like `runtime`."""
        return self._item(MetricsExporterPlugin, name)

    def _items(self, wanted: type[_T]) -> Mapping[str, _T]:
        return cast("dict[str, _T]", self._names.items(_KIND_OF[wanted]))

    def _item(self, wanted: type[_T], name: str) -> _T:
        kind = _KIND_OF[wanted]
        item = self._names.find(kind, name)
        if item is None:
            raise self._missing(kind, name)
        return cast("_T", item)

    def _missing(self, kind: ItemKind, name: str) -> NotFoundError | PluginLoadError:
        """Return why there is nothing of that name: its plugin did not load, or there is none."""
        for plugin in self._plugins:
            if plugin.hooks is None and _letters(plugin.origin.name) == _letters(name):
                return plugin.load_error(f"{kind.label} {name!r}")
        known = self._names.known(kind)
        hint = None if known else 'What botdock itself brings is installed by: pip install "botdock[standard]"'
        return NotFoundError(kind.label, name, known, hint=hint)

    def notify(self, hook: str, **arguments: object) -> None:
        """Call an event hook of each plugin, in the order of `records`.

        One that raises is logged and noted in its record, and changes nothing.

        Args:
            hook: Such as `botdock_before_execution`.
            arguments: All of the hook's parameters, by name.

        Raises:
            ValueError: No hook has that name.
        """
        if hook not in HOOK_NAMES:
            raise ValueError(f"{hook!r} is not a hook of botdock")
        for plugin in self._plugins:
            if plugin.hooks is not None and hook in plugin.hooks.names:
                plugin.notify(hook, arguments)


def _letters(name: str) -> str:
    """Return `name` without what people leave out: `python3.11` and `python311` are the same plugin."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())
