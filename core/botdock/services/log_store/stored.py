"""The log of an execution as it lies on disk: while the bot runs, afterwards, and from any process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from botdock.errors import LogError
from botdock.model.logs import LogChunk, LogSummary
from botdock.services.log_store.layout import END, read_document
from botdock.services.log_store.reader import Entry, LogReader, Position

POLL_INTERVAL = 0.02
"""Seconds between two looks at a log that another process writes; a look costs some ten microseconds."""


class StoredLog:
    """Reads the log in a folder.

    Args:
        directory: The folder `logs` of an execution.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def ended(self) -> bool:
        """Whether nothing more is added to it."""
        return (self.directory / END).exists()

    def summary(self) -> LogSummary | None:
        """Return counts and hashes of a log that has ended, or None.

        Raises:
            LogError: They are damaged.
        """
        document = read_document(self.directory / END)
        return None if document is None else _summary(document, self.directory)

    def entries(
        self, *, start: Position | None = None, follow: bool = False, alive: Callable[[], bool] = lambda: True
    ) -> Iterator[Entry]:
        """Yield chunks and gaps from a place on; with `follow` those that come, too, until the log has ended.

        Args:
            start: The place; None for the first byte that is kept.
            follow: Whether to wait for more.
            alive: Whether somebody still writes; asked now and then while nothing comes. When nobody does, it ends.

        Raises:
            LogError: There is no log, or it cannot be read.
        """
        try:
            with LogReader(self.directory, start) as reader:
                yield from self._read(reader, alive, follow=follow)
        except FileNotFoundError as error:
            raise LogError(f"there is no log in {self.directory}") from error
        except (OSError, ValueError) as error:
            raise LogError(
                f"the log in {self.directory} cannot be read: {error}", hint="`botdock logs --verify` says more."
            ) from error

    def chunks(self, *, start: Position | None = None) -> Iterator[LogChunk]:
        """Yield what is stored now, without what is missing."""
        return (entry for entry in self.entries(start=start) if isinstance(entry, LogChunk))

    def _read(self, reader: LogReader, alive: Callable[[], bool], *, follow: bool) -> Iterator[Entry]:
        while True:
            ended = self.ended or not (follow and alive())  # asked first: what is read then is all there is
            came = False
            for entry in reader.read():
                came = True
                yield entry
            if ended:
                return
            if not came:
                time.sleep(POLL_INTERVAL)


def _summary(document: dict[str, Any], directory: Path) -> LogSummary:
    names = {field.name for field in attrs.fields(LogSummary)}
    summary = LogSummary(**{name: value for name, value in document.items() if name in names})
    if any(type(value) is not type(getattr(LogSummary(), name)) for name, value in attrs.asdict(summary).items()):
        raise LogError(f"{directory / END} is damaged", hint="`botdock logs --verify` says more.")
    return summary
