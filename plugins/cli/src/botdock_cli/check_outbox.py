"""What `doctor` asks of the outboxes: whether results and logs still wait for their storage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote

from botdock.model import Check, CheckStatus
from botdock.model.units import format_bytes
from botdock.services.outbox import outbox_folder, read_status
from botdock_cli.check_machine import guarded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from botdock.config import Config
    from botdock.model import OutboxStatus

LONG_WAIT = timedelta(minutes=5)
"""A storage that answers has what was stored long before."""


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
            remedy=f"mend it, then let them be tried again: mv {folder}/failed/*.json {folder}/items/",
        )
    if status.dropped_items:
        lost = f"{_objects(status.dropped_items)}, {format_bytes(status.dropped_bytes)}"
        yield Check(
            name=f"{name}.dropped",
            status=CheckStatus.WARNING,
            detail=f"more waited than may: {lost}, dropped",
            remedy=f"let more wait: outbox.max_bytes and outbox.max_items; to forget it: rm {folder}/dropped.json",
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
