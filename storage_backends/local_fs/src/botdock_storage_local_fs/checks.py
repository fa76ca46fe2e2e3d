"""What `botdock doctor` asks of this storage."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from botdock import Check, CheckStatus
from botdock.errors import ConfigError
from botdock.model.units import format_bytes
from botdock_storage_local_fs.settings import root_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock import Config

LOW_SPACE = 1024**3
"""Bytes below which free space is worth a warning: one unpacked archive may take as much (`code.total_bytes`)."""
_MOVE = 'choose another folder: [options.local-fs] root = "..."'


def checks(config: Config) -> Iterator[Check]:
    """Yield whether the root can be written, and how much fits in; changes nothing, and does not raise."""
    try:
        root = root_of(config)
    except ConfigError as error:
        yield Check(
            name="local-fs.root", status=CheckStatus.FAILED, detail=str(error), remedy="mend [options.local-fs]"
        )
        return
    place = _nearest_existing(root)
    yield _writable(root, place)
    yield _space(place)


def _nearest_existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if os.path.lexists(place))


def _writable(root: Path, place: Path) -> Check:
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        detail = f"{root} cannot be written: {error.strerror or error}"
        return Check(
            name="local-fs.root", status=CheckStatus.FAILED, detail=detail, remedy=f"chmod or chown, or {_MOVE}"
        )
    made = "" if root == place else " (not there yet; the first object makes it)"
    return Check(name="local-fs.root", status=CheckStatus.OK, detail=f"{root}{made}")


def _space(place: Path) -> Check:
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        detail = f"unknown: {error.strerror or error}"
        return Check(name="local-fs.space", status=CheckStatus.WARNING, detail=detail)
    detail = f"{format_bytes(free)} free at {place}"
    if free >= LOW_SPACE:
        return Check(name="local-fs.space", status=CheckStatus.OK, detail=detail)
    return Check(name="local-fs.space", status=CheckStatus.WARNING, detail=detail, remedy=f"free some, or {_MOVE}")
