"""What is said of a collection, wanted of it, and known of its segments."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import attrs

from botdock.errors import BotdockError
from botdock.model.logs import LogCursor, LogStream

LARGEST_CHUNK = 1024 * 1024
"""Bytes of a chunk as it is stored; a stream that delivers larger ones makes no reader hold them."""
MAX_BACKLOG = 4
"""Segments that may wait to be sealed and removed before the bot has to wait for the disk."""


@attrs.frozen(kw_only=True)
class CollectionStatus:
    """How a collection stands.

    Attributes:
        bytes: Bytes stored so far, both streams.
        ended: Whether nothing more will come.
        error: Why it broke, or an empty text.
        resumed: How often a broken stream was continued.
        gaps: How often bytes were found missing, since this collection began.
    """

    bytes: int
    ended: bool
    error: str
    resumed: int
    gaps: int


@attrs.frozen(kw_only=True)
class Wishes:
    """What whoever starts a collection wants of it; see `LogCollector.start_collection`."""

    retain: int | None = None
    on_limit: Callable[[], None] = lambda: None
    on_failure: Callable[[BotdockError], None] = lambda _error: None
    on_segment: Callable[[int], None] | None = None
    reopen: Callable[[LogCursor], LogStream] | None = None


@attrs.define(eq=False)
class Upkeep:
    """What the housekeeping knows of a collection's segments.

    Attributes:
        first: Number of the oldest segment that is kept.
        sealed: Number of the first one that is not sealed yet.
        unstored: Sealed ones that `on_segment` has not been told of, in order.
        storing: Whether it is being told right now.
        compressing: Whether one is being compressed right now.
        dirty: Whether something was stored since the last sync began.
        asked: Whether the housekeeping is about to look at them.
        released: Whether the folder belongs to somebody else now.
        lock: Held by whoever seals, removes or finishes.
        changed: Notified when one was stored or compressed.
    """

    first: int = 0
    sealed: int = 0
    unstored: deque[int] = attrs.field(factory=deque)
    storing: bool = False
    compressing: bool = False
    dirty: bool = False
    asked: bool = False
    released: bool = False
    lock: threading.RLock = attrs.field(factory=threading.RLock)
    changed: threading.Condition = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.changed = threading.Condition(self.lock)
