"""Chooses the engine: the one that is named, or the first that isolates and answers; both as the policies allow."""

from __future__ import annotations

from collections.abc import Iterator

from botdock.config import Config, Policies
from botdock.errors import BotdockError, EngineUnavailableError
from botdock.model import Engine, EnginePlugin
from botdock.plugin_manager import PluginManager


def open_engine(config: Config, plugins: PluginManager, policies: Policies) -> tuple[str, Engine]:
    """Open the configured engine, or the first isolating one that answers; return its name too.

    Raises:
        NotFoundError: No engine of that name is installed.
        PolicyError: The policy does not allow it, or its settings.
        EngineUnavailableError: None answers.
    """
    if not config.engine:
        return _first_that_answers(config, plugins, policies)
    plugin = plugins.engine(config.engine)
    policies.check_engine(plugin.name)
    _check_settings(plugin, config, policies)
    return plugin.name, plugin.factory(config)


def _check_settings(plugin: EnginePlugin, config: Config, policies: Policies) -> None:
    if plugin.settings is not None:
        policies.check_settings(plugin.name, config.options_for(plugin.name, plugin.settings))


def _first_that_answers(config: Config, plugins: PluginManager, policies: Policies) -> tuple[str, Engine]:
    refusals: list[tuple[str, BotdockError]] = []
    for name, plugin in sorted(plugins.engines().items()):
        if not plugin.automatic or not policies.allows_engine(name):
            continue
        _check_settings(plugin, config, policies)
        try:
            engine = plugin.factory(config)
            engine.capabilities()
        except BotdockError as error:
            refusals.append((name, error))
        else:
            return name, engine
    reasons = "; ".join(f"{name}: {error.message}" for name, error in refusals) or "none that isolates is installed"
    mends = [error.hint for _, error in refusals if error.hint] or ["`botdock doctor` says what is missing."]
    raise EngineUnavailableError(
        f"no engine to run on ({reasons})",
        operation="open",
        hint=" ".join([*mends, *_without_isolation(plugins)]),
    )


def _without_isolation(plugins: PluginManager) -> Iterator[str]:
    names = [f"`--engine {name}`" for name, plugin in plugins.engines().items() if not plugin.automatic]
    if names:
        yield f"Or name an engine: {' or '.join(names)} does not isolate."
