"""What tests of the outbox share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock.model import StorageArea
from botdock.services.outbox import Message

if TYPE_CHECKING:
    from botdock.services.outbox.queue import MessageQueue


def log(key: str, execution: str = "01") -> Message:
    """Return a part of a log."""
    return Message(area=StorageArea.LOGS, key=key, execution_id=execution)


def result(key: str, execution: str = "01") -> Message:
    """Return a result."""
    return Message(area=StorageArea.RESULTS, key=key, execution_id=execution)


def waiting_keys(queue: MessageQueue) -> list[str]:
    """Return the keys of what waits, in order."""
    return [message.key for message in queue.waiting()]


def read_message_bytes(queue: MessageQueue, message: Message) -> bytes:
    """Return the bytes of an message that waits."""
    source = queue.open(message)
    assert source is not None
    with source:
        return source.read()


def queue_files(queue: MessageQueue) -> list[str]:
    """Return the names of all files that hold the bytes of items, or something that is left of them."""
    folder = queue.folder / "data"
    return [path.name for path in folder.iterdir()] if folder.exists() else []
