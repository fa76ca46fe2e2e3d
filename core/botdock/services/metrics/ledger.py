"""Keeps one runner's numbers in the state folder."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from botdock._log import logger
from botdock._ownership import make_private
from botdock.model.metrics import MetricsExporter, MetricsSnapshot
from botdock.services._locks import locked_at_once
from botdock.services.metrics.files import Account, encode, replace_file
from botdock.services.metrics.total import open_total

CROWD = 32
"""Files of runners beside which a new one looks for dead ones at once; else it does when it closes."""


class Ledger(MetricsExporter):
    """One runner's file; as long as it is open, nobody takes its runner for dead.

    Args:
        folder: Where it lies, made when there is something to write.
        counted: Returns what the runner has counted since it began, whatever was reset meanwhile.
    """

    def __init__(self, folder: Path, counted: Callable[[], MetricsSnapshot]) -> None:
        self._folder = folder
        self._counted = counted
        self._file = folder  # until it is registered
        self._lock = threading.Lock()
        self._held = ExitStack()
        self._registered = False
        self._written: MetricsSnapshot | None = None
        self._summed: MetricsSnapshot | None = None
        self._closed = False

    def export(self, snapshot: MetricsSnapshot) -> None:  # noqa: ARG002 - it may begin at a reset, and the file does not
        """Write what the runner has counted.

        Raises:
            OSError: The disk does not take it.
        """
        with self._lock:
            self._write()

    def total(self) -> MetricsSnapshot | None:
        """Return the sum over all runners of the folder, with what this one has counted up to now.

        Each sum is of files as they are at one instant, and files only grow: a later one is never less. When it cannot
        be had, it is the last one that could, or None.
        """
        try:
            with self._lock:
                self._write()
            if not self._folder.is_dir():
                return self._counted()
            with open_total(self._folder) as total:
                self._summed = total.sum().snapshot
        except OSError as error:
            logger.bind(folder=str(self._folder), error=str(error)).warning("metrics of other runners not read")
        return self._summed

    def close(self) -> None:
        """Write the last numbers, and add them, and those of runners that have died, to the total.

        Raises:
            OSError: The disk does not take it; what was written stays for the next runner that closes.
        """
        with self._lock:
            self._write()
            self._closed = True
            self._held.close()
        if self._registered:
            self._fold()

    def _write(self) -> None:
        """Write the file, if there is anything new; with `_lock` held."""
        snapshot = self._counted()
        unchanged = self._written is not None and snapshot.operations == self._written.operations
        if self._closed or unchanged or not snapshot.operations:
            return
        self._register()
        replace_file(self._file, encode(Account(since=snapshot.since, operations=dict(snapshot.operations))))
        self._written = snapshot

    def _register(self) -> None:
        """Take the lock that says that this runner lives, before there is a file whose owner somebody could ask for."""
        if self._registered:
            return
        make_private(self._folder)
        while not self._registered:
            # Who looks for the dead may have the lock in this very moment, and take us for one: then by another name.
            self._held.close()
            self._file = self._folder / f"runner-{secrets.token_hex(8)}.json"
            self._registered = self._held.enter_context(locked_at_once(self._file.with_suffix(".lock")))
        if sum(1 for _ in islice(self._folder.glob("runner-*.json"), CROWD)) == CROWD:
            self._fold()

    def _fold(self) -> None:
        try:
            with open_total(self._folder) as total:
                total.fold()
        except TimeoutError:  # somebody is at it; what is left is the next one's
            logger.bind(folder=str(self._folder)).debug("metrics of runners that have ended were not added up")
