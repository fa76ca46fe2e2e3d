"""What `doctor` asks of the engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from botdock.errors import BotdockError
from botdock.model import Check, CheckStatus, Feature
from botdock_cli.check_machine import at_most_warning, guarded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock.config import Config
    from botdock.model import EngineCapabilities, EnginePlugin
    from botdock.plugin_manager import PluginManager


@attrs.frozen(kw_only=True)
class EngineFindings:
    """What became of one engine.

    Attributes:
        checks: Its own checks, and what it cannot enforce.
        isolates: Whether it works, and enforces all that the policy asks for.
    """

    checks: tuple[Check, ...]
    isolates: bool


def check_engines(manager: PluginManager, config: Config) -> dict[str, EngineFindings]:
    """Ask each engine, and return what was found by its name.

    A failure counts where the engine is needed: the configured one, or, with none configured, those that are chosen
    by themselves, as long as none of them works. Elsewhere it is a warning.
    """
    engines = manager.engines()
    found = {name: _examine(plugin, config) for name, plugin in engines.items()}
    automatic = {name for name, plugin in engines.items() if plugin.automatic}
    working = {name for name in automatic if found[name].isolates}
    needed = {config.engine} if config.engine else working or automatic
    return {name: one if name in needed else _not_needed(one) for name, one in found.items()}


def _not_needed(found: EngineFindings) -> EngineFindings:
    return attrs.evolve(found, checks=tuple(at_most_warning(check) for check in found.checks))


def _examine(plugin: EnginePlugin, config: Config) -> EngineFindings:
    checks = _tolerating(guarded(plugin.name, lambda: plugin.checks(config)), plugin, config)
    failed = any(check.status is CheckStatus.FAILED for check in checks)
    if failed or not plugin.automatic:
        return EngineFindings(checks=tuple(checks), isolates=False)
    known = {check.name for check in checks}
    probed = [check for check in guarded(plugin.name, lambda: _probe(plugin, config)) if check.name not in known]
    if checks:  # its own words say more than that it answers
        probed = [check for check in probed if check.status is not CheckStatus.OK]
    isolates = all(check.status is not CheckStatus.FAILED for check in probed)
    return EngineFindings(checks=(*checks, *probed), isolates=isolates)


def _tolerating(checks: list[Check], plugin: EnginePlugin, config: Config) -> list[Check]:
    """Make warnings of those failures that the policy puts up with."""
    tolerated = {f"{plugin.name}.{feature}" for feature in config.policy.unenforced}
    return [at_most_warning(check) if check.name in tolerated else check for check in checks]


def _probe(plugin: EnginePlugin, config: Config) -> Iterator[Check]:
    """Open the engine as a run would, and hold what it enforces against the policy."""
    try:
        engine = plugin.factory(config)
        try:
            capabilities = engine.capabilities()
        finally:
            engine.close()
    except BotdockError as error:
        yield Check(name=plugin.name, status=CheckStatus.FAILED, detail=error.message, remedy=error.hint or "")
        return
    yield Check(name=plugin.name, status=CheckStatus.OK, detail=capabilities.version or "answers")
    yield from _enforcement(capabilities, config)


def _enforcement(capabilities: EngineCapabilities, config: Config) -> Iterator[Check]:
    for feature in Feature:
        if feature in capabilities.enforced:
            continue
        tolerated = feature.value in config.policy.unenforced
        reason = capabilities.missing.get(feature, "the engine does not say why")
        yield Check(
            name=f"{capabilities.engine}.{feature.value}",
            status=CheckStatus.WARNING if tolerated else CheckStatus.FAILED,
            detail=f"not enforced{' (policy.unenforced allows it)' if tolerated else ''}: {reason}",
            remedy="" if tolerated else f'or allow it: policy.unenforced = ["{feature.value}"] in botdock.toml',
        )
