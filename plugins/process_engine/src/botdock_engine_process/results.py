"""Reading what a bot has left, without trusting that it is what we put there."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_result(path: Path, most: int) -> bytes:
    """Return the first `most` bytes of a regular file.

    Raises:
        OSError: It is a link, a FIFO, a device or a folder now, or gone.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as error:  # the container is there: so this is not "no such container"
        raise OSError(errno.EIO, "the result file is gone", str(path)) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "the result is no regular file any more", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)
