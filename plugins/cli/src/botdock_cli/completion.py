"""What the shell completes: names that plugins give, executions, and files. Never an error, never a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botdock.plugin_manager import PluginManager


def complete_runtimes(incomplete: str) -> list[str]:
    """Return the runtimes that begin with `incomplete`."""
    return _names(lambda manager: manager.runtimes(), incomplete)


def complete_engines(incomplete: str) -> list[str]:
    """Return the engines that begin with `incomplete`."""
    return _names(lambda manager: manager.engines(), incomplete)


def complete_storages(incomplete: str) -> list[str]:
    """Return the storage backends that begin with `incomplete`."""
    return _names(lambda manager: manager.storage_backends(), incomplete)


def complete_config(incomplete: str) -> list[str]:
    """Return, after an `@`, the files that begin with what follows it."""
    if not incomplete.startswith("@"):
        return []
    from pathlib import Path

    folder, slash, start = incomplete[1:].rpartition("/")
    try:
        names = [path.name for path in Path(folder + slash or ".").iterdir() if path.name.startswith(start)]
    except OSError:
        return []
    return sorted(f"@{folder}{slash}{name}" for name in names)


def complete_executions(incomplete: str) -> list[str]:
    """Return the executions whose ids begin with `incomplete`, the newest first."""
    return _executions(incomplete, running=None)


def complete_running(incomplete: str) -> list[str]:
    """Return those of them that have not ended."""
    return _executions(incomplete, running=True)


def _executions(incomplete: str, *, running: bool | None) -> list[str]:
    try:
        from botdock.executions import Executions

        records = Executions().list(running=running)
    except Exception:  # noqa: BLE001 - a shell that waits for completions is not the place for an error
        return []
    return [record.execution_id for record in records if record.execution_id.startswith(incomplete)]


def _names(kind: Callable[[PluginManager], Mapping[str, object]], incomplete: str) -> list[str]:
    try:
        from botdock.config import Config
        from botdock.plugin_manager import PluginManager

        names = kind(PluginManager.load(Config.load().plugins))
    except Exception:  # noqa: BLE001 - a shell that waits for completions is no place for an error
        return []
    return sorted(name for name in names if name.startswith(incomplete))
