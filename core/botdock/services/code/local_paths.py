"""Code of this machine: what a text names there, and what it may have been meant to name."""

from __future__ import annotations

import errno
import itertools
import os
import stat
from pathlib import Path

from botdock.errors import CodeError, nearest

_LOOKED_AT = 1000
"""Names of a folder that are looked at to guess what was meant."""
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}
_KINDS = {
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}


def local_path(text: str) -> tuple[Path, bool] | None:
    """Return the folder or file of this machine that `text` names, and whether it is a folder; None for neither.

    Raises:
        CodeError: It is something else, or cannot be read.
    """
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - pathlib's raises for a user that is not there
    try:
        mode = path.stat().st_mode
    except ValueError:  # holds a NUL or a lone surrogate, which no path can
        return None
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise CodeError(f"code at {text!r}: {error.strerror or error}", source=text) from None
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "a special file")
        raise CodeError(
            f"code at {text!r} is {kind}", source=text, hint="Code is a folder, an archive, or a key of the storage."
        )
    if not os.access(path, os.R_OK):
        raise CodeError(f"code at {text!r} cannot be read by this user", source=text)
    return path.absolute(), stat.S_ISDIR(mode)


def neighbours(text: str) -> list[str]:
    """Return paths that exist and that `text` may have been meant to be: its first wrong part mended."""
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - the same
    parts = [*reversed(path.parents), path]
    for parent, child in itertools.pairwise(parts):
        if not os.path.lexists(child):
            mended = [parent / near for near in nearest(child.name, _names(parent))]
            wholes = [near / path.relative_to(child) for near in mended]
            return [str(whole if os.path.lexists(whole) else near) for near, whole in zip(mended, wholes, strict=True)]
    return []


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return [item.name for item in itertools.islice(found, _LOOKED_AT) if item.name.isprintable()]
    except OSError:
        return []
