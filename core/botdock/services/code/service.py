"""Brings a bot's code into a workspace, and looks at it before it runs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from botdock._log import logger
from botdock.errors import BotdockError, CodeError, ObjectNotFoundError, PolicyError, StorageKeyError
from botdock.model import Runtime, validate_key
from botdock.model.executable import sha256_of
from botdock.services.code.fetching import Fetch, Meter, spool
from botdock.services.code.location import local_path, neighbours
from botdock.services.code.manifest import Manifest, read_manifest
from botdock.services.code.script import settle_script
from botdock.services.code.supply import (
    CodeKind,
    CodeSource,
    CodeStore,
    Supply,
    bytes_supply,
    check_digest,
    file_supply,
    object_supply,
)
from botdock.services.code.unpacking import Unpacking
from botdock.services.code.workspace import Workspace, make_workspace, remove_workspace

if TYPE_CHECKING:
    from botdock.config import CodeConfig
    from botdock.services._metering import Report
    from botdock.services.code_cache import CodeCache

_SHOWN = 5
"""Names that a line repeats."""


class CodeService:
    """Fetches, unpacks and checks code; makes and removes workspaces. Safe to use from several threads.

    Args:
        config: How large code may be.
        store: The storage's code area.
        local_code: Whether folders, archives and bytes of this machine may be code; see `policy.local_code`. Without,
            the storage is always asked for a key, even if `code_digest` says what it holds.
        cache: Where unpacked archives are kept; None means that each run fetches and unpacks its own.
        on_operation: Told of each archive that was found in the cache or was not: `cache.hit` or `cache.miss`; the
            seconds until then; bytes fetched; success.

    Example:
        >>> def tree_of(service: CodeService, file_path: str, directory: Path) -> Path:
        ...     workspace = service.prepare_workspace(directory)
        ...     source = service.download_code(file_path, workspace)
        ...     return service.extract_code(source, workspace).code
    """

    def __init__(
        self,
        config: CodeConfig,
        *,
        store: CodeStore,
        local_code: bool,
        cache: CodeCache | None = None,
        on_operation: Report | None = None,
    ) -> None:
        self._unpacking = Unpacking(config)
        self._store = store
        self._local_code = local_code
        self._report: Report = on_operation or (lambda *_: None)
        self.cache = cache

    def prepare_workspace(self, directory: Path) -> Workspace:
        """Make the folder of an execution, with its result file and a folder for generated files.

        Raises:
            StorageError: It is there already, or the disk refuses; nothing is left.
        """
        return make_workspace(directory)

    def cleanup_workspace(self, workspace: Workspace, *, timeout: float = 60.0) -> None:
        """Remove a workspace, whatever the bot made of it, and let go of its code; nothing happens when it is gone.

        A tree of the cache is not the workspace's own, and stays.

        Args:
            workspace: What `prepare_workspace` or `extract_code` returned.
            timeout: Seconds after which it gives up.

        Raises:
            StorageError: Something stays.
        """
        try:
            remove_workspace(workspace, timeout=timeout)
        finally:
            workspace.held.close()

    def check_location(self, file_path: str, *, ask_storage: bool) -> None:
        """Refuse code that is not there, without fetching it.

        Args:
            file_path: As in `download_code`.
            ask_storage: Whether the storage is asked for a key; without, only what cannot be a key is refused.

        Raises:
            CodeError: There is nothing of that name, or it cannot be code.
            ObjectNotFoundError: There is nothing of that name, where only the storage is looked at.
            StorageKeyError: It cannot be a key, where only the storage is looked at.
            StorageError: The storage could not do its part.
        """
        if self._local_code and local_path(file_path) is not None:
            return
        try:
            validate_key(os.path.expanduser(file_path) if self._local_code else file_path)  # noqa: PTH111 - as local_path
            if ask_storage:
                object_supply(self._store, file_path).stat()
        except (StorageKeyError, ObjectNotFoundError) as error:
            raise self._missing(file_path, error) from None

    def download_code(
        self,
        file_path: str,
        workspace: Workspace,
        *,
        code: bytes = b"",
        code_digest: str | None = None,
        progress: Meter | None = None,
    ) -> CodeSource:
        """Find code: a folder stays where it is, an archive is looked for in the cache and spooled if it is not there.

        Args:
            file_path: A folder, an archive, or a key of the storage, tried in this order.
            workspace: What it is for; where there is no cache, an archive is spooled into it.
            code: The archive itself, in place of `file_path`, which then only names it.
            code_digest: SHA-256 that the archive must have, hexadecimal, after `sha256:` or not.
            progress: Told how far the download is.

        Raises:
            CodeError: There is nothing of that name, it cannot be code, or it has another digest.
            PolicyError: `code` is given, where only the storage is looked at.
            ObjectNotFoundError: There is nothing of that name, where only the storage is looked at.
            StorageKeyError: It cannot be a key, where only the storage is looked at.
            StorageError: The storage, the cache, or the disk under the spool could not do its part.
        """
        wanted = sha256_of(code_digest) if code_digest else None
        if code and not self._local_code:
            raise PolicyError(
                f"code at {file_path!r} is given as bytes, and only code of the storage is allowed here",
                setting="policy.local_code",
            )
        if code:
            return self._fetch(bytes_supply(file_path, code), workspace, wanted, progress)
        if not file_path:
            raise CodeError("no code is named", source="", hint="Give a folder, an archive, or a key of the storage.")
        found = local_path(file_path) if self._local_code else None
        if found is None:
            return self._download(file_path, workspace, wanted, progress)
        path, is_folder = found
        if is_folder:
            _check_folder(file_path, path, workspace, wanted)
            return CodeSource(kind=CodeKind.FOLDER, path=path, origin=file_path)
        return self._fetch(file_supply(file_path, path), workspace, wanted, progress)

    def extract_code(
        self, source: CodeSource, workspace: Workspace, *, shared: bool = False, progress: Meter | None = None
    ) -> Workspace:
        """Bring code into a workspace, and return the workspace with it: `code` appears when it is complete.

        Args:
            source: What `download_code` returned; its spooled bytes are removed.
            workspace: The workspace.
            shared: Whether the code may be a tree of the cache, used where it lies: only where the bot cannot write
                to it, whoever it runs as. Without, it is a copy.
            progress: Told how far it is.

        Raises:
            ArchiveError: The archive is refused; nothing of it is visible.
            StorageError: The disk is full, or cannot be written.
        """
        if source.kind is CodeKind.FOLDER:
            left_out = self._unpacking.copy(source.path, workspace.code, progress)
            return attrs.evolve(workspace, note=_left_out(left_out))
        if source.filling is None and not source.cached:
            self._unpacking.unpack(source, source.path, workspace.code, progress)
            return workspace
        tree = source.path
        if source.filling is not None:
            tree = source.filling.publish(lambda archive, to: self._unpacking.unpack(source, archive, to, progress))
        if shared:
            return attrs.evolve(workspace, code=tree)
        self._unpacking.copy(tree, workspace.code, progress)
        return workspace

    def read_manifest(self, tree: Path) -> Manifest | None:
        """Return what the code says of itself; see `botdock.services.code.manifest.read_manifest`."""
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
        try:
            problems = runtime.problems(tree, name)
        except Exception as error:  # noqa: BLE001 - a plugin's own; what a check cannot tell is not the bot's fault
            logger.bind(runtime=runtime.name, script=name, error=repr(error)[:500]).warning("check of a script failed")
            return name
        if problems:
            raise CodeError("\n".join(problems), source=str(tree))
        return name

    def _download(self, key: str, workspace: Workspace, wanted: str | None, progress: Meter | None) -> CodeSource:
        try:
            return self._fetch(object_supply(self._store, validate_key(key)), workspace, wanted, progress)
        except (StorageKeyError, ObjectNotFoundError) as error:
            raise self._missing(key, error) from None

    def _fetch(self, supply: Supply, workspace: Workspace, wanted: str | None, progress: Meter | None) -> CodeSource:
        meter = progress or (lambda *_: None)
        if supply.sha256:
            check_digest(supply.name, supply.sha256, wanted)
            wanted = supply.sha256
        if self.cache is None:
            return self._fetch_uncached(supply, workspace, wanted, meter)
        started = time.perf_counter()
        fetch = Fetch(
            cache=self.cache,
            supply=supply,
            workspace=workspace,
            wanted=wanted,
            trusts_digest=self._local_code,
            progress=meter,
            check_size=self._unpacking.check_size,
        )
        source = fetch.run()
        operation = "cache.hit" if source.cached else "cache.miss"
        self._report(operation, time.perf_counter() - started, source.size or 0, True)  # noqa: FBT003 - the report's own form
        return source

    def _fetch_uncached(self, supply: Supply, workspace: Workspace, wanted: str | None, meter: Meter) -> CodeSource:
        spooled = spool(supply, workspace.spool, self._unpacking.check_size, meter, 0)
        try:
            check_digest(supply.name, spooled.sha256, wanted)
        except CodeError:
            workspace.spool.unlink()
            raise
        return CodeSource(
            kind=supply.kind, path=workspace.spool, origin=supply.name, size=spooled.size, sha256=spooled.sha256
        )

    def _missing(self, file_path: str, error: StorageKeyError | ObjectNotFoundError) -> BotdockError:
        if not self._local_code:
            error.hint = error.hint or "Only the storage is looked at: policy.local_code is off."
            return error
        where = error.message
        if isinstance(error, StorageKeyError):
            where = f"it cannot be a key in {self._store.name}: {error.message.removeprefix('storage key ')}"
        near = neighbours(file_path)
        hint = f"Did you mean {' or '.join(near)}?" if near else error.hint
        said = f"no folder or archive at {file_path[:200]!r} on this machine, and {where}"
        return CodeError(said, source=file_path, hint=hint)


def _left_out(paths: tuple[str, ...]) -> str:
    """Say in one line what of a folder was left out; empty where nothing was."""
    if not paths:
        return ""
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return f"left out devices, pipes and sockets, which are not code: {', '.join(map(ascii, paths[:_SHOWN]))}{more}"


def _check_folder(file_path: str, path: Path, workspace: Workspace, wanted: str | None) -> None:
    if wanted is not None:
        raise CodeError(
            f"code at {file_path!r} is a folder, which code_digest says nothing of",
            source=file_path,
            hint=f"Pack it first: `botdock pack {file_path}`; the digest is that of the archive.",
        )
    if workspace.root.resolve().is_relative_to(path.resolve()):
        raise CodeError(
            f"code at {file_path!r} holds botdock's own state at {workspace.root}, so it would be copied into itself",
            source=file_path,
            hint="Keep the code in a folder of its own, or choose another place with BOTDOCK_HOME.",
        )
