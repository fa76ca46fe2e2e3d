"""Removes what is old: executions that have ended, and what a cache keeps that no execution has used for long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from botdock._log import logger
from botdock.config import Config
from botdock.entrypoints.program import CachedProgram, remove_programs
from botdock.errors import BotdockError
from botdock.executions import Executions
from botdock.executions._files import PROGRAMS, folder_bytes, programs_in_use, remove_folder
from botdock.services.code_cache import CachedTree, CodeCache


@attrs.frozen(kw_only=True)
class Removed:
    """Something that was removed, or would be.

    Attributes:
        kind: `execution`, `code` or `program`.
        name: The execution's id, or the digest that names the folder.
        bytes: What it took on the disk.
        used_at: When the execution ended, or what was cached was last used; None where that is not known.
        about: Of an execution, its bot and its outcome; of what was cached, when it was last used.
    """

    kind: str
    name: str
    bytes: int
    used_at: datetime | None
    about: str

    def to_json(self) -> dict[str, Any]:
        """Return it as a document."""
        return {"schema": 1, **attrs.asdict(self), "used_at": self.used_at and self.used_at.isoformat()}


def remove_old(
    home: Path, config: Config, *, executions: Mapping[str, Any], caches: float | None, dry_run: bool = False
) -> Iterator[Removed]:
    """Remove what is old, and yield each thing once it is gone; what is in use stays.

    Args:
        home: The state folder.
        config: The configuration: how large the cache of code may be.
        executions: Arguments of `Executions.prune` that say which executions are old; empty where all stay.
        caches: Seconds that cached code and programs may go unused; None where those stay.
        dry_run: Whether to remove nothing.

    Raises:
        BotdockError: Something could not be removed.
    """
    if executions:
        for record in Executions(home).prune(**executions, dry_run=True):
            size = folder_bytes(record.directory)
            if not dry_run:
                remove_folder(record.directory)
            about = f"{record.id}  {record.outcome}"
            ended = record.finished_at or record.requested_at
            yield Removed(kind="execution", name=record.execution_id, bytes=size, used_at=ended, about=about)
    if caches is not None:
        cache = CodeCache(home / "cache", limit=config.code.cache_bytes, limits={}, unused=caches)
        if cache.root.is_dir():
            for tree in cache.foresee() if dry_run else cache.trim():
                yield _cached("code", tree.sha256, tree)
        in_use = partial(programs_in_use, home)
        for program in remove_programs(home / PROGRAMS, in_use, unused=caches, dry_run=dry_run):
            yield _cached("program", program.name, program)


def _cached(kind: str, name: str, cached: CachedTree | CachedProgram) -> Removed:
    used = datetime.fromtimestamp(cached.used / 1e9, UTC) if cached.used else None
    about = f"last used {used:%Y-%m-%d %H:%M} UTC" if used else "its record is gone"
    return Removed(kind=kind, name=name, bytes=cached.bytes, used_at=used, about=about)


def prune(home: Path, config: Config) -> None:
    """Remove what the configuration does not keep, as a runner does by itself."""
    try:
        for _ in remove_old(home, config, **config.retention.bounds()):
            pass
    except BotdockError as error:
        logger.bind(error=error.message).warning("what is old could not be removed")
