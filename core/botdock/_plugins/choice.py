"""What the configuration says about which plugins are loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock._plugins.records import Origin, PluginRecord, PluginStage
from botdock.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from botdock._plugins.names import NameTable
    from botdock.config import PluginsConfig

CONFIGURATION = "(configuration)"
"""The distribution of records about the configuration itself."""


def blocked_because(config: PluginsConfig, origin: Origin) -> str:
    """Return why a plugin may not be loaded, or an empty text."""
    if any(origin.answers_to(name) for name in config.blocked):
        return "blocked by plugins.blocked"
    if config.allowed and not any(origin.answers_to(name) for name in config.allowed):
        return "not among plugins.allowed"
    return ""


def configuration_records(config: PluginsConfig, origins: Sequence[Origin], names: NameTable) -> Iterator[PluginRecord]:
    """Yield a record for each name in `plugins.*` that picks nothing, so that a typing error is not just ignored."""
    known = {name for origin in origins for name in (origin.name, origin.distribution)}
    for setting in ("allowed", "blocked"):
        for name in getattr(config, setting):
            if not any(origin.answers_to(name) for origin in origins):
                near = nearest(name, known)
                guess = f"; did you mean {' or '.join(near)}?" if near else ""
                yield _record(f"plugins.{setting}", name, f"no such plugin is installed{guess}")
    for key, problem in names.unmet_preferences():
        yield _record("plugins.prefer", key, problem)


def _record(setting: str, name: str, problem: str) -> PluginRecord:
    return PluginRecord(
        name=name,
        distribution=CONFIGURATION,
        module=setting,
        stage=PluginStage.VALIDATE,
        reason=f"{setting}: {name!r}: {problem}",
    )
