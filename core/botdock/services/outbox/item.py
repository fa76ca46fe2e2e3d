"""What waits in the outbox, and the small file that says so."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import attrs

from botdock.model import StorageArea

NAME = re.compile(r"([0-9]{20})-([0-9a-f]{32})")
"""A number that says the order, and what makes it unique: a name is never used twice."""
SUFFIX = ".json"


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
        name: Its name in the outbox; sorts by when it came.
        parcel: What it is.
        size: Bytes.
        created: When it came, UTC.
        refusals: How often the storage answered, and refused it.
        error: Why, the last time.
    """

    name: str
    parcel: Parcel
    size: int
    created: datetime
    refusals: int = 0
    error: str = ""

    @property
    def number(self) -> int:
        """Its place in the order."""
        return int(self.name.partition("-")[0])

    @property
    def data(self) -> str:
        """Name of the file that holds its bytes."""
        return self.name.partition("-")[2]

    def to_json(self) -> bytes:
        """Return what its file holds."""
        document = attrs.asdict(self, filter=lambda attribute, _: attribute.name != "name")
        return json.dumps(document | {"created": self.created.isoformat()}).encode()

    @classmethod
    def from_json(cls, name: str, data: bytes) -> Self:
        """Read what its file holds.

        Raises:
            ValueError: It is not what `to_json` wrote.
        """
        document: dict[str, Any] = json.loads(data)
        try:
            parcel = document.pop("parcel")
            area = StorageArea(parcel.pop("area"))
            created = datetime.fromisoformat(document.pop("created"))
            return cls(name=name, parcel=Parcel(area=area, **parcel), created=created, **document)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"{name}: {error}") from error


def read_item(folder: Path, name: str) -> Item | None:
    """Read an item; None when it has gone.

    One whose file is damaged has no key, so that no storage takes it, and it ends among those that failed.
    """
    try:
        return Item.from_json(name, (folder / (name + SUFFIX)).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        parcel = Parcel(area=StorageArea.LOGS, key="", execution_id="")
        return Item(name=name, parcel=parcel, size=0, created=datetime.now(UTC), error=f"damaged: {error}")
