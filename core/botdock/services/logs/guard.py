"""What third parties of a log collection do wrong, kept to themselves: their streams, and whoever listens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botdock.errors import BotdockError
from botdock.model.logs import LogStream

if TYPE_CHECKING:
    from loguru import Logger


def close_quietly(stream: LogStream) -> None:
    """Close a stream, which was to raise nothing."""
    with suppress(Exception):
        stream.close()


def words_of(error: BaseException) -> str:
    """Return what an error says."""
    return error.message if isinstance(error, BotdockError) else f"the log stream failed: {error!r}"


def call_safely(log: Logger, callback: Callable[..., None], *arguments: Any) -> None:
    """Call whoever listens; what is raised, even to exit, must not stop the thread of all."""
    try:
        callback(*arguments)
    except BaseException as error:  # noqa: BLE001 - as said
        log.bind(error=repr(error)).error("a callback of a log collection failed")
