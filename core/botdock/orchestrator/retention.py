"""Removes what is old: executions that have ended, and code, programs and images that none has used for long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
from botdock.services.interfaces import Containers


@attrs.frozen(kw_only=True)
class Removed:
    """Something that was removed, or would be.

    Attributes:
        kind: `execution`, `code`, `program` or `image`.
        name: The execution's id, the digest that names the folder, or what the image was pulled as.
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
    home: Path,
    config: Config,
    *,
    executions: Mapping[str, Any],
    caches: float | None,
    images: float | None = None,
    containers: Iterable[Containers] = (),
    dry_run: bool = False,
) -> Iterator[Removed]:
    """Remove what is old, and yield each thing once it is gone; what is in use stays.

    Args:
        home: The state folder.
        config: The configuration: how large the cache of code may be.
        executions: Arguments of `Executions.prune` that say which executions are old; empty where all stay.
        caches: Seconds that cached code and programs may go unused; None where those stay.
        images: Seconds that images which botdock pulled may go unused; None where those stay.
        containers: Of the engines that may have such images.
        dry_run: Whether to remove nothing.

    Raises:
        BotdockError: Something could not be removed.
    """
    if executions:
        yield from _remove_executions(home, executions, dry_run=dry_run)
    if caches is not None:
        yield from _remove_cached(home, config.code.cache_bytes, caches, dry_run=dry_run)
    if images is not None:
        for service in containers:
            yield from _remove_images(service, images, dry_run=dry_run)


def _remove_executions(home: Path, bounds: Mapping[str, Any], *, dry_run: bool) -> Iterator[Removed]:
    for record in Executions(home).prune(**bounds, dry_run=True):
        size = folder_bytes(record.directory)
        if not dry_run:
            remove_folder(record.directory)
        about = f"{record.id}  {record.outcome}"
        ended = record.finished_at or record.requested_at
        yield Removed(kind="execution", name=record.execution_id, bytes=size, used_at=ended, about=about)


def _remove_cached(home: Path, limit: int, unused: float, *, dry_run: bool) -> Iterator[Removed]:
    cache = CodeCache(home / "cache", limit=limit, limits={}, unused=unused)
    if (cache.root / "code").is_dir():
        for tree in cache.foresee() if dry_run else cache.trim():
            yield _cached("code", tree.sha256, tree)
    for program in remove_programs(home / PROGRAMS, partial(programs_in_use, home), unused=unused, dry_run=dry_run):
        yield _cached("program", program.name, program)


def _remove_images(containers: Containers, unused: float, *, dry_run: bool) -> Iterator[Removed]:
    for image, size in containers.remove_images(unused, dry_run=dry_run):
        used = datetime.fromtimestamp(image.used_at, UTC)
        about = f"{image.engine}  {_last_used(used)}"
        yield Removed(kind="image", name=image.reference, bytes=size, used_at=used, about=about)


def _last_used(moment: datetime) -> str:
    return f"last used {moment:%Y-%m-%d %H:%M} UTC"


def _cached(kind: str, name: str, cached: CachedTree | CachedProgram) -> Removed:
    used = datetime.fromtimestamp(cached.used / 1e9, UTC) if cached.used else None
    about = _last_used(used) if used else "its record is gone"
    return Removed(kind=kind, name=name, bytes=cached.bytes, used_at=used, about=about)


def prune(home: Path, config: Config, containers: Iterable[Containers]) -> None:
    """Remove what the configuration does not keep, as a runner does by itself: now and then, and at its end."""
    try:
        for _ in remove_old(home, config, **config.retention.bounds(), containers=containers):
            pass
    except BotdockError as error:
        logger.bind(error=error.message).warning("what is old could not be removed")
