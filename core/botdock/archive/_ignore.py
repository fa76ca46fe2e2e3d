"""What of a project's folder is not code, and is left out: by usual names, and by its `.botdockignore`."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from botdock.archive._entry import refusal

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


class Ignored:
    """Tells what is left out of a folder.

    Args:
        root: The descriptor of the folder.

    Raises:
        ArchiveError: `source`: its `.botdockignore` cannot be read.
    """

    def __init__(self, root: int) -> None:
        lines = _lines(root)
        self._spec = _spec(lines) if lines else None

    def __call__(self, folder: int, path: str, *, is_folder: bool) -> bool:
        """Whether an entry of a folder is left out; all that is in it goes with it.

        Args:
            folder: The descriptor of the folder that the entry is in.
            path: Of the entry, below the root.
            is_folder: Whether it is a folder.
        """
        name = path.rpartition("/")[2]
        if self._spec is None:
            found = True if name in USUAL or f"/{path}".endswith(_USUAL_PATHS) else None
        else:
            found = self._spec.check_file(f"{path}/" if is_folder else path).include
        return found is True or (found is None and is_folder and _is_there(f"{name}/{_VIRTUAL_ENVIRONMENT}", folder))


def _spec(lines: list[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec  # here: most folders have no such file

    try:
        usual = [f"**/{name}" for name in USUAL]
        return GitIgnoreSpec.from_lines([*usual, *lines])
    except ValueError as error:
        raise refusal(f"has a line that is not a pattern: {error}", limit="source", entry=IGNORE_FILE) from error


def _lines(root: int) -> list[str]:
    """Return the lines of the folder's `.botdockignore`; none where it has none."""
    try:
        descriptor = os.open(IGNORE_FILE, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=root)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise refusal(f"cannot be read: {error.strerror}", limit="source", entry=IGNORE_FILE) from error
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(_MAX_BYTES + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    if data is None or len(data) > _MAX_BYTES:
        raise refusal(f"is not a file of at most {_MAX_BYTES // 1024} KiB", limit="source", entry=IGNORE_FILE)
    return data.decode("utf-8-sig", "replace").splitlines()


def _is_there(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder)
    except OSError:
        return False
    return True
