"""What `doctor` asks of the machine, the plugins and the storages."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import attrs

from botdock.errors import BotdockError
from botdock.model import Check, CheckStatus
from botdock.model.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from botdock.config import Config
    from botdock.plugin_manager import PluginManager, PluginRecord

SCARCE_SPACE = 1024**3
"""Free bytes below which `doctor` warns: one unpacked archive may take as much (`code.total_bytes`)."""


def check_state(config: Config) -> Iterator[Check]:
    """Look at the folder that state is kept in, without making it."""
    try:
        home = config.checked_home()
    except BotdockError as error:
        yield Check(name="state", status=CheckStatus.FAILED, detail=error.message, remedy=error.hint or "")
        return
    place = _first_existing(home)
    free = shutil.disk_usage(place).free
    elsewhere = "name another folder: BOTDOCK_HOME=DIR"
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        yield Check(name="state", status=CheckStatus.FAILED, detail=f"{home} cannot be written", remedy=elsewhere)
    elif free < SCARCE_SPACE:
        detail = f"{home}: {format_bytes(free)} free"
        yield Check(name="state", status=CheckStatus.WARNING, detail=detail, remedy=f"free some space, or {elsewhere}")
    else:
        yield Check(name="state", status=CheckStatus.OK, detail=f"{home}: {format_bytes(free)} free")


def _first_existing(path: Path) -> Path:
    return next((folder for folder in (path, *path.parents) if folder.exists()), path)


def check_plugins(manager: PluginManager, config: Config) -> Iterator[Check]:
    """Look at what did not load, and at names in the configuration that nothing answers to."""
    odd = [record for record in manager.records if record.stage not in {"loaded", "blocked"}]
    for record in odd:
        yield Check(
            name=f"plugin.{record.name}",
            status=CheckStatus.WARNING,
            detail=f"{record.distribution} {record.version}: {record.stage}: {record.reason}",
            remedy=_remedy(record),
        )
    yield from _missing("engine", [config.engine] if config.engine else [], manager.engine)
    yield from _missing("storage", [config.storage], manager.storage_backend)
    yield from _missing("logging.sinks", config.logging.sinks, manager.log_sink)
    yield from _missing("metrics.exporters", config.metrics.exporters, manager.metrics_exporter)
    if not odd:
        yield Check(name="plugins", status=CheckStatus.OK, detail=f"{len(manager.records)} loaded or blocked")


def _remedy(record: PluginRecord) -> str:
    if record.stage == "conflict":
        return "say which one you trust: [plugins.prefer] in botdock.toml"
    if record.module and record.version:
        return f"pip install --upgrade {record.distribution}, or pip uninstall it"
    return "correct it in botdock.toml"


def _missing(setting: str, names: Iterable[str], find: Callable[[str], object]) -> Iterator[Check]:
    for name in names:
        try:
            find(name)
        except BotdockError as error:
            yield Check(
                name=f"config.{setting}",
                status=CheckStatus.FAILED,
                detail=error.message,
                remedy=error.hint or "",
            )


def check_storages(manager: PluginManager, config: Config) -> Iterator[Check]:
    """Ask each storage; one that is not configured cannot fail, for nobody needs it."""
    for name, plugin in manager.storage_backends().items():
        for check in guarded(name, lambda plugin=plugin: plugin.checks(config)):  # type: ignore[misc] # bound at once
            yield check if name == config.storage else at_most_warning(check)


def guarded(name: str, checks: Callable[[], Iterable[Check]]) -> list[Check]:
    """Return the checks of a plugin; a plugin whose checks raise has failed one."""
    try:
        return list(checks())
    except Exception as error:  # noqa: BLE001 - it is a plugin's code, and doctor is where its faults are looked for
        detail = f"its checks raised {type(error).__name__}: {error}"
        return [Check(name=name, status=CheckStatus.FAILED, detail=detail, remedy="report it to the plugin's author")]


def at_most_warning(check: Check) -> Check:
    """Return `check`, a failure made a warning: it does not work, and nothing here needs it."""
    return attrs.evolve(check, status=CheckStatus.WARNING) if check.status is CheckStatus.FAILED else check
