"""Folders in which something is made that nobody sees yet."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from botdock._locks import lock_folder
from botdock._whole_files import publish
from botdock.archive import remove_tree

REMOVAL_TIMEOUT = 60.0
"""Seconds; what takes longer to remove stays for the next one who sweeps."""


@attrs.frozen(kw_only=True)
class Draft:
    """A folder of one fetch; it goes when the fetch ends, or after its process died.

    Attributes:
        folder: The folder.
    """

    folder: Path

    @property
    def archive(self) -> Path:
        """Where the bytes are spooled to."""
        return self.folder / "archive"

    @property
    def tree(self) -> Path:
        """Where they are unpacked."""
        return self.folder / "tree"

    def replace(self, path: Path, text: str) -> None:
        """Write a file at `path` so that others see the old one or the new one."""
        publish(path, text.encode(), durable=False, draft=self.folder / "text")


@contextmanager
def new_draft(drafts: Path) -> Iterator[Draft]:
    """Make a folder below `drafts`, locked while it is used, and removed at the end."""
    folder, descriptor = _new_folder(drafts)
    try:
        yield Draft(folder=folder)
    finally:
        with suppress(OSError):  # swept later
            remove_tree(folder, timeout=REMOVAL_TIMEOUT)
        os.close(descriptor)


def _new_folder(drafts: Path) -> tuple[Path, int]:
    while True:
        folder = drafts / secrets.token_hex(8)
        folder.mkdir(mode=0o700)
        if (descriptor := lock_folder(folder)) is not None:
            return folder, descriptor  # else a sweep came in between, and took it


def sweep(drafts: Path) -> None:
    """Remove the drafts of processes that died: those that nobody holds the lock of."""
    for folder in list(drafts.iterdir()):
        with suppress(OSError):  # swept later
            _remove_if_abandoned(folder)


def _remove_if_abandoned(folder: Path) -> None:
    if (descriptor := lock_folder(folder)) is not None:
        try:
            remove_tree(folder, timeout=REMOVAL_TIMEOUT)
        finally:
            os.close(descriptor)
