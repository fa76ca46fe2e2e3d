"""What `doctor` asks of the engines, and of the runtimes: their interpreters here, and their images there."""

from __future__ import annotations

import shutil
from itertools import product
from typing import TYPE_CHECKING

import attrs

from botdock.errors import BotdockError
from botdock.model import Check, CheckStatus, Feature, PullPolicy
from botdock_cli.check_machine import at_most_warning, guarded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from botdock.config import Config
    from botdock.model import Engine, EngineCapabilities, EnginePlugin
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
    tolerated = {f"{plugin.name}.{feature}" for feature in config.policy.unenforced_on(plugin.name)}
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
    if faults := "; ".join(capabilities.log_faults):
        yield Check(name=f"{plugin.name}.logs", status=CheckStatus.WARNING, detail=faults)
    yield from _enforcement(capabilities, plugin.name, config)


def _enforcement(capabilities: EngineCapabilities, engine: str, config: Config) -> Iterator[Check]:
    for feature in Feature:
        if feature in capabilities.enforced:
            continue
        tolerated = feature.value in config.policy.unenforced_on(engine)
        mend = f'or allow it: policy.unenforced = {{{engine} = ["{feature.value}"]}} in botdock.toml'
        reason = capabilities.missing.get(feature, "the engine does not say why")
        yield Check(
            name=f"{engine}.{feature.value}",
            status=CheckStatus.WARNING if tolerated else CheckStatus.FAILED,
            detail=f"not enforced{' (policy.unenforced allows it)' if tolerated else ''}: {reason}",
            remedy="" if tolerated else mend,
        )


def check_interpreters(manager: PluginManager) -> Iterator[Check]:
    """Look for each runtime's interpreter on PATH, where engines without images could run it."""
    engines = [name for name, plugin in manager.engines().items() if not plugin.images]
    for engine, (name, runtime) in product(engines, manager.runtimes().items()):
        found = next(filter(None, map(shutil.which, runtime.interpreters)), None)
        wanted = " or ".join(runtime.interpreters)
        yield Check(
            name=f"{engine}.runtime.{name}",
            status=CheckStatus.OK if found else CheckStatus.WARNING,
            detail=found or f"{wanted} is not on PATH, so the engine {engine} cannot run it",
            remedy="" if found else f"install {wanted}, or use an engine with images",
        )


def check_images(manager: PluginManager, config: Config, engines: Sequence[str]) -> Iterator[Check]:
    """Ask each engine that works which of the runtimes' images it has. Nothing is pulled."""
    for name in engines:
        plugin = manager.engines()[name]
        yield from guarded(f"{name}.images", lambda plugin=plugin: _images(plugin, manager, config))  # type: ignore[misc] # bound at once


def _images(plugin: EnginePlugin, manager: PluginManager, config: Config) -> Iterator[Check]:
    engine = plugin.factory(config)
    try:
        for name, runtime in manager.runtimes().items():
            image = config.runtime.images.get(name, runtime.image)
            yield _image(engine, f"{plugin.name}.image.{name}", image, config)
    finally:
        engine.close()


def _image(engine: Engine, name: str, image: str, config: Config) -> Check:
    timeout = config.containers.call_timeout
    try:
        found = engine.ensure_image(image, policy=PullPolicy.NEVER, timeout=timeout)
    except BotdockError:
        never = config.containers.pull is PullPolicy.NEVER
        return Check(
            name=name,
            status=CheckStatus.WARNING,
            detail=f"{image} is not here{'' if never else '; the first run pulls it'}",
            remedy=f"docker pull {image}" if never else "",
        )
    return Check(name=name, status=CheckStatus.OK, detail=f"{image} {found.digest}".strip())
