"""A storage of code in memory that counts what is asked of it, and can go away."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from botdock.config import CodeConfig, Policies, Policy
from botdock.errors import StorageUnavailableError
from botdock.model import ObjectInfo, ObjectReader
from botdock.services.code import CodeService, CodeStore, Workspace, archive_limits
from botdock.services.code.fetching import Meter
from botdock.services.code_cache import CodeCache
from botdock_testing.memory_storage import MemoryBackend


class CountingStore(MemoryBackend):
    """Keeps objects in memory.

    Attributes:
        gets: How many objects were opened.
        stats: How many were looked at.
        away: Whether it does not answer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gets = 0
        self.stats = 0
        self.away = False

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> ObjectReader:
        self._answer()
        self.gets += 1
        return super().get(key, offset=offset, length=length)

    def stat(self, key: str) -> ObjectInfo:
        self._answer()
        self.stats += 1
        return super().stat(key)

    def put_code(self, key: str, files: Mapping[str, str]) -> bytes:
        """Store files as a zip, and return its bytes."""
        packed = zipped(files)
        self.put(key, io.BytesIO(packed))
        return packed

    @property
    def code(self) -> CodeStore:
        """What a code service needs of it."""
        return CodeStore(name="memory", open=self.get, stat=self.stat, location=lambda: self.location)

    def _answer(self) -> None:
        if self.away:
            raise StorageUnavailableError("the storage does not answer", backend="memory")


def zipped(files: Mapping[str, str]) -> bytes:
    """Return a zip of text files; the same files make the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return packed.getvalue()


class CodeRuns:
    """What an orchestrator does with code, over one state folder; each call is as if another runner made it.

    Args:
        home: The state folder.
        store: Where the code is.
        config: How large it may be.
    """

    def __init__(
        self,
        home: Path,
        store: CodeStore,
        config: CodeConfig | None = None,
    ) -> None:
        self.home = home
        self.config = config or CodeConfig()
        self.store = store
        self.reports: list[str] = []
        self.notes: list[str] = []
        self.local_code = True
        self._runs = 0

    def cache(self) -> CodeCache:
        """Return the cache, as a new process sees it."""
        return CodeCache(
            self.home / "cache",
            limit=self.config.cache_bytes,
            limits=attrs.asdict(archive_limits(self.config)),
            patience=30,
        )

    def service(self) -> CodeService:
        """Return a code service, as a new process makes it."""
        return CodeService(
            self.config,
            store=self.store,
            policies=Policies(Policy(local_code=self.local_code)),
            cache=self.cache() if self.config.cache_bytes else None,
            on_operation=lambda name, *_: self.reports.append(name),
        )

    def start(
        self,
        file_path: str,
        *,
        name: str = "",
        service: CodeService | None = None,
        shared: bool = True,
        code: bytes = b"",
        code_digest: str | None = None,
        progress: Meter | None = None,
    ) -> Workspace:
        """Bring code into a new workspace; what fails leaves none."""
        service = service or self.service()
        self._runs += 1
        workspace = service.prepare_workspace(self.home / "executions" / (name or f"run{self._runs}") / "workspace")
        try:
            source = service.download_code(file_path, workspace, code=code, code_digest=code_digest, progress=progress)
            self.notes.append(source.note)
            return service.extract_code(source, workspace, shared=shared, progress=progress)
        except BaseException:
            service.cleanup_workspace(workspace)
            raise

    def damage(self, tree: Path) -> None:
        """Change a tree of the cache, as a user never should."""
        tree.chmod(0o755)
        (tree / "damage").write_text("")

    def clear(self, folder: Path) -> None:
        """Remove a folder with read-only trees in it, as a user never should."""
        for parent, _, _ in os.walk(folder):
            Path(parent).chmod(0o755)
        shutil.rmtree(folder)

    def end(self, workspace: Workspace) -> None:
        """Remove a workspace."""
        self.service().cleanup_workspace(workspace)

    def run(self, file_path: str, **how: Any) -> dict[str, str]:
        """Bring code into a workspace, return what is in it, and remove it."""
        workspace = self.start(file_path, **how)
        try:
            return texts(workspace.code)
        finally:
            self.end(workspace)

    def left_over(self) -> list[str]:
        """Return what no run needs: what was staged, evicted trees, pins, and records of nothing."""
        cache = self.home / "cache"
        found = [path for part in ("drafts", "aside") for path in (cache / part).glob("*")]
        found += list(cache.glob("leases/*/*"))
        found += [path for path in cache.glob("code/*.json") if not path.with_suffix("").is_dir()]
        return [str(path.relative_to(cache)) for path in found]


def texts(tree: Path) -> dict[str, str]:
    """Return the text files of a tree by name."""
    return {str(path.relative_to(tree)): path.read_text() for path in sorted(tree.rglob("*")) if path.is_file()}
