"""How the collection of a log stands, and when something came last."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from botdock.services.log_store import LogWriter


@attrs.frozen(kw_only=True)
class CollectionStatus:
    """How a collection stands.

    Attributes:
        bytes: Bytes stored so far, both streams.
        ended: Whether nothing more will come.
        error: Why it broke, or an empty text.
        resumed: How often a broken stream was continued.
        gaps: How often bytes were found missing, since this collection began.
        last_output: When this collection last stored something, on the monotonic clock; None for not yet.
        stored_before_ns: The time of the last chunk that lay there when it began, in nanoseconds since the epoch; None
            for none.
        read_since: Since when what the bot writes comes as it is written, on the monotonic clock; 0 for from the first
            byte on; None while it does not come, since the stream is being opened again, or cannot be any more.
    """

    bytes: int
    ended: bool
    error: str
    resumed: int
    gaps: int
    last_output: float | None = None
    stored_before_ns: int | None = None
    read_since: float | None = 0.0


class Heard:
    """When a bot was heard last, by what is stored of its log: of use only together with whether its log is read now.

    Args:
        writer: Of the log, before this collection stores anything.

    Attributes:
        last: When something came, on the monotonic clock; None for not yet.
        before_ns: When the last of what others had stored was written, nanoseconds since the epoch; None for nothing.
        since: Since when nothing that the bot has written is still to come, on the monotonic clock; 0 for ever.
    """

    def __init__(self, writer: LogWriter) -> None:
        self.last: float | None = None
        self.before_ns = writer.cursor.last_ns if writer.written else None
        self.since = 0.0

    def came(self) -> None:
        """Note that something came."""
        self.last = time.monotonic()

    def is_late(self) -> None:
        """Note that what the bot has written may still be to come: the log is opened again, gone through, or waits."""
        self.since = time.monotonic()
