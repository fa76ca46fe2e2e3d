"""Archives and folders into a new folder."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import attrs

from botdock.archive._admit import Admitted, admit
from botdock.archive._budget import Budget
from botdock.archive._decompress import decompressed
from botdock.archive._destination import Destination
from botdock.archive._entry import Items, Kind, OnProgress
from botdock.archive._folder import folder_items
from botdock.archive._formats import ArchiveFormat
from botdock.archive._limits import DEFAULT_LIMITS, ArchiveLimits
from botdock.archive._refusal import guard
from botdock.archive._source import Source, open_source
from botdock.archive._stream import ByteStream
from botdock.archive._tar import tar_items
from botdock.archive._tree import Tree
from botdock.archive._zip import zip_items
from botdock.model.storage import ByteReader


@attrs.frozen(kw_only=True)
class ExtractReport:
    """What was made.

    Attributes:
        format: What the archive was; None for a folder.
        entries: Files, folders and links made.
        bytes: Bytes of all files.
    """

    format: ArchiveFormat | None
    entries: int
    bytes: int


def detect(source: Path | ByteReader) -> ArchiveFormat:
    r"""Return what an archive is by its first 512 bytes; its name does not matter.

    Of a compressed file only the compression is known so; whether a tar is inside shows when it is extracted.

    Args:
        source: A file, or a reader, which is put back to where it was if it can seek.

    Raises:
        ArchiveError: `format`, `empty` or `source`.

    Example:
        >>> import io
        >>> detect(io.BytesIO(b"PK\x05\x06" + bytes(18)))
        <ArchiveFormat.ZIP: 'zip'>
    """
    name = name_of(source)
    with guard(name, Path(name)), open_source(source) as opened:
        opened.rewind()
        return opened.format()


def extract(
    source: Path | ByteReader,
    destination: Path,
    *,
    limits: ArchiveLimits = DEFAULT_LIMITS,
    progress: OnProgress | None = None,
) -> ExtractReport:
    """Unpack a zip or a tar (plain, gzip, bzip2, xz) into a new folder, or refuse it and leave nothing.

    The folder appears by one rename when all is done; until then everything lies in a hidden one beside it, named
    `.botdock-*.partial`. Folders get the mode 0755, files 0644, or 0755 where anybody might execute them; all is ours,
    and its time is now. Set-uid and set-gid files are refused; other special bits are dropped. Symbolic links are kept
    where they and all that they lead through stay inside, hard links where they name a file that came before. A single
    folder at the top is kept as it is. Memory stays bounded whatever the archive holds.

    Args:
        source: A file, or a reader from which only `read` is needed. Without seeking a zip takes space for a copy.
        destination: Where; nothing may be there, and its parent must be.
        limits: What may come out.
        progress: Told the bytes unpacked so far, and the bytes of the archive or 0, about once a MiB.

    Raises:
        ArchiveError: With `entry`, its name in the archive, and `limit`, the rule: `absolute`, `case_fold_duplicate`,
            `checksum`, `depth=...`, `destination`, `device`, `duplicate`, `empty`, `encrypted`, `entries=...`,
            `file_bytes=...`, `format`, `header_bytes=...`, `headers=...`, `link_escape`, `memory=...`, `name`,
            `name_bytes=...`, `names`, `overlap`, `ratio=...`, `setuid`, `source`, `sparse`, `total_bytes=...`,
            `trailing`, `traversal` or `truncated`.
        StorageError: The disk is full, or cannot be written.
        Exception: Whatever the reader that was passed in raises, as it is.

    Example:
        >>> extract(Path("bot.tar.gz"), Path("workspace/code"))  # doctest: +SKIP
        ExtractReport(format=<ArchiveFormat.TAR_GZ: 'tar.gz'>, entries=12, bytes=48213)
    """
    with guard(name_of(source), destination), open_source(source) as packed:
        found = packed.format()
        budget = Budget(limits, packed=packed.packed, packed_total=packed.size, progress=progress)
        items = _archive_items(packed, found, destination.parent, limits, budget)
        return _fill(destination, items, limits, budget, found)


def copy_tree(
    source: Path, destination: Path, *, limits: ArchiveLimits = DEFAULT_LIMITS, progress: OnProgress | None = None
) -> ExtractReport:
    """Copy a folder by the same rules and with the same result as if it had been packed and extracted.

    Of several hard links each becomes a copy, and what botdock left unfinished (`.botdock-*.partial`) is left out.

    Args:
        source: The folder.
        destination: Where; nothing may be there, and its parent must be.
        limits: What may come out; the ratio means nothing here.
        progress: Told the bytes copied so far, and 0.

    Raises:
        ArchiveError: As from `extract`; `source` where something cannot be read or changes meanwhile.
        StorageError: The disk is full, or cannot be written.
    """
    with guard(str(source), destination):
        return _fill(destination, folder_items(source, limits), limits, Budget(limits, progress=progress), None)


def name_of(source: Path | ByteReader) -> str:
    """Return what a message calls an archive."""
    return str(source) if isinstance(source, Path) else "the archive"


def _archive_items(source: Source, found: ArchiveFormat, place: Path, limits: ArchiveLimits, budget: Budget) -> Items:
    if found is ArchiveFormat.ZIP:
        with source.seekable(place, limits.total_bytes):
            yield from zip_items(source, limits)
        return
    pieces = iter(source.read, b"") if found is ArchiveFormat.TAR else decompressed(source.read, found)
    yield from tar_items(ByteStream(pieces), budget.beside)


def _fill(
    destination: Path, items: Items, limits: ArchiveLimits, budget: Budget, found: ArchiveFormat | None
) -> ExtractReport:
    tree = Tree(limits)
    with Destination(destination) as out, closing(admit(items, tree, budget)) as entries:
        for admitted in entries:
            _put(out, admitted)
        for path, target in tree.finish():
            out.symlink(path, target)
        out.commit()
    budget.report()
    return ExtractReport(format=found, entries=tree.entries, bytes=budget.bytes)


def _put(out: Destination, admitted: Admitted) -> None:
    entry, place, content = admitted
    for folder in place.folders:
        out.folder(folder)
    if entry.kind is Kind.FILE:
        out.file(place.path, content, entry.plain_mode)
    elif entry.kind is Kind.HARD_LINK:
        out.hard_link(place.path, place.target)
