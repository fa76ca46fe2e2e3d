"""Files that a command writes: never over another one unasked, never half of one."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botdock.errors import BotdockError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO


class TargetError(UserError):
    """A file may not be written where it was asked for."""


def check_target(target: Path, *, force: bool, name: str) -> None:
    """Make sure that a file may be written.

    Args:
        target: The file.
        force: Whether one that is there may be replaced.
        name: What it could be called in a folder, for a hint.

    Raises:
        TargetError: It is there already and `force` is not given, is no file, or its folder is not there.
    """
    if target.is_dir():
        raise TargetError(f"{target} is a folder", hint=f"-o {target / name} writes into it.")
    if target.exists() and not target.is_file():
        raise TargetError(f"{target} is no regular file", hint="-o FILE writes another one.")
    if target.exists() and not force:
        raise TargetError(f"{target} is there already", hint="--force replaces it; -o FILE writes another one.")
    if not target.parent.is_dir():
        raise TargetError(f"{target.parent} is no folder", hint=f"mkdir -p {target.parent}")


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Give a hidden file beside the target, which takes its place at the end, or is removed.

    Raises:
        BotdockError: It cannot be written.
    """
    hidden = target.with_name(f".botdock-{secrets.token_hex(8)}.part")
    try:
        with hidden.open("xb") as file:
            yield file
        hidden.replace(target)
    except OSError as error:
        raise BotdockError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        hidden.unlink(missing_ok=True)
