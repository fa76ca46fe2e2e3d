"""Objects on their way to a storage that may be away."""

from botdock.services.outbox.outbox import Outbox, outbox_folder
from botdock.services.outbox.queue import Message, read_status

__all__ = ["Message", "Outbox", "outbox_folder", "read_status"]
