"""What `botdock doctor` asks of this storage."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING

from botdock import Check
from botdock.errors import ConfigError
from botdock.model.units import format_bytes
from botdock_storage_local_fs.settings import root_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from botdock import Config

LOW_SPACE = 1024**3
"""Bytes below which free space is worth a warning: one unpacked archive may take as much (`code.total_bytes`)."""
_MOVE = 'choose another folder: [options.local-fs] root = "..."'


def checks(config: Config) -> Iterator[Check]:
    """Yield whether the root can be written, and how much fits in; changes nothing, and does not raise."""
    try:
        root = root_of(config)
    except ConfigError as error:
        yield Check.failed("local-fs.root", str(error), "mend [options.local-fs]")
        return
    existing = next(path for path in (root, *root.parents) if os.path.lexists(path))
    yield _root(root, existing)
    yield _space(existing)


def _root(root: Path, existing: Path) -> Check:
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        detail = f"{root} cannot be written: {error.strerror or error}"
        return Check.failed("local-fs.root", detail, f"chmod or chown, or {_MOVE}")
    made = "" if root == existing else " (not there yet; the first object makes it)"
    return Check.ok("local-fs.root", f"{root}{made}")


def _space(existing: Path) -> Check:
    try:
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return Check.warning("local-fs.space", f"unknown: {error.strerror or error}")
    detail = f"{format_bytes(free)} free at {existing}"
    if free >= LOW_SPACE:
        return Check.ok("local-fs.space", detail)
    return Check.warning("local-fs.space", detail, f"free some, or {_MOVE}")
