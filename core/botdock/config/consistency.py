"""What no single setting can say: settings that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from botdock.config.options import OPTIONS, limits_of
from botdock.config.problems import dotted
from botdock.config.section import spelling
from botdock.errors import ConfigError, nearest

if TYPE_CHECKING:
    from botdock.config.config import Config
    from botdock.plugin_manager import PluginManager

Paths: TypeAlias = list[tuple[str | int, ...]]
"""The settings that contradict each other; the first is the one to change."""


def contradictions(config: Config) -> Iterator[tuple[Paths, str]]:
    """Yield each contradiction: where, and in words."""
    yield from _network(config)
    yield from _limits(config)
    yield from _engine(config)


def _network(config: Config) -> Iterator[tuple[Paths, str]]:
    network, allowed = config.runtime.network, config.policy.networks
    if network not in allowed:
        near = nearest(network, allowed)
        guess = f"; did you mean {near[0]}?" if near else ""
        paths: Paths = [("runtime", "network"), ("policy", "networks")]
        yield paths, f"{network!r} is not among policy.networks: {', '.join(allowed) or 'none at all'}{guess}"


def _limits(config: Config) -> Iterator[tuple[Paths, str]]:
    defaults = config.runtime.limits.given()
    for name, bound in config.policy.max_limits.given().items():
        path = ("policy", "max_limits", name)
        if defaults[name] > bound:
            text = f"runtime.limits.{name} is {defaults[name]}, more than policy.max_limits.{name}, {bound}"
            yield [("runtime", "limits", name), path], text
    for plugin, settings in config.options.items():
        for name, (key, value) in limits_of(settings).items():
            bound = getattr(config.policy.max_limits, name)
            if bound is not None and value > bound:
                path = (OPTIONS, plugin, key)
                yield [path], f"{dotted(path)} is {value}, more than policy.max_limits.{name}, {bound}"


def _engine(config: Config) -> Iterator[tuple[Paths, str]]:
    allowed = config.policy.engines
    if config.engine and allowed and config.engine not in allowed:
        yield (
            [("engine",), ("policy", "engines")],
            f"{config.engine!r} is not among policy.engines: {', '.join(allowed)}",
        )


def check_engines(config: Config, plugins: PluginManager) -> None:
    """Refuse a name in `policy.unenforced` that is nearly an engine's; any other may be one of another machine.

    Raises:
        ConfigError: It holds one.
    """
    engines = {spelling(name): name for name in plugins.engines()} if config.policy.unenforced else {}
    problems = []
    for name in config.policy.unenforced:
        if spelling(name) not in engines and (near := nearest(name, engines.values())):
            known = " or ".join(near)
            problems.append(f"policy.unenforced.{name}: no engine {name!r} is installed; did you mean {known}?")
    if problems:
        raise ConfigError(problems)
