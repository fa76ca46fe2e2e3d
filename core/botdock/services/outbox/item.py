"""What waits in the outbox."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Self

import attrs

from botdock.model import StorageArea

COLUMNS = "number, token, area, key, execution_id, latest, size, created, refusals, error"


@attrs.frozen(kw_only=True)
class Parcel:
    """An object's name, and what decides about its place in the order.

    Attributes:
        area: Where it goes.
        key: Its key there.
        execution_id: The execution that it is of; later ones sort higher.
        latest: Whether the key stands for the latest execution's object, so that an older one must not replace it.
    """

    area: StorageArea
    key: str
    execution_id: str
    latest: bool = False


@attrs.frozen(kw_only=True)
class Item:
    """An object that waits.

    Attributes:
        number: Its place in the order; never used twice.
        data: Name of the file that holds its bytes.
        parcel: What it is.
        size: Bytes.
        created: When it came, UTC.
        refusals: How often the storage answered, and refused it.
        error: Why, the last time.
    """

    number: int
    data: str
    parcel: Parcel
    size: int
    created: datetime
    refusals: int = 0
    error: str = ""

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Self:
        """Return what a row of `COLUMNS` says."""
        number, data, area, key, execution_id, latest, size, created, refusals, error = row
        parcel = Parcel(area=StorageArea(area), key=key, execution_id=execution_id, latest=bool(latest))
        moment = datetime.fromtimestamp(created, UTC)
        return cls(number=number, data=data, parcel=parcel, size=size, created=moment, refusals=refusals, error=error)
