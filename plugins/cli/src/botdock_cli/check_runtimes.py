"""What `doctor` asks of the runtimes: their interpreters here, and their images there."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from botdock.errors import BotdockError
from botdock.model import Check, CheckStatus, PullPolicy
from botdock_cli.check_machine import guarded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from botdock.config import Config
    from botdock.model import Engine, EnginePlugin
    from botdock.plugin_manager import PluginManager

PROCESS_ENGINE = "process"
"""The bundled engine without images: what it runs must be on PATH."""


def check_interpreters(manager: PluginManager) -> Iterator[Check]:
    """Look for each runtime's interpreter on PATH, where the process engine could run it."""
    if PROCESS_ENGINE not in manager.engines():
        return
    for name, runtime in manager.runtimes().items():
        found = next(filter(None, map(shutil.which, runtime.interpreters)), None)
        wanted = " or ".join(runtime.interpreters)
        yield Check(
            name=f"{PROCESS_ENGINE}.runtime.{name}",
            status=CheckStatus.OK if found else CheckStatus.WARNING,
            detail=found or f"{wanted} is not on PATH, so the process engine cannot run it",
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
