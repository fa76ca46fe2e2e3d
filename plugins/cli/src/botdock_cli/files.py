"""Files that a command reads, and those that it writes: never over another one unasked, never half of one."""

from __future__ import annotations

import secrets
import shlex
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botdock.errors import BotdockError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO


class SourceError(UserError):
    """What is to be read cannot be."""


class TargetError(UserError):
    """A file may not be written where it was asked for."""


def check_target(target: Path, *, force: bool, name: str) -> None:
    """Make sure that a file may be written.

    Args:
        target: The file.
        force: Whether one that is there may be replaced.
        name: What it could be called in a folder, for a hint.

    Raises:
        TargetError: It is there already and `force` is not given, is not a file, or its folder is not there.
    """
    if target.is_dir():
        raise TargetError(f"{target} is a folder", hint=f"-o {target / name} writes into it.")
    if target.exists() and not target.is_file():
        raise TargetError(f"{target} is not a regular file", hint="-o FILE writes another one.")
    if target.exists() and not force:
        raise TargetError(f"{target} is there already", hint="--force replaces it; -o FILE writes another one.")
    if not target.parent.is_dir():
        raise TargetError(f"{target.parent} is not a folder", hint=f"mkdir -p {target.parent}")


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


@contextmanager
def open_source(file: str) -> Iterator[BinaryIO]:
    """Open a file, or stdin for `-`.

    Raises:
        SourceError: It cannot be read.
    """
    if file == "-":
        if sys.stdin is None:
            raise SourceError("stdin is closed", hint="Name a file in place of `-`.")
        yield sys.stdin.buffer
        return
    try:
        opened = open(file, "rb")  # noqa: SIM115, PTH123 - closed below; a Path would forget a final slash
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from None
    with opened:
        yield opened


def _unreadable(file: str, error: OSError | ValueError) -> SourceError:
    if isinstance(error, IsADirectoryError):
        return SourceError(
            f"{file} is a folder", hint=f"botdock pack {shlex.quote(file)} --put KEY stores it as an archive."
        )
    return SourceError(f"{file!r} cannot be read: {getattr(error, 'strerror', None) or error}")
