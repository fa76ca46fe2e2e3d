"""A container is a folder: what is in it says what is known."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from botdock.archive import remove_tree
from botdock.model import ContainerInfo, ContainerState, ContainerStatus, Stream
from botdock_engine_process.processes import is_alive
from botdock_engine_process.supervisor import layout
from botdock_engine_process.supervisor.records import read_record

MADE = "made.json"
"""What the engine must remember of what it was made from: `name image labels result created_at`."""
HOME = "home"
TEMP = "tmp"
REMOVAL = 60.0
"""Seconds to remove one folder; what is left then, the next sweep removes."""
SUPERVISOR_ERRORS = "supervisor.err"

LOST = "its supervisor died, so nobody saw how it ended"

OWN_MARK = "."
"""Begins the names of folders that are being made or removed, so that no listing shows them."""
STALE_SECONDS = 3600.0
"""After this, one of those belongs to a runner that died over it."""


@attrs.frozen
class ContainerFolder:
    """The folder of one container.

    Attributes:
        path: Where it is; its name is the container's name and identity.
    """

    path: Path

    @property
    def name(self) -> str:
        """The container's name, which is its identity too."""
        return self.path.name

    def file(self, name: str) -> Path:
        """Return where a file of the container is."""
        return self.path / name

    def record(self, name: str) -> dict[str, Any] | None:
        """Return a record, or None where there is none."""
        return read_record(str(self.path / name))

    def info(self) -> ContainerInfo:
        """Return its line of a listing.

        Raises:
            FileNotFoundError: There is no such container.
        """
        made = self.record(MADE)
        if made is None:
            raise FileNotFoundError(self.path)
        return ContainerInfo(
            container_id=self.name,
            name=made["name"],
            image=made["image"],
            state=self.status().state,
            labels=made["labels"],
            created_at=utc(made["created_at"]),
        )

    def exists(self) -> bool:
        """Whether there is such a container."""
        return self.path.is_dir()

    def supervisor_lives(self) -> bool:
        """Whether somebody looks after the bot."""
        supervisor = self.record(layout.SUPERVISOR)
        return supervisor is not None and is_alive(supervisor)

    def logged(self) -> dict[Stream, int] | None:
        """Return how many bytes of each stream its log was given; None where its supervisor did not live to count."""
        counts = (self.record(layout.EXIT) or {}).get("logged")
        return dict(zip((Stream.STDOUT, Stream.STDERR), counts, strict=True)) if counts else None

    def log_is_final(self) -> bool:
        """Whether nothing will be added to the log: the container ended, was removed, or lost its supervisor."""
        if self.file(layout.EXIT).exists() or not self.exists():
            return True
        return self.record(layout.SUPERVISOR) is not None and not self.supervisor_lives()

    def status(self) -> ContainerStatus:
        """Say what is known.

        Raises:
            FileNotFoundError: There is no such container.
        """
        known = self._ending() or self._beginning()
        if known["state"] is not ContainerState.UNKNOWN:
            return ContainerStatus(container_id=self.name, **known)
        known["state"] = ContainerState.EXITED  # unless its supervisor wrote down the end while we looked
        return ContainerStatus(container_id=self.name, **(self._ending() or known))

    def tell(self, line: bytes) -> bool:
        """Send a line to the supervisor; return whether there is one to hear it."""
        return ring(self.file(layout.CONTROL), line + b"\n")

    def ring_all(self) -> None:
        """Wake everybody who reads the log, in place of a supervisor."""
        with suppress(FileNotFoundError):
            for bell in self.file(layout.BELLS).iterdir():
                ring(bell, layout.CONNECTED)

    def _ending(self) -> dict[str, Any] | None:
        end = self.record(layout.EXIT)
        if end is None:
            return None
        return {
            "state": ContainerState.EXITED,
            "exit_code": end["exit_code"],
            "signal": end["signal"],
            "started_at": utc(end["started_at"]),
            "finished_at": utc(end["finished_at"]),
            "error": end["error"],
            "output_limited": end["output_limited"],
        }

    def _beginning(self) -> dict[str, Any]:
        supervisor = self.record(layout.SUPERVISOR)
        if supervisor is None:
            self.path.stat()  # raises where there is no container at all
            return {"state": ContainerState.CREATED}
        started_at = utc((self.record(layout.BOT) or {}).get("started_at"))
        if is_alive(supervisor):
            return {"state": ContainerState.RUNNING, "started_at": started_at}
        return {"state": ContainerState.UNKNOWN, "started_at": started_at, "error": LOST}


def ring(fifo: Path, message: bytes) -> bool:
    """Write into a FIFO that somebody reads; return whether anybody does."""
    try:
        descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # ENXIO: nobody reads; ENOENT: it is gone
        return False
    try:
        os.write(descriptor, message)
    except BlockingIOError:  # full: there is more to hear in it than this
        return True
    except BrokenPipeError:  # the reader went away just now
        return False
    finally:
        os.close(descriptor)
    return True


def make_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder that appears whole under its name, or not at all.

    Raises:
        FileExistsError: The name is taken.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f"{OWN_MARK}new-{secrets.token_hex(8)}")
    try:
        new.mkdir(mode=0o700)
        fill(new)
        _rename_to_free_name(new, path)
    except BaseException:
        with suppress(OSError):
            remove_tree(new, timeout=REMOVAL)
        raise


def _rename_to_free_name(new: Path, path: Path) -> None:
    try:
        new.rename(path)  # fails where `path` is a folder that is not empty, and no container's folder ever is
    except OSError as error:
        if path.exists():
            raise FileExistsError(path) from error
        raise


def remove_folder(folder: ContainerFolder) -> None:
    """Remove a container with all that is in its folder; it disappears at once, whatever happens after that.

    Raises:
        OSError: Something of it cannot be removed.
    """
    gone = folder.path.with_name(f"{OWN_MARK}gone-{secrets.token_hex(8)}")
    with suppress(FileNotFoundError):
        folder.path.rename(gone)
        ContainerFolder(gone).ring_all()  # those who read its log find out that it is gone
        remove_tree(gone, timeout=REMOVAL)


def sweep(state: Path) -> None:
    """Remove what runners have left that died while they made or removed a folder."""
    for path in _own_folders(state):
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - STALE_SECONDS:
                remove_tree(path, timeout=REMOVAL)


def _own_folders(state: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        yield from (path for path in state.iterdir() if path.name.startswith(OWN_MARK))


def utc(seconds: float | None) -> datetime | None:
    """Return the time of seconds since the epoch, or None for none."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
