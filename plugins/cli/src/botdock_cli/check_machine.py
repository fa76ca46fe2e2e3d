"""What `doctor` asks of the disks, the plugins, the storages and the state folder: what is owed, and what waits."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import attrs

from botdock.errors import BotdockError
from botdock.model import Check, CheckStatus
from botdock.model.units import format_bytes
from botdock_cli.output import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from botdock.config import Config
    from botdock.executions import ExecutionRecord
    from botdock.model import OutboxStatus
    from botdock.plugin_manager import PluginManager, PluginRecord

SCARCE_SPACE = 1024**3
"""Free bytes of the temporary folder below which `doctor` warns."""
_INDEX = 1.25
"""What a stored log takes of the disk, at most, of the bytes in it."""
LONG_WAIT = timedelta(minutes=5)
"""A storage that answers has what was stored long before."""
_SHOWN = 3
_RECOVER = "botdock recover; `botdock recover --dry-run` says what it would do"


def check_state(config: Config) -> Iterator[Check]:
    """Look at the folder that state is kept in, without making it, and at the temporary folder."""
    try:
        home = config.checked_home()
    except BotdockError as error:
        yield Check.failed("state", error.message, error.hint or "")
        return
    place = next((folder for folder in (home, *home.parents) if folder.exists()), home)
    elsewhere = "name another folder: BOTDOCK_HOME=DIR"
    if not os.access(place, os.W_OK | os.X_OK):
        yield Check.failed("state", f"{home} cannot be written", elsewhere)
        return
    space, files = free(place)
    running = _under_way(home)
    log = int(_INDEX * (config.runtime.limits.output or 0))
    needed = config.code.total_bytes + (running + 1) * log
    may = f"{running} under way and one more may write {format_bytes(needed)}"
    mend = f"`botdock gc --dry-run` says what may go; free some space, or {elsewhere}"
    detail = f"{home}: {format_bytes(space)} free; {may} (code.total_bytes, and runtime.limits.output for each)"
    yield Check.warning("state", detail, mend) if space < needed else Check.ok("state", detail)
    if files is not None and files < config.code.entries:
        few = f"{home}: room for {files:,} more files, and one archive may have {config.code.entries:,} (code.entries)"
        yield Check.warning("state.files", few, mend)
    yield from _check_temporary()


def _check_temporary() -> Iterator[Check]:
    folder = Path(tempfile.gettempdir())
    with suppress(OSError):
        space, _ = free(folder)
        if space < SCARCE_SPACE:
            mend = "free some space, or name another folder: TMPDIR=DIR"
            detail = f"{folder}: {format_bytes(space)} free; bots of the process engine have their /tmp there"
            yield Check.warning("temporary", detail, mend)


def _under_way(home: Path) -> int:
    from botdock.executions import Executions

    with suppress(BotdockError, OSError):
        return len(Executions(home).list(running=True))
    return 0


def free(folder: Path) -> tuple[int, int | None]:
    """Return how many bytes and files a file system takes still; None for files where it has no bound of them.

    Raises:
        OSError: It cannot be asked.
    """
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None


def check_plugins(manager: PluginManager, config: Config) -> Iterator[Check]:
    """Look at what did not load, and at names in the configuration that nothing answers to."""
    odd = [record for record in manager.records if record.stage not in {"loaded", "blocked"}]
    for record in odd:
        detail = f"{record.distribution} {record.version}: {record.stage}: {record.reason}"
        yield Check.warning(f"plugin.{record.name}", detail, _remedy(record))
    yield from _missing("engine", [config.engine] if config.engine else [], manager.engine)
    yield from _missing("storage", [config.storage], manager.storage_backend)
    yield from _missing("logging.sinks", config.logging.sinks, manager.log_sink)
    yield from _missing("metrics.exporters", config.metrics.exporters, manager.metrics_exporter)
    yield from map(at_most_warning, _missing("policy.unenforced", config.policy.unenforced, manager.engine))
    if not odd:
        yield Check.ok("plugins", f"{len(manager.records)} loaded or blocked")


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
            yield Check.failed(f"config.{setting}", error.message, error.hint or "")


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
        return [Check.failed(name, detail, "report it to the plugin's author")]


def at_most_warning(check: Check) -> Check:
    """Return `check`, a failure made a warning: it does not work, and nothing here needs it."""
    return attrs.evolve(check, status=CheckStatus.WARNING) if check.status is CheckStatus.FAILED else check


def check_outboxes(config: Config) -> Iterator[Check]:
    """Look at what waits for the configured storage, and, if anything does, for others that were used here."""
    from botdock.services import outbox_folder

    try:
        home = config.checked_home()
    except BotdockError:  # `check_state` tells it
        return
    configured = outbox_folder(home, config.storage)
    yield from guarded("storage.outbox", lambda: _check("storage.outbox", configured))
    others = sorted(path for path in configured.parent.glob("*") if path.is_dir() and path != configured)
    for folder in others:
        name = f"storage.outbox.{unquote(folder.name)}"
        for check in guarded(name, lambda name=name, folder=folder: _check(name, folder)):  # type: ignore[misc] # bound at once
            if check.status is not CheckStatus.OK:
                yield check


def _check(name: str, folder: Path) -> Iterator[Check]:
    from botdock.services import read_status

    status = read_status(folder)
    yield _waiting(name, status)
    if status.failed_items:
        refused = f"the storage refused {counted(status.failed_items, 'object')} for good: {status.last_error}"
        yield Check.warning(f"{name}.failed", refused, f"fix it, then have them tried again: touch {folder}/retry")
    if status.dropped_items:
        lost = f"{counted(status.dropped_items, 'object')}, {format_bytes(status.dropped_bytes)}"
        more = f"let more wait: outbox.max_bytes and outbox.max_items; to forget it: touch {folder}/retry"
        yield Check.warning(f"{name}.dropped", f"more waited than the outbox may hold: {lost}, dropped", more)


def _waiting(name: str, status: OutboxStatus) -> Check:
    if not status.items or status.oldest is None:
        return Check.ok(name, "nothing waits for the storage")
    size = f"{counted(status.items, 'object')}, {format_bytes(status.bytes)}"
    since = f"since {status.oldest:%Y-%m-%d %H:%M:%S} UTC"
    if not status.last_error and datetime.now(UTC) - status.oldest < LONG_WAIT:
        return Check.ok(name, f"{size}, on the way {since}")
    why = f": {status.last_error}" if status.last_error else ""
    mend = "bring the storage back; the next run that uses it delivers them"
    return Check.warning(name, f"{size}, waiting for the storage {since}{why}", mend)


def check_executions(config: Config) -> Iterator[Check]:
    """Look for executions whose runner died, and for those that are over and of which something is left."""
    yield from guarded("executions", lambda: _unfinished(config))


def check_strays(manager: PluginManager, config: Config, working: Sequence[str]) -> Iterator[Check]:
    """Look for containers, of engines that work, and for workspaces that belong to no execution."""
    for name, plugin in manager.engines().items():
        if name in working or not plugin.automatic or name == config.engine:
            yield from guarded(f"{name}.strays", lambda name=name: _strays(manager, config, name))  # type: ignore[misc] # bound at once


def _unfinished(config: Config) -> Iterator[Check]:
    from botdock.executions import Executions, ExecutionState

    under_way = Executions(config.home_dir).list(running=True)
    owed = [record for record in under_way if record.is_over]
    dead = [one for one in under_way if one.state is ExecutionState.ABANDONED and not one.is_over]
    if owed:
        problems = [f"{one.execution_id}: {'; '.join(one.left_behind()) or 'not cleaned up'}" for one in owed]
        yield Check.warning(
            "executions.owed", f"{len(owed)} over, but not all removed yet: {_some(problems)}", _RECOVER
        )
    if dead:
        names = _some([record.execution_id for record in dead])
        text = f"{len(dead)} whose runner died; a bot may still run: {names}"
        yield Check.warning("executions.orphaned", text, _RECOVER)
    if not owed and not dead:
        yield Check.ok("executions", "nothing is owed, and no runner died over one")
    if queued := [one for one in under_way if one.state is ExecutionState.QUEUED]:
        yield _queued(queued, config.home_dir)
    if loops := [one for one in under_way if one.is_crash_loop]:
        said = [f"{one.id}: restarted {one.in_a_row} times in a row, last for: {one.last_error}" for one in loops]
        mend = "botdock logs and botdock inspect of the execution before say more; `botdock stop` ends it"
        yield Check.warning("executions.crash_loop", _some(said), mend)


def _queued(queued: Sequence[ExecutionRecord], home: Path) -> Check:
    from botdock.supervisor import is_taken

    oldest = min(record.requested_at for record in queued)
    text = f"{len(queued)} asked for, and not begun; the oldest at {oldest:%Y-%m-%d %H:%M:%S} UTC"
    if (home / "supervisor.lock").exists() and is_taken(home):
        return Check.ok("executions.waiting", f"{text}; the supervisor takes them in turn")
    mend = "botdock supervise, or the next `botdock start`, takes them"
    return Check.warning("executions.waiting", f"{text}; no supervisor lives", mend)


def check_runners(config: Config) -> Iterator[Check]:
    """Count the runners that live, and the leases of those that died."""
    yield from guarded("runners", lambda: _runners(config))


def _runners(config: Config) -> Iterator[Check]:
    from botdock.executions import count_runners

    living, dead = count_runners(config.home_dir)
    alive = f"{living} alive"
    if dead:
        left = f"{alive}, and {counted(dead, 'lease')} of runners that died"
        yield Check.warning(
            "runners", left, f"the next run forgets them; what they left is under `executions`: {_RECOVER}"
        )
    else:
        yield Check.ok("runners", alive)


def _strays(manager: PluginManager, config: Config, name: str) -> Iterator[Check]:
    from botdock.factory import ServiceFactory

    try:
        left = ServiceFactory(attrs.evolve(config, engine=name), manager).leftovers()
    except BotdockError:  # its own checks say so
        return
    if found := [f"{one.kind} {one.name}" for one in left if one.kind != "execution"]:
        yield Check.warning(f"{name}.strays", f"{len(found)} that belong to no execution: {_some(found)}", _RECOVER)


def _some(texts: Sequence[str]) -> str:
    more = f", and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
