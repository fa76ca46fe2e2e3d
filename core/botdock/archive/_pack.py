"""A folder into an archive: the same tree always gives the same bytes."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import attrs

from botdock._whole_files import replacing
from botdock.archive._admit import admit
from botdock.archive._budget import Budget
from botdock.archive._entry import FILE_MODE, PREFIX, SUFFIX, Items, OnProgress
from botdock.archive._folder import folder_items
from botdock.archive._formats import ArchiveFormat, format_for
from botdock.archive._limits import DEFAULT_LIMITS, ArchiveLimits
from botdock.archive._refusal import guard
from botdock.archive._tree import Tree
from botdock.archive._write_tar import write_tar
from botdock.archive._write_zip import write_zip

_File = io.BufferedRandom


@attrs.frozen(kw_only=True)
class PackReport:
    """What was written.

    Attributes:
        format: What the archive is.
        entries: Files, folders and links in it.
        bytes: Bytes of all files, unpacked.
        sha256: Of the archive, as 64 hexadecimal digits.
    """

    format: ArchiveFormat
    entries: int
    bytes: int
    sha256: str


def pack(
    tree: Path,
    target: Path,
    *,
    format: ArchiveFormat | None = None,  # noqa: A002 - what the standard library's archivers call it
    limits: ArchiveLimits = DEFAULT_LIMITS,
    progress: OnProgress | None = None,
) -> PackReport:
    """Write a folder into an archive, which is complete or not there; one that was there before is replaced.

    The same tree gives the same bytes with the same release of zlib, bzip2 or xz, whatever the machine, the user, the
    umask and the times of the files: entries are sorted, times fixed, owners 0, modes 0755 or 0644. Symbolic links are
    kept; of a file with several hard links each name gets its own copy. What `extract` with the same limits would
    refuse is refused here. The archive itself, where it lies in the tree, and `.botdock-*.partial` are left out.

    Args:
        tree: The folder; its content, not itself, stands at the top of the archive.
        target: The file to write; its folder must be there.
        format: What to write; None means what the target's name says.
        limits: Those that the archive is to be extracted with.
        progress: Told the bytes read so far, and 0, about once a MiB.

    Raises:
        ArchiveError: As from `extract`; `source` where something cannot be read or changes meanwhile.
        StorageError: The disk is full, or cannot be written.

    Example:
        >>> pack(Path("examples/hello"), Path("hello.zip")).sha256  # doctest: +SKIP
        '0f343b0931126a20f133d67c2b018a3b5dca8eb1b7b1dd5b5a4d5ec1b8b8a1f2'
    """
    with guard(str(tree), target):
        chosen = format or format_for(target)
        with _replacing(target) as file:
            items = folder_items(tree, limits, skip=_inside(tree, target))
            return _write(items, file, chosen, limits, Budget(limits, progress=progress))


def _write(items: Items, file: _File, chosen: ArchiveFormat, limits: ArchiveLimits, budget: Budget) -> PackReport:
    tree = Tree(limits)
    with closing(admit(items, tree, budget)) as admitted:
        if chosen is ArchiveFormat.ZIP:
            write_zip(admitted, file)
        else:
            write_tar(admitted, file, chosen)
    tree.finish()
    budget.compare(file.seek(0, os.SEEK_END))
    budget.report()
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    return PackReport(format=chosen, entries=tree.entries, bytes=budget.bytes, sha256=digest)


def _inside(tree: Path, target: Path) -> str:
    """Return the path of `target` below the tree, or one that nothing in the tree has."""
    folder = os.path.relpath(os.path.realpath(target.parent), os.path.realpath(tree))
    return Path(folder, target.name).as_posix()


@contextmanager
def _replacing(target: Path) -> Iterator[_File]:
    """Give a hidden file beside the target; it takes the target's place at the end, or is removed."""
    hidden = target.with_name(f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}")
    with replacing(target, durable=False, draft=hidden) as file:
        yield file
        os.fchmod(file.fileno(), FILE_MODE)
