"""A container is a folder: what is in it says what is known, and a shim is started, told and killed through it."""

from __future__ import annotations

import ctypes
import os
import re
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import attrs

from botdock.archive import remove_tree
from botdock.model import ContainerState, ContainerStatus
from botdock.shim._process import ForkServer, is_alive, kill_process, start_alone, wait_for_end
from botdock.shim._program import files
from botdock.shim._program.cgroups import kill_all, remove_all

MADE = "made.json"
"""What the engine must remember of what it was made from: `name image labels result created_at temporary cgroups`."""
ERRORS = "supervisor.err"
"""What a shim that crashed wrote to stderr."""
SHOWN_ERRORS = 2000
"""Characters of that which an error repeats."""
LOST = "its shim died, so its end was not seen"

REMOVAL = 60.0
"""Seconds to remove one folder; what is left then, the next sweep removes."""
OWN_MARK = "."
"""Begins the names of folders that are being made or removed, so that no listing shows them."""
STALE_SECONDS = 3600.0
"""After this, one of those belongs to a runner that died over it, and goes with the next listing."""

LEAST_SIGNALED = 128
"""An exit code over this may stand for a signal."""
STARTED = b"+"
_MOUNTS = Path("/proc/self/mountinfo")
_DETACH = 2
"""`MNT_DETACH`: at once, whatever still uses it."""


@attrs.frozen(kw_only=True)
class Plan:
    """What a shim starts.

    Attributes:
        command: The program and its arguments.
        environment: All of its variables.
        working_dir: Where it starts.
        limits: For `setrlimit`, by name, such as `RLIMIT_NOFILE`.
        temporary: A folder elsewhere, which is made at the start and removed with the container; empty for none.
        pid_file: Where the command writes the number of the bot's process, if it is a runtime that starts the bot and
            ends; what that says on stderr when it fails is the error. The bot then has an init, whose exit code may
            stand for a signal if it is over 128. Empty where the command is the bot.
        cgroups: The folders of the bot's control groups, which the runtime makes, and which are killed and removed with
            the container.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    working_dir: str
    limits: Mapping[str, int] = attrs.field(factory=dict)
    temporary: str = ""
    pid_file: str = ""
    cgroups: Sequence[str] = ()


@attrs.frozen
class ContainerFolder:
    """The folder of one container.

    Attributes:
        path: Where it is; its name is the container's name and identity.
    """

    path: Path

    def status(self) -> ContainerStatus:
        """Say what is known.

        Raises:
            FileNotFoundError: It is gone.
        """
        shim, name = files.read_record(self.path / files.SHIM), self.path.name
        lives = shim is not None and is_alive(shim)
        end = files.read_record(self.path / files.EXIT)  # last: what is not here now, a dead shim will not write
        if end:
            code: int | None = end["exit_code"]
            known = code is not None and (code <= LEAST_SIGNALED or not end.get("relayed"))
            return ContainerStatus(
                container_id=name,
                state=ContainerState.EXITED,
                exit_code=code,
                signal=end["signal"] or (0 if known else None),
                oom_killed=bool(end.get("oom_killed")),
                started_at=utc(end["started_at"]),
                finished_at=utc(end["finished_at"]),
                error=end["error"],
                output_limited=end["output_limited"],
            )
        if shim is None:
            self.path.stat()  # raises where it is gone
            return ContainerStatus(container_id=name, state=ContainerState.CREATED)
        started_at = utc((files.read_record(self.path / files.BOT) or {}).get("started_at"))
        if lives:
            return ContainerStatus(container_id=name, state=ContainerState.RUNNING, started_at=started_at)
        return ContainerStatus(container_id=name, state=ContainerState.EXITED, started_at=started_at, error=LOST)

    def start(self, *, timeout: float, fork_server: ForkServer | None = None) -> str:
        """Start the shim; return what went wrong, or an empty text once the bot runs.

        Args:
            timeout: Seconds.
            fork_server: What may fork the shim; without an answer of it, or where there is none, it is a new Python.

        Raises:
            TimeoutError: It did not answer in time.
            OSError: It could not be started at all.
        """
        if not sys.executable:
            return "this Python does not know where its own program is, so it cannot start another"
        errors = self.path / ERRORS
        with errors.open("wb") as stderr:
            answer = fork_server.fork(self.path, errors=stderr.fileno(), timeout=timeout) if fork_server else b""
            if not answer and not (fork_server and files.read_record(self.path / files.SHIM)):
                answer = start_alone(self.path, errors=stderr.fileno(), timeout=timeout)
        if answer == STARTED:
            return ""
        words = errors.read_text("utf-8", "replace")[-SHOWN_ERRORS:].strip() or f"nothing is told in {errors}"
        return answer[1:].decode("utf-8", "replace") or f"the shim crashed: {words}"

    def wait(self, *, timeout: float) -> ContainerStatus | None:
        """Return how the bot ended, or None when it still runs, or has not begun, after `timeout` seconds.

        Raises:
            FileNotFoundError: It is gone.
        """
        deadline = time.monotonic() + timeout
        while (status := self.status()).state is not ContainerState.EXITED:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            wait_for_end(files.read_record(self.path / files.SHIM), left)
        return status

    def stop(self, *, grace: float, timeout: float) -> None:
        """Let the shim stop the bot, if it runs.

        Raises:
            TimeoutError: It has not ended in time.
        """
        if self.status().state is not ContainerState.RUNNING:
            return
        tell(self.path / files.CONTROL, b"%s %f\n" % (files.STOP, max(0.0, grace)))
        if self.wait(timeout=grace + timeout) is None:
            raise TimeoutError(f"it has not ended {timeout:g} s after it was to be killed")

    def kill(self, *, timeout: float) -> None:
        """Kill the bot, by its shim or, where that is dead or does not answer, in its place."""
        with suppress(OSError):  # a shim that is late finds nothing to do, nor where nothing can be written
            (self.path / files.PLAN).unlink()
        if shim := files.read_record(self.path / files.SHIM):
            if tell(self.path / files.CONTROL, b"%s 0\n" % files.STOP):
                wait_for_end(shim, timeout)
            kill_process(shim)
        if bot := files.read_record(self.path / files.BOT):
            kill_process(bot)
        made = files.read_record(self.path / MADE) or {}
        kill_all(made.get("cgroups", ()))  # a container of an earlier version has none

    def remove(self) -> None:
        """Remove the folder with all that is in it; it disappears at once, whatever happens after that.

        Raises:
            OSError: Something of it cannot be removed.
        """
        gone = self.path.with_name(f"{OWN_MARK}gone-{secrets.token_hex(8)}")
        with suppress(FileNotFoundError):
            self.path.rename(gone)
            with suppress(FileNotFoundError):
                for bell in (gone / files.BELLS).iterdir():  # who reads its log finds out that it is gone
                    tell(bell, files.RUNG)
            _remove(gone)


def sweep(path: Path) -> None:
    """Remove a folder that a runner has left which died while it made or removed it."""
    with suppress(OSError):
        if path.stat().st_mtime < time.time() - STALE_SECONDS:
            _remove(path)


def _remove(path: Path) -> None:
    made = files.read_record(path / MADE) or {}
    if cgroups := made.get("cgroups"):
        _unmount_below(path)  # before anything in it is removed
        remove_all(cgroups)
    if temporary := made.get("temporary"):  # first: where it is stands here; a container of an earlier version has none
        remove_tree(Path(temporary), timeout=REMOVAL)
    remove_tree(path, timeout=REMOVAL)


def _unmount_below(folder: Path) -> None:
    """Unmount what a runtime that was killed may have left mounted in a folder, the last mounted first."""
    beginning = os.fsencode(folder.resolve()) + b"/"
    for line in reversed(_MOUNTS.read_bytes().splitlines()):
        escaped = line.split()[4]  # proc_pid_mountinfo(5)
        path = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), escaped)
        if path.startswith(beginning) and ctypes.CDLL(None, use_errno=True).umount2(path, _DETACH):
            raise OSError(ctypes.get_errno(), f"cannot unmount {os.fsdecode(path)}")


def tell(fifo: Path, message: bytes) -> bool:
    """Write into a FIFO; return whether it has a reader."""
    try:
        descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # ENXIO: it has no reader; ENOENT: it is gone
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


def utc(seconds: float | None) -> datetime | None:
    """Return the time of seconds since the epoch, or None for none."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
