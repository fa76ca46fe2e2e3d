"""What a bot's own user id asks of the files on our side: its result, and a name; and how a result is read back."""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from botdock.model.profile import identity_files

WRITABLE_BY_OWNER, WRITABLE_BY_ALL = 0o600, 0o666


def hand_over(path: str, user: int | None) -> None:
    """Let the bot write its result, which becomes its own.

    Where only root could give it away, or the user's id on this machine is not known, all may write it: the folder
    above keeps others out.
    """
    mode = WRITABLE_BY_ALL
    with suppress(OSError):  # not ours, or not there: the engine or the bot says so, in a place where it is seen
        if user is not None and os.geteuid() == 0:
            os.chown(path, user, user, follow_symlinks=False)
            mode = WRITABLE_BY_OWNER
        Path(path).chmod(mode)


def name_user(context: str, user: int) -> None:
    """Write the passwd and group that the bot sees, in which its user and group have a name.

    Raises:
        OSError: They cannot be written.
    """
    for name, text in identity_files(user).items():
        path = Path(context, name)
        path.write_text(text, encoding="ascii")
        path.chmod(0o644)  # whatever our umask is: the bot is another user


def read_bounded(path: str, limit: int) -> bytes:
    """Return a file's bytes, at most `limit + 1` of them.

    Raises:
        OSError: It is gone, a link, a device, or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        with os.fdopen(descriptor, "rb", closefd=False) as file:  # it would leave open what is a folder
            return file.read(limit + 1)
    finally:
        os.close(descriptor)


def read_tarred(receive: Callable[[], bytes], limit: int) -> bytes:
    """Return the bytes of the one file of a tar, at most `limit + 1` of them, and read little more.

    Args:
        receive: Returns what has come, empty only at the end.
        limit: Bytes.

    Raises:
        OSError: What comes first is not a regular file.
        tarfile.TarError: It is not a tar, or it is cut off.
    """
    with tarfile.open(fileobj=_Received(receive), mode="r|") as archive:  # type: ignore[call-overload] # it reads alone
        info = archive.next()
        if info is None or not info.isreg():
            raise OSError(errno.EINVAL, "not a regular file")
        content: bytes = archive.extractfile(info).read(limit + 1)
        return content


class _Received:
    """What has come, for tarfile, which asks for as much as it can hold."""

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive

    def read(self, _size: int) -> bytes:
        return self._receive()


def find_result(inspected: Mapping[str, Any]) -> str | None:
    """Return where the result of a container lies that another runner created: its only bind that it may write."""
    mounts = inspected.get("Mounts") or ()
    return next((mount["Source"] for mount in mounts if mount.get("Type") == "bind" and mount.get("RW")), None)
