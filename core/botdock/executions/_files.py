"""The names of what lies in the folder of an execution, and how it is read."""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from botdock._boot_clock import seconds_since
from botdock._ownership import is_ours
from botdock.errors import BotdockError
from botdock.executions._lease import holder_lives
from botdock.model.execution import EXECUTION_ID

EXECUTIONS = "executions"
REQUESTS = "requests"
"""The folder of the state folder with what waits for a supervisor; see `_requests`."""
SUPERVISOR = "supervisor.lock"
"""The file of the state folder that a supervisor locks as long as it lives."""
CODE = ".code"
"""Ends the name of the file there with code that was given as bytes."""
REQUEST, RUN, STOP, CONCLUDED, RESULT, OUTCOME = (
    f"{name}.json" for name in ("request", "run", "stop", "concluded", "result", "outcome")
)
EVENTS = "events.jsonl"
WAITING = "waiting"
"""The step of one that its engine has not started yet: `why`, in its words."""
FINISHED = "finished"
"""The last event there; with the boot, so that its monotonic time means something to a later process."""
PROGRAMS = Path("cache/program")
"""The folder of the state folder in which the programs of runtimes are."""
POOL = "pool"
"""The folder of the state folder with a folder for each runner that keeps containers waiting; see `botdock.pool`."""
OWNER = "owner"
"""The file of the state folder that holds its id."""
REMOVED = ".removed"
"""Ends the hidden name of a folder that is being removed; the next runner removes what a crash left of it."""

_COARSEST_NS = 2_000_000_000
"""Nanoseconds after which a time of change tells every change: file systems count in coarser steps."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK = 512
"""Bytes of a unit of `st_blocks` (POSIX, sys/stat.h)."""
_REMOVAL = 60.0
"""Seconds to remove one folder."""


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a JSON object, or None when there is none that can be read, or a link, or another user's, in its place."""
    try:
        return load_json(path)
    except (OSError, ValueError):
        return None


def load_json(path: Path) -> dict[str, Any] | None:
    """Return a JSON object, or None when there is no such file.

    Raises:
        ValueError: The file is damaged, for good; or a link, or another user's, is in its place.
        OSError: It cannot be read now.
    """
    try:
        with open(os.open(path, _READ), "rb") as file:  # noqa: PTH123 - a descriptor
            document = json.load(file) if is_ours(os.fstat(file.fileno())) else "another user's"
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error
    except OSError as error:
        if error.errno in {errno.EIO, errno.EISDIR, errno.ELOOP}:
            raise ValueError(f"{path.name} is damaged: {error}") from error
        raise
    if not isinstance(document, dict):
        raise ValueError(f"{path.name} is damaged: it is not a JSON object")  # noqa: TRY004 - of a document, not of a caller
    return document


def changed_ns(path: Path) -> int:
    """Return when a file or folder last changed, in nanoseconds; 0 where that may not tell the next change.

    Raises:
        OSError: It cannot be looked at.
    """
    changed = path.stat().st_mtime_ns
    return changed if time.time_ns() - changed > _COARSEST_NS else 0


def read_events(directory: Path) -> Iterator[dict[str, Any]]:
    """Yield the steps of an execution so far, the ones that cannot be read left out."""
    with suppress(FileNotFoundError), (directory / EVENTS).open("rb") as lines:
        for line in lines:
            with suppress(ValueError, RecursionError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    yield entry


def ended_before(directory: Path, ended: datetime, seconds: float) -> bool:
    """Tell whether an execution ended so many seconds ago; a wall clock that was set since the machine booted does not.

    Args:
        directory: Its folder.
        ended: When it ended, by the wall clock.
        seconds: How long ago, at least.
    """
    if time.time() - ended.timestamp() < seconds:
        return False
    ends = [event for event in read_events(directory) if event.get("event") == FINISHED]
    passed = seconds_since(ends[-1]) if ends else None
    return passed is None or passed >= seconds


def execution_ids(home: Path) -> list[str]:
    """Return the ids of all executions that the state folder knows, the oldest first."""
    try:
        with os.scandir(home / EXECUTIONS) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(filter(EXECUTION_ID.fullmatch, names))


def request_ids(home: Path) -> list[str]:
    """Return the executions that have a request, the oldest first."""
    try:
        with os.scandir(home / REQUESTS) as entries:
            names = [entry.name.removesuffix(".json") for entry in entries if entry.name.endswith(".json")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(filter(EXECUTION_ID.fullmatch, names))


def forget_request(home: Path, execution_id: str) -> None:
    """Remove the request of an execution, secrets and code with it.

    Raises:
        OSError: It cannot be removed now.
    """
    for name in (f"{execution_id}.json", f"{execution_id}{CODE}"):
        (home / REQUESTS / name).unlink(missing_ok=True)


def is_waiting(directory: Path) -> bool:
    """Tell whether the execution in this folder waits for a supervisor, or has just been taken by one.

    What asks for its holder too asks this first: the supervisor that takes it is there before its request goes.
    """
    if not (directory.parent.parent / REQUESTS / f"{directory.name}.json").exists():
        return False
    return not any((directory / name).exists() for name in (RUN, CONCLUDED, OUTCOME))


def is_orphan(directory: Path) -> bool:
    """Tell whether the execution in this folder has no outcome, and no runner that will write one.

    The runner that writes one lets go of the execution afterwards: so it is looked for last.
    """
    return not is_waiting(directory) and not holder_lives(directory) and not (directory / OUTCOME).exists()


def read_end(directory: Path) -> dict[str, Any] | None:
    """Return how an execution ended, be it that not all of it could be removed yet; None while that is not known."""
    return read_json(directory / OUTCOME) or read_json(directory / CONCLUDED)


def is_owed(directory: Path) -> bool:
    """Tell whether the execution in this folder is over, but not finished: something of it could not be removed yet."""
    return (directory / CONCLUDED).exists() and not (directory / OUTCOME).exists()


def owed_folders(home: Path) -> list[Path]:
    """Return the folders of the executions that are over, but not finished; some microseconds for each other one."""
    folder = str(home / EXECUTIONS)
    ids = [found for found in execution_ids(home) if os.path.exists(f"{folder}/{found}/{CONCLUDED}")]  # noqa: PTH110 - the quickest
    return [directory for directory in (home / EXECUTIONS / found for found in ids) if is_owed(directory)]


def left_behind(directory: Path) -> list[str]:
    """Return what could not be removed of the execution in this folder, in words."""
    evidence = (read_json(directory / CONCLUDED) or {}).get("evidence")
    problems = evidence.get("left_behind") if isinstance(evidence, dict) else None
    return [str(problem) for problem in problems] if isinstance(problems, list) else []


def owner_of(home: Path, *, older: str) -> str:
    """Return the id of a state folder, by which the containers of its executions are known.

    It is drawn by chance when the folder gets its first execution: two machines may share a daemon, a host's name and a
    path, and neither may take the other's containers for its own.

    Args:
        home: The state folder.
        older: The id of one that holds executions already, as an older botdock named it.
    """
    import secrets  # which no look at executions needs, and takes long to import

    path = home / OWNER
    if not path.exists() and home.is_dir():
        draft = home / f".{OWNER}.{secrets.token_hex(8)}.tmp"
        with suppress(OSError):
            draft.write_text(older if execution_ids(home) else secrets.token_hex(8), encoding="ascii")
            with suppress(FileExistsError):  # another runner was quicker
                os.link(draft, path)
        with suppress(OSError):
            draft.unlink()
    with suppress(OSError, ValueError):
        if re.fullmatch("[0-9a-f]{16}", found := path.read_text(encoding="ascii").strip()):
            return found
    return older


def folder_bytes(directory: Path) -> int:
    """Return how many bytes a folder takes on the disk; what goes meanwhile is not counted."""
    return sum(_bytes(entry) for root, _, _ in os.walk(directory) for entry in _entries(root))


def _bytes(entry: os.DirEntry[str]) -> int:
    with suppress(FileNotFoundError):
        return entry.stat(follow_symlinks=False).st_blocks * _BLOCK
    return 0


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return list(entries)
    return []


def remove_folder(directory: Path) -> None:
    """Remove the folder of an execution, and its request: first its name, at once, then what is in it.

    Raises:
        BotdockError: It could not be removed.
    """
    draft = directory.with_name(f".{directory.name}{REMOVED}")
    try:
        forget_request(directory.parent.parent, directory.name)
        directory.rename(draft)
    except FileNotFoundError:  # another process removes it
        return
    except OSError as error:
        raise _irremovable(directory, error) from error
    try:
        from botdock.archive import remove_tree  # which nothing that only reads needs

        remove_tree(draft, timeout=_REMOVAL)
    except OSError as error:
        raise _irremovable(directory, error) from error


def programs_in_use(home: Path) -> set[str] | None:
    """Return the digests of the programs of the executions that are not finished; None where one does not say."""
    unfinished = [one for name in execution_ids(home) if not ((one := home / EXECUTIONS / name) / OUTCOME).exists()]
    programs = [(read_json(directory / RUN) or {}).get("program") for directory in unfinished]
    return {str(program) for program in programs} if all(programs) else None


def _irremovable(directory: Path, error: OSError) -> BotdockError:
    return BotdockError(
        f"cannot remove {directory}: {error.strerror or error}", hint="It needs the right to write there."
    )
