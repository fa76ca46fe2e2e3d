"""What is on its way to the storage."""

from __future__ import annotations

from datetime import datetime

import attrs

from botdock.model.storage import StorageArea


@attrs.frozen(kw_only=True)
class Receipt:
    """Says that an object is in safe hands: in the storage, or on this disk, from where it will be delivered.

    Attributes:
        area: Its area.
        key: Its key.
        size: Bytes.
    """

    area: StorageArea
    key: str
    size: int


@attrs.frozen(kw_only=True)
class OutboxStatus:
    """What waits on this disk for the storage.

    Attributes:
        items: Objects that wait.
        bytes: Bytes of these.
        oldest: When the oldest of these was enqueued, UTC; None when nothing waits.
        failed_items: Objects that the storage keeps refusing while it takes others; they are kept.
        dropped_items: Objects that were given up because the bound was reached, ever.
        dropped_bytes: Bytes of these.
        last_error: Why the last delivery failed; empty once one succeeds.
    """

    items: int = 0
    bytes: int = 0
    oldest: datetime | None = None
    failed_items: int = 0
    dropped_items: int = 0
    dropped_bytes: int = 0
    last_error: str = ""
