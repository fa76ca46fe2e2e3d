"""Archives and folders into a new folder."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import attrs

from botdock.archive._admission import Admission
from botdock.archive._entry import FOLDER_MODE, PREFIX, SUFFIX, Chunks, EntryKind, Items, OnProgress, guard, refusal
from botdock.archive._folder import folder_items
from botdock.archive._formats import ArchiveFormat, decompressed
from botdock.archive._limits import DEFAULT_LIMITS, ArchiveLimits
from botdock.archive._source import ArchiveSource, open_source
from botdock.archive._tar import ByteStream, tar_items
from botdock.archive._zip import zip_items
from botdock.errors import ArchiveError
from botdock.model.storage import ByteReader

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


@attrs.frozen(kw_only=True)
class ExtractReport:
    """What was made.

    Attributes:
        format: What the archive was; None for a folder.
        entries: Files, folders and links made.
        bytes: Bytes of all files.
        left_out: Of a folder, the devices, pipes and sockets in it, which are not code.
        sha256: Of a folder, of all that was made of it, names and modes too, as 64 hexadecimal digits; else empty.
    """

    format: ArchiveFormat | None
    entries: int
    bytes: int
    left_out: tuple[str, ...] = ()
    sha256: str = ""


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
    """Unpack a zip or a tar (plain, gzip, bzip2, xz, zstd) into a new folder, or refuse it and leave nothing.

    The folder appears by one rename when all is done; until then everything lies in a hidden one beside it, named
    `.botdock-*.partial`. Folders get the mode 0755, files 0644, or 0755 where any user might execute them; all is ours,
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
            `checksum`, `depth=...`, `destination`, `device`, `duplicate`, `empty`, `encoding`, `encrypted`,
            `entries=...`, `file_bytes=...`, `format`, `header_bytes=...`, `headers=...`, `link_escape`, `memory=...`,
            `name`, `name_bytes=...`, `names`, `overlap`, `ratio=...`, `setuid`, `source`, `sparse`, `total_bytes=...`,
            `trailing`, `traversal`, `truncated` or `zstd`.
        StorageError: The disk is full, or cannot be written.
        Exception: Whatever the reader that was passed in raises, as it is.

    Example:
        >>> extract(Path("bot.tar.gz"), Path("workspace/code"))  # doctest: +SKIP
        ExtractReport(format=<ArchiveFormat.TAR_GZ: 'tar.gz'>, entries=12, bytes=48213, left_out=())
    """
    with guard(name_of(source), destination), open_source(source) as packed:
        found = packed.format()
        admission = Admission(limits, packed=packed.packed, packed_total=packed.size, progress=progress)
        items = _archive_items(packed, found, destination.parent, limits, admission)
        _fill(destination, items, admission)
        return ExtractReport(format=found, entries=len(admission.nodes), bytes=admission.bytes)


def copy_tree(
    source: Path,
    destination: Path,
    *,
    limits: ArchiveLimits = DEFAULT_LIMITS,
    progress: OnProgress | None = None,
    ignore: bool = False,
    skip: Collection[str] = (),
) -> ExtractReport:
    """Copy a folder by the same rules and with the same result as if it had been packed and extracted.

    Of several hard links each becomes a copy. Devices, pipes and sockets are not code and are left out, as is what
    botdock left unfinished (`.botdock-*.partial`).

    Args:
        source: The folder.
        destination: Where; nothing may be there, and its parent must be.
        limits: What may come out; the ratio means nothing here.
        progress: Told the bytes copied so far, and 0.
        ignore: As for `pack`.
        skip: Paths below the folder that are left out.

    Raises:
        ArchiveError: As from `extract`; `source` where something cannot be read or changes meanwhile.
        StorageError: The disk is full, or cannot be written.
    """
    with guard(str(source), destination):
        left_out: list[str] = []
        admission, digest = Admission(limits, progress=progress), hashlib.sha256()
        _fill(destination, folder_items(source, limits, left_out, skip=skip, ignore=ignore), admission, digest)
        return ExtractReport(
            format=None,
            entries=len(admission.nodes),
            bytes=admission.bytes,
            left_out=tuple(left_out),
            sha256=digest.hexdigest(),
        )


def name_of(source: Path | ByteReader) -> str:
    """Return what a message calls an archive."""
    return str(source) if isinstance(source, Path) else "the archive"


def _archive_items(
    source: ArchiveSource, found: ArchiveFormat, scratch: Path, limits: ArchiveLimits, admission: Admission
) -> Items:
    if found is ArchiveFormat.ZIP:
        with source.seekable(scratch, limits.total_bytes):
            yield from zip_items(source, limits)
        return
    pieces = iter(source.read, b"") if found is ArchiveFormat.TAR else decompressed(source.read, found)
    yield from tar_items(ByteStream(pieces), admission.beside)


def _fill(destination: Path, items: Items, admission: Admission, digest: hashlib._Hash | None = None) -> None:
    """Make everything that is admitted, in a folder that appears at the end.

    All that is made goes into the `digest`, as it comes.

    Paths are relative to the folder's descriptor, and a link is made only after everything else, so that nothing can
    be written through one. Modes are set past the umask; nothing is synced to the disk.
    """
    with _new_folder(destination) as root, closing(admission.admit(items)) as entries:
        for entry, place, content in entries:
            if digest is not None:
                told = (entry.kind.value, entry.plain_mode, entry.size, entry.name, entry.target)
                digest.update(f"{told!a}\n".encode())
            for folder in place.folders:
                os.mkdir(folder, dir_fd=root)
                os.chmod(folder, FOLDER_MODE, dir_fd=root)
            if entry.kind is EntryKind.FILE:
                _write(root, place.path, content, entry.plain_mode, digest)
            elif entry.kind is EntryKind.HARD_LINK and place.target != place.path:
                os.link(place.target, place.path, src_dir_fd=root, dst_dir_fd=root, follow_symlinks=False)
        for link in admission.finish():
            os.symlink(link.target, link.path, dir_fd=root)


@contextmanager
def _new_folder(path: Path) -> Iterator[int]:
    """Give the descriptor of a hidden folder beside `path`: renamed once at the end, and removed if that never comes.

    Raises:
        ArchiveError: `destination`: something is there already, or came into being meanwhile.
    """
    if os.path.lexists(path):
        raise _taken()
    hidden = Path(tempfile.mkdtemp(prefix=PREFIX, suffix=SUFFIX, dir=path.parent))
    try:
        root = os.open(hidden, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        hidden.rmdir()
        raise
    try:
        yield root
        os.fchmod(root, FOLDER_MODE)
        try:
            hidden.rename(path)
        except OSError as error:
            if error.errno in _TAKEN:
                raise _taken() from error
            raise
    finally:
        os.close(root)
        shutil.rmtree(hidden, ignore_errors=True)


def _taken() -> ArchiveError:
    hint = "Choose a folder that does not exist yet."
    return refusal("cannot be unpacked: its destination exists already", limit="destination", hint=hint)


def _write(root: int, path: str, content: Chunks, mode: int, digest: hashlib._Hash | None) -> None:
    """Write a file; its folder is there."""
    descriptor = os.open(path, _CREATE, 0o600, dir_fd=root)
    try:
        os.fchmod(descriptor, mode)
        for chunk in content:
            if digest is not None:
                digest.update(chunk)
            written = os.write(descriptor, chunk)
            while written < len(chunk):  # a disk that is nearly full writes less, and says so at the next write
                written += os.write(descriptor, chunk[written:])
    finally:
        os.close(descriptor)
