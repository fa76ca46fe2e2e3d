"""Where code comes from: a folder, an archive or bytes of this machine, or an object; what is known of it unread."""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import os
import shlex
import stat
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from botdock.archive._formats import HEAD, is_archive
from botdock.errors import CodeError, ObjectNotFoundError, StorageError, nearest
from botdock.model import ByteReader, ObjectInfo
from botdock.model.runtime import read_head
from botdock.services.code.script import taken_from_beside

if TYPE_CHECKING:
    from botdock.services.code_cache import Staging
    from botdock.services.code_cache.records import Identity

_COARSEST = 1.0
"""Seconds after which a file cannot be written again without another time of change: no kernel's tick is as long."""

_LOOKED_AT = 1000
"""Names of a folder that are looked at to guess what was meant."""
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}
_KINDS = {
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}


class CodeKind(StrEnum):
    """Where code comes from."""

    FOLDER = "folder"
    SCRIPT = "script"
    """A file of this machine that is not an archive: the whole of the code."""
    ARCHIVE = "archive"
    OBJECT = "object"
    BYTES = "bytes"


@attrs.frozen(kw_only=True)
class CodeSource:
    """Code that lies on this machine, ready to be extracted.

    Attributes:
        kind: Where it comes from.
        path: The folder, the archive, its spooled bytes, or, when it is cached, the tree.
        origin: What the user named.
        size: Bytes of the archive; None where they were not read.
        sha256: Digest of the archive's bytes, hexadecimal; None where they were not read.
        cached: Whether it is unpacked already.
        note: What a reader of the result should know about where it came from; usually empty.
        staging: Where its tree is to be made, while other runs wait for it; None when nothing goes into the cache.
    """

    kind: CodeKind
    path: Path
    origin: str
    size: int | None = None
    sha256: str | None = None
    cached: bool = False
    note: str = ""
    staging: Staging | None = attrs.field(default=None, eq=False, repr=False)


@attrs.frozen(kw_only=True)
class CodeStore:
    """The part of a storage that holds code.

    Attributes:
        name: Its name, for messages.
        open: Opens an object, by key.
        stat: Tells what is known of an object, by key.
        location: Says where it keeps its objects: the same key elsewhere is another object.
    """

    name: str
    open: Callable[[str], AbstractContextManager[ByteReader]]
    stat: Callable[[str], ObjectInfo]
    location: Callable[[], str]


@attrs.frozen(kw_only=True)
class Supply:
    """An archive that can be had.

    Attributes:
        kind: Where it comes from.
        name: What the user named.
        identity: What it is known by; the same for the same place, also after what is there has changed.
        open: Opens it.
        stat: Tells what is known of it now; None when that says nothing of its content.
        sha256: Digest of its bytes, where that is known beforehand.
    """

    kind: CodeKind
    name: str
    identity: Identity
    open: Callable[[], AbstractContextManager[ByteReader]]
    stat: Callable[[], ObjectInfo | None]
    sha256: str | None = None


def object_supply(store: CodeStore, key: str) -> Supply:
    """Return the supply of an object."""
    return Supply(
        kind=CodeKind.OBJECT,
        name=key,
        identity=("object", store.name, store.location(), key),
        open=lambda: store.open(key),
        stat=lambda: _stat_object(store, key),
    )


def file_supply(name: str, path: Path) -> Supply:
    """Return the supply of an archive of this machine."""
    return Supply(
        kind=CodeKind.ARCHIVE,
        name=name,
        identity=("file", str(path)),
        open=lambda: path.open("rb"),
        stat=lambda: _stat_file(path),
    )


def bytes_supply(name: str, code: bytes) -> Supply:
    """Return the supply of bytes in memory."""
    sha256 = hashlib.sha256(code).hexdigest()
    return Supply(
        kind=CodeKind.BYTES,
        name=name or "the given bytes",
        identity=("bytes", sha256),
        open=lambda: io.BytesIO(code),
        stat=lambda: None,
        sha256=sha256,
    )


def _stat_object(store: CodeStore, key: str) -> ObjectInfo:
    try:
        return store.stat(key)
    except ObjectNotFoundError:
        with store.open(key):  # its error knows which key may have been meant
            return store.stat(key)


def _stat_file(path: Path) -> ObjectInfo | None:
    """Return what tells one content of a file from another; None of one that has only just been written."""
    found = path.stat()
    if time.time() - found.st_ctime < _COARSEST:
        return None
    return ObjectInfo(
        key=str(path),
        size=found.st_size,
        etag=f"{found.st_dev}-{found.st_ino}-{found.st_ctime_ns}",
        modified=datetime.fromtimestamp(found.st_mtime_ns // 10**9, UTC),
    )


def check_digest(name: str, sha256: str, wanted: str | None) -> None:
    """Refuse bytes that are not those that were asked for.

    Raises:
        CodeError: Naming both digests.
    """
    if wanted is not None and sha256 != wanted:
        raise CodeError(
            f"code at {name!r} has the digest sha256:{sha256}, and code_digest asks for sha256:{wanted}",
            source=name,
            hint="The code was replaced, or the digest is another version's; `sha256sum` of the archive shows its own.",
        )


def check_folder(name: str, path: Path, workspace: Path, wanted: str | None) -> None:
    """Refuse a folder that a digest was given for, or that would be copied into itself.

    Raises:
        CodeError: How to mend it.
    """
    if wanted is not None:
        raise CodeError(
            f"code at {name!r} is a folder, which code_digest says nothing of",
            source=name,
            hint=f"Pack it first: `botdock pack {name}`; the digest is that of the archive.",
        )
    tree = os.path.realpath(path)
    if os.path.commonpath([tree, os.path.realpath(workspace)]) == tree:
        raise CodeError(
            f"code at {name!r} holds botdock's own state at {workspace}, so it would be copied into itself",
            source=name,
            hint="Keep the code in a folder of its own, or choose another place with BOTDOCK_HOME.",
        )


def is_script(path: Path, name: str) -> bool:
    """Whether a file is code by itself: it is text, and neither is nor is named like an archive.

    Raises:
        CodeError: It cannot be read.
    """
    try:
        head = read_head(path, HEAD) or b""
    except OSError as error:
        raise CodeError(f"code at {name!r} cannot be read: {error.strerror or error}", source=name) from error
    return bool(head) and b"\0" not in head and path.suffix != "" and not is_archive(path.name, head)


def copy_script(source: CodeSource, tree: Path, most: int) -> str:
    """Make a tree of one script, and return its digest.

    Raises:
        CodeError: It has more than `most` bytes, cannot be read, or takes in a file beside it.
        StorageError: The disk is full, or cannot be written.
    """
    try:
        data = read_head(source.path, most + 1) or b""
    except OSError as error:
        raise CodeError(
            f"code at {source.origin!r} cannot be read: {error.strerror or error}", source=source.origin
        ) from error
    if len(data) > most:
        raise CodeError(f"code at {source.origin!r} has more than {most} bytes (code.file_bytes)", source=source.origin)
    if beside := taken_from_beside(source.path, data):
        folder = shlex.quote(str(Path(source.origin).parent))
        raise CodeError(
            f"{source.origin!r} takes in {beside}, and a script that is named alone is run without what lies beside it",
            source=source.origin,
            hint=f"Run its folder: `botdock run {folder} --script {shlex.quote(source.path.name)}`.",
        )
    try:
        tree.mkdir(mode=0o755)
        (tree / source.path.name).write_bytes(data)
    except OSError as error:
        raise StorageError(f"cannot write {tree}: {error.strerror or error}") from error
    return hashlib.sha256(data).hexdigest()


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
