"""Brings a bot's code into a workspace, and looks at it before it runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import attrs

from botdock.errors import ArchiveError, BotdockError, CodeError, ObjectNotFoundError, StorageError, StorageKeyError
from botdock.model import ByteReader, Runtime, validate_key
from botdock.model.units import format_bytes
from botdock.services._location import local_path, neighbours
from botdock.services._script import settle_script
from botdock.services._workspace import Workspace, make_workspace, new_file, remove_workspace
from botdock.services.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    from botdock.config import CodeConfig

__all__ = ["CodeKind", "CodeService", "CodeSource", "Workspace"]

Meter = Callable[[int, int], None]
"""Told how far a step is: bytes so far, bytes in all (0 for not known)."""

_CHUNK = 1024 * 1024
_PER_ENTRY = 4096
"""Bytes that an archive may spend on one entry beside its contents and its name: headers, padding, extensions."""


class CodeKind(StrEnum):
    """Where code comes from."""

    FOLDER = "folder"
    ARCHIVE = "archive"
    OBJECT = "object"


@attrs.frozen(kw_only=True)
class CodeSource:
    """Code that lies on this machine, ready to be extracted.

    Attributes:
        kind: Where it comes from.
        path: The folder, the archive, or the spooled bytes of the object.
        origin: What the user named.
        size: Bytes of the object; None for the other kinds, which are read where they are.
        sha256: Digest of the object's bytes, hexadecimal; None for the other kinds.
    """

    kind: CodeKind
    path: Path
    origin: str
    size: int | None = None
    sha256: str | None = None


class CodeService:
    """Fetches, unpacks and checks code; makes and removes workspaces. Safe to use from several threads.

    Args:
        config: How large code may be.
        open_object: Opens an object of the storage's code area, by key.
        storage_name: Name of the storage, for messages.
        local_code: Whether folders and archives of this machine may be code; see `policy.local_code`.

    Example:
        >>> def tree_of(service: CodeService, file_path: str, directory: Path) -> Path:
        ...     workspace = service.prepare_workspace(directory)
        ...     service.extract_code(service.download_code(file_path, workspace.spool), workspace.code)
        ...     return workspace.code
    """

    def __init__(
        self,
        config: CodeConfig,
        *,
        open_object: Callable[[str], AbstractContextManager[ByteReader]],
        storage_name: str,
        local_code: bool,
    ) -> None:
        self._config = config
        self._open_object = open_object
        self._storage_name = storage_name
        self._local_code = local_code

    def prepare_workspace(self, directory: Path) -> Workspace:
        """Make the folder of an execution, with its result file and a folder for generated files.

        Raises:
            StorageError: It is there already, or the disk refuses; nothing is left.
        """
        return make_workspace(directory)

    def cleanup_workspace(self, workspace: Workspace, *, timeout: float = 60.0) -> None:
        """Remove a workspace, whatever the bot made of it; nothing happens when it is gone.

        Args:
            workspace: What `prepare_workspace` returned.
            timeout: Seconds after which it gives up.

        Raises:
            StorageError: Something stays.
        """
        remove_workspace(workspace, timeout=timeout)

    def download_code(self, file_path: str, spool: Path, progress: Meter | None = None) -> CodeSource:
        """Find code: a folder or an archive of this machine is left where it is, an object is streamed to `spool`.

        Args:
            file_path: A folder, an archive, or a key of the storage, tried in this order.
            spool: A file to be made for an object; its folder must be there.
            progress: Told how far the download is.

        Raises:
            CodeError: There is nothing of that name, or it cannot be code.
            ObjectNotFoundError: The same, where only the storage is looked at.
            StorageKeyError: It cannot be a key, where only the storage is looked at.
            StorageError: The storage, or the disk under the spool, could not do its part.
        """
        if not file_path:
            raise CodeError("no code is named", source="", hint="Give a folder, an archive, or a key of the storage.")
        found = local_path(file_path) if self._local_code else None
        if found is None:
            return self._download(file_path, spool, progress)
        path, is_folder = found
        if is_folder and spool.resolve().is_relative_to(path.resolve()):
            raise CodeError(
                f"code at {file_path!r} holds botdock's own state at {spool.parent}, so it would be copied into itself",
                source=file_path,
                hint="Keep the code in a folder of its own, or choose another place with BOTDOCK_HOME.",
            )
        return CodeSource(kind=CodeKind.FOLDER if is_folder else CodeKind.ARCHIVE, path=path, origin=file_path)

    def extract_code(self, source: CodeSource, destination: Path, progress: Meter | None = None) -> None:
        """Unpack or copy code into a new folder, which appears when it is complete; spooled bytes are removed then.

        Raises:
            ArchiveError: The archive is refused; nothing of it is visible.
            StorageError: The disk is full, or cannot be written.
        """
        from botdock.archive import ArchiveLimits, copy_tree, extract

        limits = ArchiveLimits(**attrs.asdict(self._config))
        if source.kind is CodeKind.FOLDER:
            copy_tree(source.path, destination, limits=limits, progress=progress)
            return
        try:
            extract(source.path, destination, limits=limits, progress=progress)
        except ArchiveError as error:
            raise _naming_the_origin(error, source) from error
        if source.kind is CodeKind.OBJECT:
            source.path.unlink(missing_ok=True)

    def read_manifest(self, tree: Path) -> Manifest | None:
        """Return what the code says of itself; see `botdock.services.manifest.read_manifest`."""
        return read_manifest(tree)

    def validate_code_structure(self, tree: Path, runtime: Runtime, entrypoint: str, script: str | None) -> str:
        """Return the script to run, relative to the tree, after the runtime has looked at it.

        Args:
            tree: The code.
            runtime: What is to run it.
            entrypoint: `bot` or `backtest`.
            script: What the user or the manifest named; None for one of the runtime's usual names.

        Raises:
            CodeError: There is no such script within the tree, or the runtime cannot run it.
        """
        name = settle_script(tree, runtime, entrypoint, script)
        if problems := list(runtime.check(tree, name)):
            raise CodeError("\n".join(problems), source=str(tree))
        return name

    def _download(self, key: str, spool: Path, progress: Meter | None) -> CodeSource:
        try:
            with self._open_object(validate_key(key)) as reader:
                return self._spool(key, reader, spool, progress or (lambda *_: None))
        except (StorageKeyError, ObjectNotFoundError) as error:
            raise self._missing(key, error) from None

    def _spool(self, key: str, reader: ByteReader, spool: Path, progress: Meter) -> CodeSource:
        try:
            with new_file(spool) as file:
                digest, size = self._copy(key, reader, file, progress)
        except OSError as error:
            raise _spool_error(key, spool, error) from error
        return CodeSource(kind=CodeKind.OBJECT, path=spool, origin=key, size=size, sha256=digest)

    def _copy(self, key: str, reader: ByteReader, file: BinaryIO, progress: Meter) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        while chunk := reader.read(_CHUNK):
            size += len(chunk)
            self._check_size(key, size)
            digest.update(chunk)
            file.write(chunk)
            progress(size, 0)
        return digest.hexdigest(), size

    def _check_size(self, key: str, size: int) -> None:
        config = self._config
        if size > config.total_bytes + config.entries * (config.name_bytes + _PER_ENTRY):
            raise CodeError(
                f"object {key!r} is larger than any archive of {format_bytes(config.total_bytes)} can be",
                source=key,
                hint="The bound follows from code.total_bytes and code.entries in botdock.toml.",
            )

    def _missing(self, file_path: str, error: StorageKeyError | ObjectNotFoundError) -> BotdockError:
        if not self._local_code:
            error.hint = error.hint or "Only the storage is looked at: policy.local_code is off."
            return error
        where = error.message
        if isinstance(error, StorageKeyError):
            where = f"it cannot be a key in {self._storage_name}: {error.message.removeprefix('storage key ')}"
        near = neighbours(file_path)
        hint = f"Did you mean {' or '.join(near)}?" if near else error.hint
        said = f"no folder or archive at {file_path[:200]!r} on this machine, and {where}"
        return CodeError(said, source=file_path, hint=hint)


def _spool_error(key: str, spool: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot fetch {key!r} into {spool}: {error.strerror or error}",
        key=key,
        backend=str(spool.parent),
        hint="Free some space, or choose another place with BOTDOCK_HOME.",
    )


def _naming_the_origin(error: ArchiveError, source: CodeSource) -> ArchiveError:
    """Name the object in place of its spool, which tells a user nothing."""
    message = error.message.replace(str(source.path), source.origin)
    return ArchiveError(message, entry=error.entry, limit=error.limit, hint=error.hint)
