"""Whether there is room on the disks for what may be written: said before one is full."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from botdock.errors import BotdockError
from botdock.model.units import format_bytes
from botdock_cli.check_machine import failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock.config import Config
    from botdock.model import Check

SCARCE_SPACE = 1024**3
"""Free bytes of the temporary folder below which `doctor` warns."""
_INDEX = 1.25
"""What a stored log takes of the disk, at most, of the bytes in it."""


def check_state(config: Config) -> Iterator[Check]:
    """Look at the folder that state is kept in, without making it, and at the temporary folder."""
    try:
        home = config.checked_home()
    except BotdockError as error:
        yield failed("state", error.message, error.hint or "")
        return
    place = next((folder for folder in (home, *home.parents) if folder.exists()), home)
    elsewhere = "name another folder: BOTDOCK_HOME=DIR"
    if not os.access(place, os.W_OK | os.X_OK):
        yield failed("state", f"{home} cannot be written", elsewhere)
        return
    space, files = free(place)
    running = _under_way(home)
    log = int(_INDEX * (config.runtime.limits.output or 0))
    needed = config.code.total_bytes + (running + 1) * log
    may = f"{running} under way and one more may write {format_bytes(needed)}"
    mend = f"`botdock gc --dry-run` says what may go; free some space, or {elsewhere}"
    detail = f"{home}: {format_bytes(space)} free; {may} (code.total_bytes, and runtime.limits.output for each)"
    yield warning("state", detail, mend) if space < needed else ok("state", detail)
    if files is not None and files < config.code.entries:
        few = f"{home}: room for {files:,} more files, and one archive may have {config.code.entries:,} (code.entries)"
        yield warning("state.files", few, mend)
    yield from _check_temporary()


def _check_temporary() -> Iterator[Check]:
    folder = Path(tempfile.gettempdir())
    with suppress(OSError):
        space, _ = free(folder)
        if space < SCARCE_SPACE:
            mend = "free some space, or name another folder: TMPDIR=DIR"
            detail = f"{folder}: {format_bytes(space)} free; bots of the process engine have their /tmp there"
            yield warning("temporary", detail, mend)


def _under_way(home: Path) -> int:
    from botdock.executions import Executions

    with suppress(BotdockError, OSError):
        return len(Executions(home).list(running=True))
    return 0


def free(folder: Path) -> tuple[int, int | None]:
    """Return how many bytes and files a file system takes still; None for files where it has no bound of them.

    Raises:
        OSError: It cannot be asked.
    """
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None
