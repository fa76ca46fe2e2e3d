"""What an operator should know without looking."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import attrs

from botdock.model.execution import SCHEMA, Outcome


class NotificationKind(StrEnum):
    """What happened; `notify.events` names those that are told."""

    OUTCOME = "outcome"
    """An execution ended, with one of `notify.outcomes`."""
    CRASH_LOOP = "crash_loop"
    """A bot was restarted several times in a row, and has ended each time before it ran for a stable time."""
    RECOVERED = "recovered"
    """A bot that was in a crash loop has run for a stable time, or has succeeded."""
    DISK_LOW = "disk_low"
    """The disk of the state folder has fewer bytes free than `notify.free_bytes`."""


@attrs.frozen(kw_only=True)
class Notification:
    """One thing that an operator should know; secrets of the bot and of the configuration are masked in it.

    Attributes:
        kind: What happened.
        message: One line for people.
        at: When.
        home: The state folder.
        id: The bot; empty for what concerns none.
        execution_id: The execution; empty for what concerns none.
        outcome: How it ended; None for what is not about an end.
        exit_code: The bot's own; None when it is not known.
        error: Why it did not succeed; empty for none.
        restarts: Restarts in a row so far.
        free_bytes: Bytes that the disk has free; None where the disk is not what this is about.
        suppressed: Notifications of this kind and bot that were not told since the one before, since they came sooner
            than `notify.interval`.
    """

    kind: NotificationKind
    message: str
    at: datetime
    home: str
    id: str = ""
    execution_id: str = ""
    outcome: Outcome | None = None
    exit_code: int | None = None
    error: str = ""
    restarts: int = 0
    free_bytes: int | None = None
    suppressed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the document that a command gets on stdin and a webhook as the body of its request."""
        facts = attrs.asdict(self)
        return {"schema": SCHEMA, **facts, "at": self.at.isoformat()}
