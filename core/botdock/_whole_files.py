"""Files that are there wholly or not at all, also after a crash or a power cut, and folders for this user alone."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedRandom, BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botdock.model import ByteReader

_CHUNK = 1024 * 1024
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}
"""What file systems say that cannot give a file a second name."""


@contextmanager
def replacing(path: Path, *, durable: bool = True, draft: Path | None = None) -> Iterator[BufferedRandom]:
    """Give a new file that takes the place of `path` at the end; it is gone when an error passes through.

    Args:
        path: A reader of it sees the old file or the new one, whatever becomes of this process.
        durable: Whether the new one is there after a power cut, too; else nothing waits for the disk.
        draft: Its name meanwhile, for a `path` that two may write at once; `path` with `.tmp` otherwise.
    """
    draft = draft or path.with_suffix(".tmp")

    def opened(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)

    try:
        with open(draft, "w+b", opener=opened) as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def publish(
    path: Path,
    data: bytes,
    *,
    durable: bool = True,
    named: bool = True,
    draft: Path | None = None,
    mode: int = 0o666,
) -> None:
    """Write a small file, in place of one that is there; see `replacing`.

    Args:
        path: As there.
        data: What is in it.
        durable: As there.
        named: Whether its name, too, is on the disk when this returns; else the next one in its folder brings it there.
        draft: As there.
        mode: Who may read and write a new file, less the umask.
    """
    name = os.fspath(draft) if draft else f"{os.path.splitext(path)[0]}.tmp"  # noqa: PTH122 - each run writes several
    try:
        descriptor = os.open(name, _NEW, mode)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(name, path)  # noqa: PTH105 - the same
    except BaseException:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108 - the same
        raise
    if durable and named:
        sync_folder(path.parent)


def make_private(folder: Path) -> None:
    """Make a folder and those that lead to it, where they are not there, each for this user alone.

    Raises:
        OSError: The disk refused.
    """
    for path in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        path.mkdir(mode=0o700, exist_ok=True)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep(source: ByteReader | Path | bytes, path: Path, *, limit: int) -> int:
    """Bring bytes to the disk as a new file, and return how many.

    Args:
        source: A file, which gets a second name where that can be, and is copied otherwise; or what is read to its end.
        path: The new file.
        limit: How many bytes it may have.

    Raises:
        OSError: The disk did not take it, or it has more than `limit` bytes (EFBIG); nothing of it is left then.
    """
    try:
        if isinstance(source, Path):
            size = _link(source, path, limit)
        else:
            size = _copy(BytesIO(source) if isinstance(source, bytes) else source, path, limit)
        sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise
    return size


def _link(source: Path, path: Path, limit: int) -> int:
    try:
        os.link(source, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with source.open("rb") as file:
            return _copy(file, path, limit)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        _check_size(found.st_size, limit)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return found.st_size


def _copy(source: ByteReader, path: Path, limit: int) -> int:
    with path.open("xb") as file:
        while chunk := source.read(_CHUNK):
            _check_size(file.tell() + len(chunk), limit)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise OSError(errno.EFBIG, "larger than all that may wait (outbox.max_bytes)")
