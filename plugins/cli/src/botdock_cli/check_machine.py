"""What `doctor` asks of the machine, the plugins, the storages and the state folder: what is owed, and what waits."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote

import attrs

from botdock.errors import BotdockError
from botdock.executions import Executions, ExecutionState
from botdock.model import Check, CheckStatus
from botdock.model.units import format_bytes
from botdock.services import outbox_folder, read_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from botdock.config import Config
    from botdock.model import OutboxStatus
    from botdock.plugin_manager import PluginManager, PluginRecord

SCARCE_SPACE = 1024**3
"""Free bytes below which `doctor` warns: one unpacked archive may take as much (`code.total_bytes`)."""
LONG_WAIT = timedelta(minutes=5)
"""A storage that answers has what was stored long before."""
_SHOWN = 3


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
    """Ask each storage; one that is not configured cannot fail, for it is not needed."""
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


def check_outboxes(config: Config) -> Iterator[Check]:
    """Look at what waits for the configured storage, and, if anything does, for others that were used here."""
    configured = outbox_folder(config.checked_home(), config.storage)
    yield from guarded("storage.outbox", lambda: _check("storage.outbox", configured))
    others = sorted(path for path in configured.parent.glob("*") if path.is_dir() and path != configured)
    for folder in others:
        name = f"storage.outbox.{unquote(folder.name)}"
        for check in guarded(name, lambda name=name, folder=folder: _check(name, folder)):  # type: ignore[misc] # bound at once
            if check.status is not CheckStatus.OK:
                yield check


def _check(name: str, folder: Path) -> Iterator[Check]:
    status = read_status(folder)
    yield _waiting(name, status)
    if status.failed_items:
        yield Check(
            name=f"{name}.failed",
            status=CheckStatus.WARNING,
            detail=f"the storage refused {_objects(status.failed_items)} for good: {status.last_error}",
            remedy=f"mend it, then let them be tried again: touch {folder}/retry",
        )
    if status.dropped_items:
        lost = f"{_objects(status.dropped_items)}, {format_bytes(status.dropped_bytes)}"
        yield Check(
            name=f"{name}.dropped",
            status=CheckStatus.WARNING,
            detail=f"more waited than may: {lost}, dropped",
            remedy=f"let more wait: outbox.max_bytes and outbox.max_items; to forget it: touch {folder}/retry",
        )


def _waiting(name: str, status: OutboxStatus) -> Check:
    if not status.items or status.oldest is None:
        return Check(name=name, status=CheckStatus.OK, detail="nothing waits for the storage")
    size = f"{_objects(status.items)}, {format_bytes(status.bytes)}"
    since = f"since {status.oldest:%Y-%m-%d %H:%M:%S} UTC"
    if not status.last_error and datetime.now(UTC) - status.oldest < LONG_WAIT:
        return Check(name=name, status=CheckStatus.OK, detail=f"{size}, on the way {since}")
    why = f": {status.last_error}" if status.last_error else ""
    return Check(
        name=name,
        status=CheckStatus.WARNING,
        detail=f"{size}, waiting for the storage {since}{why}",
        remedy="bring the storage back; the next run that uses it delivers them",
    )


def _objects(count: int) -> str:
    return f"{count} object{'s' if count != 1 else ''}"


def check_executions(config: Config) -> Iterator[Check]:
    """Look for executions whose runner died, and for those that are over and of which something is left."""
    yield from guarded("executions", lambda: _unfinished(config))


def check_strays(manager: PluginManager, config: Config, working: Sequence[str]) -> Iterator[Check]:
    """Look for containers, of engines that work, and for workspaces that belong to no execution."""
    for name, plugin in manager.engines().items():
        if name in working or not plugin.automatic or name == config.engine:
            yield from guarded(f"{name}.strays", lambda name=name: _strays(manager, config, name))  # type: ignore[misc] # bound at once


def _unfinished(config: Config) -> Iterator[Check]:
    under_way = Executions(config.home_dir).list(running=True)
    owed = [record for record in under_way if record.is_over]
    dead = [one for one in under_way if one.state is ExecutionState.ABANDONED and not one.is_over]
    if owed:
        problems = [f"{one.execution_id}: {'; '.join(one.left_behind()) or 'not cleaned up'}" for one in owed]
        yield _warning("executions.owed", f"{len(owed)} over, but not all removed yet: {_some(problems)}")
    if dead:
        said = _some([record.execution_id for record in dead])
        yield _warning("executions.orphaned", f"{len(dead)} whose runner died; a bot may still run: {said}")
    if not owed and not dead:
        yield Check(name="executions", status=CheckStatus.OK, detail="nothing is owed, and no runner died over one")


def _strays(manager: PluginManager, config: Config, name: str) -> Iterator[Check]:
    from botdock.factory import ServiceFactory

    try:
        found = [f"{stray.kind} {stray.name}" for stray in ServiceFactory(config, manager).strays(name)]
    except BotdockError:  # its own checks say so
        return
    if found:
        yield _warning(f"{name}.strays", f"{len(found)} that belong to no execution: {_some(found)}")


def _warning(name: str, detail: str) -> Check:
    remedy = "botdock recover; `botdock recover --dry-run` says what it would do"
    return Check(name=name, status=CheckStatus.WARNING, detail=detail, remedy=remedy)


def _some(texts: Sequence[str]) -> str:
    more = f", and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
