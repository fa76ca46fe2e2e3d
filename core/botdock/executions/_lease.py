"""Which runner holds an execution, and whether that runner still lives.

    runners/<runner id>.lock           locked by that runner as long as it lives, and by none once it is dead
    executions/<execution_id>/runner   the id of the runner that holds the execution

A lock is a `flock`, so the kernel lets go of it when its process dies. An id is never used twice, and a file has its
name only once it is locked: so one that is not locked belongs to a runner that is dead for good. A look at it takes a
shared lock, which never makes a dead runner look alive to another process that looks at the same time.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakSet

from botdock._locks import lock_folder
from botdock._whole_files import make_private, publish
from botdock.errors import BotdockError
from botdock.model import new_execution_id

RUNNERS = "runners"
HOLDER = "runner"
"""Name of the file in the folder of an execution."""

SOCKET = ".sock"
"""How the name of the socket ends that wakes a runner; see `_stops`."""
LOCKED = ".lock"
"""How the name of a lease ends."""
_NEW = ".new"
"""How the file of a runner ends as long as it may not be locked yet."""
_ATTEMPTS = 10
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_LONGEST_ID = 100
_ABSENT = (FileNotFoundError, NotADirectoryError)


class Lease:
    """The proof that one runner lives; taken when it is first needed.

    A forked child copies the descriptor, and with it the lock: it closes its copy at once, so that it does not keep the
    lease of its parent alive, and takes a lease of its own if it needs one.

    Args:
        home: The state folder.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / RUNNERS
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._runner = ""

    def hold(self) -> str:
        """Return the id of the runner, whose lease is held from now on; files of dead ones go on this occasion.

        Raises:
            BotdockError: The state folder cannot be written, or has no locks.
        """
        with _forking, self._lock:
            if self._descriptor is None:
                try:
                    self._runner, self._descriptor = _take(self._folder)
                except OSError as error:
                    raise BotdockError(
                        f"cannot write the state folder {self._folder}: {error.strerror or error}",
                        hint="Make it writable or free some space, or name another one with BOTDOCK_HOME.",
                    ) from error
                _leases.add(self)
                self.sweep()
            return self._runner

    def give_up(self) -> None:
        """End the lease, as the death of the process would, and leave no file; may be called twice."""
        with _forking, self._lock:
            if self._descriptor is not None:
                with suppress(OSError):
                    self._path.unlink()
                self._close()

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._runner}{LOCKED}"

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def forked(self) -> None:
        """Let go, in a forked child, of what is the parent's."""
        self._lock = threading.Lock()  # another thread of the parent may hold the copy for ever
        self._close()

    def sweep(self) -> None:
        """Remove the files of runners that are dead."""
        for path in _files(self._folder):
            if not _is_locked(path.with_suffix(LOCKED) if path.suffix == SOCKET else path):
                with suppress(OSError):
                    path.unlink()
                    from botdock._log import logger  # imports loguru, which a look at a lease does not need

                    logger.bind(runner=path.stem).debug("forgot a runner that is dead")


_leases: WeakSet[Lease] = WeakSet()
_forking = threading.RLock()
"""Held while a descriptor is opened and noted, and during a fork, so that a child knows of each that it copies."""


def _in_child() -> None:
    _forking.release()
    for lease in _leases:
        lease.forked()


os.register_at_fork(before=_forking.acquire, after_in_parent=_forking.release, after_in_child=_in_child)


def hold(directory: Path, runner: str) -> None:
    """Note in the folder of an execution which runner holds it; a crash leaves the old note or the new one.

    Raises:
        OSError: The disk took no more.
    """
    publish(directory / HOLDER, f"{runner}\n".encode(), durable=False)


def holder_of(directory: Path) -> str | None:
    """Return the id of the runner that holds the execution in this folder, or None when none does.

    Raises:
        OSError: It cannot be read now.
    """
    try:
        text = (directory / HOLDER).read_text(encoding="ascii").strip()
    except (*_ABSENT, ValueError):
        return None
    return text if text.isalnum() and len(text) <= _LONGEST_ID else None


def holder_lives(directory: Path) -> bool:
    """Tell whether the runner that holds the execution in this folder lives; costs some ten microseconds.

    Only one that is known to be dead does not: a runner that cannot look, for want of descriptors, must not take over.

    Example:
        >>> holder_lives(Path("/nowhere/executions/01jd9pz7p0k0v6r3h2m4n5q8st"))
        False
    """
    try:
        runner = holder_of(directory)
    except OSError:
        return True
    return runner is not None and runner_lives(directory.parent.parent, runner)


def count_runners(home: Path) -> tuple[int, int]:
    """Return how many runners of a state folder live, and how many died and left their lease, which the next forgets.

    Example:
        >>> count_runners(Path("/nowhere"))
        (0, 0)
    """
    leases = [path for path in _files(home / RUNNERS) if path.suffix == LOCKED]
    living = sum(map(_is_locked, leases))
    return living, len(leases) - living


def runner_lives(home: Path, runner: str) -> bool:
    """Tell whether the runner of that id lives, or may live."""
    return _is_locked(home / RUNNERS / f"{runner}{LOCKED}")


@contextmanager
def claiming(directory: Path) -> Iterator[bool]:
    """Be the only one who decides about who holds an execution; say whether that is so."""
    descriptor = lock_folder(directory)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _take(folder: Path) -> tuple[str, int]:
    """Make the file of a new runner, locked before it gets its name.

    Raises:
        OSError: The disk or its file system refused.
    """
    make_private(folder)
    for _ in range(_ATTEMPTS):
        runner = new_execution_id()
        draft = folder / f"{runner}{_NEW}"
        descriptor = os.open(draft, _MAKE, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            draft.rename(folder / f"{runner}{LOCKED}")
        except (BlockingIOError, FileNotFoundError):  # a runner that removes dead ones was quicker
            os.close(descriptor)
        except BaseException:
            os.close(descriptor)
            draft.unlink(missing_ok=True)
            raise
        else:
            return runner, descriptor
    raise BlockingIOError(f"another process removed it {_ATTEMPTS} times")


def _files(folder: Path) -> list[Path]:
    with suppress(FileNotFoundError):
        return [path for path in folder.iterdir() if path.suffix in {LOCKED, _NEW, SOCKET}]
    return []


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, _OPEN)
    except _ABSENT:
        return False
    except OSError as error:
        return error.errno != errno.ELOOP  # a link is not a lease
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
