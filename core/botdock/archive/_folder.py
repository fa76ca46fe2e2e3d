"""The entries of a folder on disk, and which are no code: by usual names, and by its `.botdockignore`."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from botdock.archive._entry import CHUNK, FOLDER_MODE, PREFIX, SUFFIX, Entry, EntryKind, Items, kind_of, refusal
from botdock.archive._limits import ArchiveLimits
from botdock.errors import ArchiveError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".botdockignore"
"""Lines by the rules of gitignore(5); they come after `USUAL`, so `!.git` brings that back."""
USUAL = (
    *(".git", ".hg", ".svn", ".venv", ".tox", ".nox", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
    *(".ipynb_checkpoints", ".idea", ".vscode", ".DS_Store", "node_modules/.bin", "node_modules/.cache"),
)
"""What tools keep in a project's folder, for themselves and this machine; and each folder with a `pyvenv.cfg`."""
_USUAL_PATHS = tuple(f"/{name}" for name in USUAL if "/" in name)
_VIRTUAL_ENVIRONMENT = "pyvenv.cfg"
_MAX_BYTES = 64 * 1024
_Choice = Callable[[int, str, EntryKind], bool]
"""Whether an entry is left out: the descriptor of its folder, its path below the tree, and what it is."""


def folder_items(
    tree: Path, limits: ArchiveLimits, left_out: list[str], *, skip: Collection[str] = (), ignore: bool = False
) -> Items:
    """Yield what lies in a folder, each folder before its content, in the order of the names' code points.

    Args:
        tree: The folder; it may itself be a link.
        limits: How many entries one folder may have.
        left_out: Takes the paths of devices, pipes and sockets, which are not code, and of what is ignored.
        skip: Paths to leave out, as is everything of ours that is unfinished.
        ignore: Whether to leave out what is no code by its name, and what the folder's `.botdockignore` names.

    Raises:
        ArchiveError: `source`: something cannot be read, or changes meanwhile; `entries`.
    """
    with _opened(tree, os.O_DIRECTORY) as root:
        spec = _patterns(root) if ignore else None

        def is_left_out(folder: int, path: str, kind: EntryKind) -> bool:
            left = kind is EntryKind.SPECIAL or (ignore and _is_ignored(spec, folder, path, kind))
            if left:
                left_out.append(path)
            return left

        yield from _items(root, "", limits, is_left_out, skip)


def _items(folder: int, prefix: str, limits: ArchiveLimits, is_left_out: _Choice, skip: Collection[str]) -> Items:
    for name in _names(folder, prefix, limits):
        path = prefix + name
        if path in skip:
            continue
        try:
            kind = kind_of(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
            target = os.readlink(name, dir_fd=folder) if kind is EntryKind.SYMLINK else ""
        except OSError as error:
            raise _unreadable(error, path) from error
        if is_left_out(folder, path, kind):
            continue
        if kind is EntryKind.SYMLINK:
            yield Entry(name=path, kind=kind, target=target), ()
        elif kind is EntryKind.FOLDER:
            yield Entry(name=path, kind=kind, mode=FOLDER_MODE), ()
            with _opened(name, os.O_DIRECTORY | os.O_NOFOLLOW, folder, path) as descriptor:
                yield from _items(descriptor, path + "/", limits, is_left_out, skip)
        else:
            with _opened(name, os.O_NOFOLLOW, folder, path) as descriptor:
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode):
                    raise refusal("changed while it was read", limit="source", entry=path)
                mode, size = stat.S_IMODE(found.st_mode), found.st_size
                yield Entry(name=path, kind=kind, mode=mode, size=size), _content(descriptor, path, size)


def _names(folder: int, prefix: str, limits: ArchiveLimits) -> list[str]:
    with os.scandir(folder) as found:
        ours = (entry.name for entry in found if not (entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX)))
        names = sorted(islice(ours, limits.entries + 1))
    if len(names) > limits.entries:
        reason = f"is one too many; {limits.entries} files, folders and links are allowed"
        raise refusal(reason, limit=f"entries={limits.entries}", entry=prefix + names[-1])
    return names


def _content(descriptor: int, path: str, size: int) -> Iterator[bytes]:
    """Yield exactly as many bytes as were declared: a log that grows as fast as it is read would never end."""
    while size:
        try:
            chunk = os.read(descriptor, min(size, CHUNK))
        except OSError as error:
            raise _unreadable(error, path) from error
        if not chunk:
            raise refusal("changed while it was read", limit="source", entry=path)
        size -= len(chunk)
        yield chunk


@contextmanager
def _opened(name: str | Path, flags: int, folder: int | None = None, path: str | None = None) -> Iterator[int]:
    """Open a file or folder: no link that took a name's place meanwhile is followed, and no pipe waited for.

    What cannot be read while it is open is refused by its path.
    """
    descriptor = -1
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | flags, dir_fd=folder)
        yield descriptor
    except OSError as error:
        raise _unreadable(error, path) from error
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _unreadable(error: OSError, path: str | None) -> ArchiveError:
    return refusal(f"cannot be read: {error.strerror}", limit="source", entry=path)


def _is_ignored(spec: GitIgnoreSpec | None, folder: int, path: str, kind: EntryKind) -> bool:
    """Whether an entry is no code, and all that is in it: by a `.botdockignore`, else by its name alone.

    Args:
        spec: What a `.botdockignore` says; None for no such file.
        folder: The descriptor of the folder that the entry is in.
        path: Of the entry, below the root.
        kind: What it is.
    """
    name, is_folder = path.rpartition("/")[2], kind is EntryKind.FOLDER
    if spec is None:
        found = True if name in USUAL or f"/{path}".endswith(_USUAL_PATHS) else None
    else:
        found = spec.check_file(f"{path}/" if is_folder else path).include
    return found is True or (found is None and is_folder and _is_there(f"{name}/{_VIRTUAL_ENVIRONMENT}", folder))


def _patterns(root: int) -> GitIgnoreSpec | None:
    """Return what the `.botdockignore` of a folder says, after what is usual; None where it has none.

    Raises:
        ArchiveError: `source`: it cannot be read.
    """
    try:
        descriptor = os.open(IGNORE_FILE, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=root)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(error, IGNORE_FILE) from error
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(_MAX_BYTES + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    if data is None or len(data) > _MAX_BYTES:
        raise refusal(f"is not a file of at most {_MAX_BYTES // 1024} KiB", limit="source", entry=IGNORE_FILE)
    from pathspec import GitIgnoreSpec  # here: most folders have no such file

    try:
        lines = data.decode("utf-8-sig", "replace").splitlines()
        return GitIgnoreSpec.from_lines([*(f"**/{name}" for name in USUAL), *lines])
    except ValueError as error:
        raise refusal(f"has a line that is not a pattern: {error}", limit="source", entry=IGNORE_FILE) from error


def _is_there(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder)
    except OSError:
        return False
    return True
