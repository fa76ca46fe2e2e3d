"""Finds plugins among what is installed, without importing any, and what the configuration says of them."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import TYPE_CHECKING

import attrs

from botdock._log import follow
from botdock._plugins.records import Origin, PluginRecord, PluginStage, RejectedError, describe, guarded
from botdock.config.rules import spelling
from botdock.errors import nearest
from botdock.hookspecs import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from botdock._plugins.plugin import NameTable
    from botdock.config import PluginsConfig

UNKNOWN = "(unknown)"
CONFIGURATION = "(configuration)"
"""The distribution of records about the configuration itself."""


@attrs.frozen(kw_only=True)
class Candidate:
    """A plugin that has been found.

    Attributes:
        origin: Where it comes from.
        load: Imports it.
    """

    origin: Origin
    load: Callable[[], object]


def discover() -> list[Candidate]:
    """Return the plugins that are installed, sorted; of a distribution seen twice, what stands first on `sys.path`."""
    try:
        found = [_candidate(point) for point in metadata.entry_points(group=PROJECT)]
    except Exception:  # noqa: BLE001 - one broken distribution, of whatever project, hides all the others there
        found = list(_discover_one_by_one())
    return sorted(_without_remains(found), key=lambda candidate: (candidate.origin.name, candidate.origin.distribution))


def _without_remains(found: list[Candidate]) -> list[Candidate]:
    """Return each plugin once: an interrupted pip leaves a second `~name-1.0.dist-info` of the same distribution."""
    once: dict[tuple[str, str], Candidate] = {}
    for candidate in found:
        origin = candidate.origin
        key = (origin.module if origin.distribution == UNKNOWN else spelling(origin.distribution), origin.name)
        if key not in once or origin.version == _installed_version(origin.distribution):
            once[key] = candidate
    return list(once.values())


def _installed_version(distribution: str) -> str | None:
    """Return the version that Python itself finds under the distribution's name."""
    try:
        return metadata.version(distribution)
    except Exception:  # noqa: BLE001 - as in `_name_and_version`
        return None


def _discover_one_by_one() -> Iterator[Candidate]:
    """Yield what `discover` would, with a broken distribution as a candidate that does not load."""
    seen: set[str] = set()
    for distribution in metadata.distributions():
        name = _name_and_version(distribution)[0]
        if name != UNKNOWN and spelling(name) in seen:
            continue
        seen.add(spelling(name))
        yield from _of_distribution(distribution, name)


def _of_distribution(distribution: metadata.Distribution, name: str) -> Iterator[Candidate]:
    try:
        yield from [_candidate(point) for point in distribution.entry_points.select(group=PROJECT)]
    except Exception as error:  # noqa: BLE001 - see `discover`
        reason = f"its entry_points.txt cannot be read, so a plugin in it is not found: {describe(error)}"

        def load() -> object:
            raise RejectedError(PluginStage.IMPORT, reason)

        yield Candidate(origin=Origin(name=name, distribution=name), load=load)


def _candidate(point: metadata.EntryPoint) -> Candidate:
    name, version = _name_and_version(point.dist)
    origin = Origin(name=point.name, distribution=name, version=version, module=point.value)

    def load() -> object:
        with guarded(PluginStage.IMPORT):
            cover(point.value)
            return point.load()

    return Candidate(origin=origin, load=load)


def cover(value: str) -> None:
    """Let what a plugin logs follow botdock's own log, see `botdock.logging`.

    Args:
        value: An entry point's: `package.module`, or `package.module:name`.
    """
    module = value.partition(":")[0].partition("[")[0].strip()
    package = module.rpartition(".")[0]
    if package and package not in sys.modules:
        follow(package)
    elif module and not hasattr(sys.modules.get(module), "__path__"):  # a package in use is the program's own
        follow(module)


def _name_and_version(distribution: metadata.Distribution | None) -> tuple[str, str]:
    """Return what a distribution's metadata says, which is parsed anew each time; it, or all of it, may be missing."""
    try:
        known = distribution.metadata if distribution else None
        name, version = (((known.get_all(key) if known else None) or [""])[0] for key in ("Name", "Version"))
    except Exception:  # noqa: BLE001 - remains of a removed distribution have no metadata; versions of Python differ
        return UNKNOWN, ""
    return name or UNKNOWN, version


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
