"""Objects on their way to a storage that may be away."""

from botdock.services.outbox.item import Item, Parcel
from botdock.services.outbox.outbox import Outbox, outbox_folder
from botdock.services.outbox.spool import read_status

__all__ = ["Item", "Outbox", "Parcel", "outbox_folder", "read_status"]
