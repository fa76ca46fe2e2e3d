"""Brings a bot's code into a workspace, and looks at it before it runs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from botdock._log import logger
from botdock.archive import ArchiveLimits, copy_tree, extract, remove_tree
from botdock.config import Policies
from botdock.errors import ArchiveError, BotdockError, CodeError, ObjectNotFoundError, StorageKeyError
from botdock.model import Runtime, validate_key
from botdock.model.executable import sha256_of
from botdock.model.units import format_bytes
from botdock.services.code.fetching import Fetch, Meter
from botdock.services.code.script import find_script
from botdock.services.code.sources import (
    CodeKind,
    CodeSource,
    CodeStore,
    Supply,
    bytes_supply,
    check_digest,
    check_folder,
    copy_script,
    file_supply,
    is_script,
    local_path,
    neighbours,
    object_supply,
)
from botdock.services.code.workspace import Workspace, failure, make_workspace

if TYPE_CHECKING:
    from botdock.config import CodeConfig
    from botdock.services._metering import Report
    from botdock.services.code_cache import CodeCache

_SHOWN = 5
"""Names that a line repeats."""
_PER_ENTRY = 4096
"""Bytes that an archive may spend on one entry beside its contents and its name: headers, padding, extensions."""


def archive_limits(config: CodeConfig) -> ArchiveLimits:
    """Return the limits of an archive that a configuration sets."""
    return ArchiveLimits(**{field.name: getattr(config, field.name) for field in attrs.fields(ArchiveLimits)})


class CodeService:
    """Fetches, unpacks and checks code; makes and removes workspaces. Safe to use from several threads.

    Args:
        config: How large code may be.
        store: The storage's code area.
        policies: Say whether folders, archives and bytes of this machine may be code; None means that they may.
            Where not, the storage is always asked for a key, even if `code_digest` says what it holds.
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
        policies: Policies | None = None,
        cache: CodeCache | None = None,
        on_operation: Report | None = None,
    ) -> None:
        self._config = config
        self._limits = archive_limits(config)
        self._store = store
        self._policies = policies or Policies()
        self._local_code = not self._policies.only_storage
        self._report: Report = on_operation or (lambda *_: None)
        self.cache = cache

    def prepare_workspace(self, directory: Path) -> Workspace:
        """Make the folder of an execution, with its result file and a folder for generated files.

        Raises:
            StorageError: It is there already, or the disk refuses; nothing is left.
        """
        return make_workspace(directory)

    def cleanup_workspace(self, workspace: Workspace, *, timeout: float = 60.0) -> None:
        """Remove a workspace, also one that a bot has spoilt, and let go of its code; nothing happens when it is gone.

        A tree of the cache is not the workspace's own, and stays.

        Args:
            workspace: What `prepare_workspace` or `extract_code` returned.
            timeout: Seconds after which it gives up.

        Raises:
            StorageError: Something stays, because it is another user's, or because a process still writes.
        """
        try:
            remove_tree(workspace.root, timeout=timeout)
        except OSError as error:
            raise failure("remove", workspace.root, error) from error
        finally:
            workspace.held.close()

    def check_location(self, file_path: str, *, ask_storage: bool) -> None:
        """Refuse code that is not there, without fetching it.

        Args:
            file_path: As in `download_code`.
            ask_storage: Whether the storage is asked for a key; without, only what cannot be a key is refused.

        Raises:
            CodeError: Nothing has that name, or it cannot be code.
            ObjectNotFoundError: Nothing has that name, where only the storage is looked at.
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
            file_path: A folder, an archive, a script, or a key of the storage, tried in this order.
            workspace: What it is for; where there is no cache, an archive is spooled into it.
            code: The archive itself, in place of `file_path`, which then only names it.
            code_digest: SHA-256 that the archive must have, hexadecimal, after `sha256:` or not.
            progress: Told how far the download is.

        Raises:
            CodeError: Nothing has that name, it cannot be code, or it has another digest.
            PolicyError: `code` is given, where only the storage is looked at.
            ObjectNotFoundError: Nothing has that name, where only the storage is looked at.
            StorageKeyError: It cannot be a key, where only the storage is looked at.
            StorageError: The storage, the cache, or the disk under the spool could not do its part.
        """
        wanted = sha256_of(code_digest) if code_digest else None
        if code:
            self._policies.check_local_code(f"code at {file_path!r} is given as bytes")
            return self._fetch(bytes_supply(file_path, code), workspace, wanted, progress)
        if not file_path:
            raise CodeError("no code is named", source="", hint="Give a folder, an archive, or a key of the storage.")
        found = local_path(file_path) if self._local_code else None
        if found is None:
            return self._download(file_path, workspace, wanted, progress)
        path, is_folder = found
        if is_folder:
            check_folder(file_path, path, workspace.root, wanted)
            return CodeSource(kind=CodeKind.FOLDER, path=path, origin=file_path)
        if wanted is None and is_script(path, file_path):
            return CodeSource(kind=CodeKind.SCRIPT, path=path, origin=file_path)
        return self._fetch(file_supply(file_path, path), workspace, wanted, progress)

    def extract_code(
        self, source: CodeSource, workspace: Workspace, *, shared: bool = False, progress: Meter | None = None
    ) -> Workspace:
        """Bring code into a workspace, and return the workspace with it: `code` appears when it is complete.

        Args:
            source: What `download_code` returned; its spooled bytes are removed.
            workspace: The workspace.
            shared: Whether the code may be a tree of the cache, used where it lies: only where the bot cannot write
                to it, as any user. Without, it is a copy.
            progress: Told how far it is.

        Raises:
            ArchiveError: The archive is refused; nothing of it is visible.
            StorageError: The disk is full, or cannot be written.
        """
        tree = source.path
        if source.kind is CodeKind.SCRIPT:
            digest = copy_script(source, workspace.code, self._config.file_bytes)
            return attrs.evolve(workspace, script=tree.name, digest=digest)
        if source.staging and source.sha256 and self.cache:
            with source.staging.held:
                self._unpack(source, source.staging.tree, progress)
                tree = self.cache.publish(source.sha256, source.staging, workspace.root)
            self.cache.tidy()
        elif not source.cached and source.kind is not CodeKind.FOLDER:
            self._unpack(source, workspace.code, progress)
            return workspace
        if shared and source.kind is not CodeKind.FOLDER:
            return attrs.evolve(workspace, code=tree)
        is_project = source.kind is CodeKind.FOLDER
        report = copy_tree(tree, workspace.code, limits=self._limits, progress=progress, ignore=is_project)
        return attrs.evolve(workspace, note=_told(report.left_out) if report.left_out else "", digest=report.sha256)

    def validate_code_structure(self, tree: Path, runtime: Runtime, entrypoint: str, script: str | None) -> str:
        """Return the script to run, relative to the tree, after the runtime has looked at it.

        Args:
            tree: The code.
            runtime: What is to run it.
            entrypoint: `bot` or `backtest`.
            script: What the user or the manifest named; None for one of the runtime's usual names.

        Raises:
            CodeError: The script is not within the tree, or the runtime cannot run it.
        """
        name = find_script(tree, runtime, entrypoint, script)
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
        if supply.sha256:
            check_digest(supply.name, supply.sha256, wanted)
            wanted = supply.sha256
        fetch = Fetch(
            supply=supply,
            workspace=workspace,
            wanted=wanted,
            trusts_digest=self._local_code,
            progress=progress or (lambda *_: None),
            check_size=self._check_size,
        )
        if self.cache is None:
            return fetch.without_cache()
        started = time.perf_counter()
        source = fetch.through(self.cache)
        operation = "cache.hit" if source.cached else "cache.miss"
        self._report(operation, time.perf_counter() - started, source.size or 0, True)  # noqa: FBT003 - the report's own form
        return source

    def _check_size(self, name: str, size: int) -> None:
        """Refuse an archive of which so much has come already that nothing it holds could be within the limits."""
        config = self._config
        if size > config.total_bytes + config.entries * (config.name_bytes + _PER_ENTRY):
            raise CodeError(
                f"code at {name!r} is larger than any archive of {format_bytes(config.total_bytes)} can be",
                source=name,
                hint="The bound follows from code.total_bytes and code.entries in botdock.toml.",
            )

    def _unpack(self, source: CodeSource, destination: Path, progress: Meter | None) -> None:
        """Unpack spooled bytes, which are removed then; a refusal names what the user named, not the spool."""
        try:
            extract(source.path, destination, limits=self._limits, progress=progress)
        except ArchiveError as error:
            message = error.message.replace(str(source.path), source.origin)
            raise ArchiveError(message, entry=error.entry, limit=error.limit, hint=error.hint) from error
        source.path.unlink(missing_ok=True)

    def _missing(self, file_path: str, error: StorageKeyError | ObjectNotFoundError) -> BotdockError:
        if not self._local_code:
            error.hint = error.hint or f"Only the storage is looked at: {self._policies.only_storage}."
            return error
        where = error.message
        if isinstance(error, StorageKeyError):
            where = f"it cannot be a key in {self._store.name}: {error.message.removeprefix('storage key ')}"
        near = neighbours(file_path)
        hint = f"Did you mean {' or '.join(near)}?" if near else error.hint
        said = f"no folder or archive at {file_path[:200]!r} on this machine, and {where}"
        return CodeError(said, source=file_path, hint=hint)


def _told(paths: tuple[str, ...]) -> str:
    """Say in one line what of a folder was left out."""
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return f"left out, since it is not code: {', '.join(map(ascii, paths[:_SHOWN]))}{more}"
