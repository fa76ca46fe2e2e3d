from __future__ import annotations

import io
import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import StorageKeyError
from botdock.model import StorageBackend
from botdock_storage_local_fs import _files, _folders
from botdock_storage_local_fs.backend import LocalFsBackend
from botdock_testing import StorageContract


class TestLocalFs(StorageContract):
    nests_keys = False

    @pytest.fixture
    def backend(self, tmp_path: Path) -> StorageBackend:
        return LocalFsBackend(tmp_path / "root", "code")


class CaseIgnoringOs:
    """The module `os`, as a file system makes it look that ignores case and the form of accents, and keeps both."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        return os.open(_there(path, dir_fd), flags, mode, dir_fd=dir_fd)

    def stat(self, path: str, *, dir_fd: int, follow_symlinks: bool) -> os.stat_result:
        return os.stat(_there(path, dir_fd), dir_fd=dir_fd, follow_symlinks=follow_symlinks)

    def mkdir(self, path: str, mode: int, *, dir_fd: int) -> None:
        os.mkdir(_there(path, dir_fd), mode, dir_fd=dir_fd)

    def rmdir(self, path: str, *, dir_fd: int) -> None:
        os.rmdir(_there(path, dir_fd), dir_fd=dir_fd)

    def unlink(self, path: str, *, dir_fd: int) -> None:
        os.unlink(_there(path, dir_fd), dir_fd=dir_fd)

    def rename(self, old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        os.rename(old, _there(new, dst_dir_fd), src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)


def _there(path: str | Path, folder: int | None) -> str | Path:
    if folder is None or isinstance(path, Path):
        return path
    with os.scandir(folder) as found:
        names = [item.name for item in found]
    return next((name for name in names if _folded(name) == _folded(path)), path)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


class TestLocalFsThatIgnoresCase(StorageContract):
    nests_keys = False
    distinguishes_case = False
    examples = 5

    @pytest.fixture
    def backend(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StorageBackend:
        for module in (_files, _folders):
            monkeypatch.setattr(module, "os", CaseIgnoringOs())
        return LocalFsBackend(tmp_path / "root", "code")

    def test_a_name_that_vanishes_during_the_look_is_accepted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = iter([True, False])
        monkeypatch.setattr(_folders, "_has_alias", lambda *_: next(found))
        folder = os.open(tmp_path, os.O_RDONLY)
        try:
            _folders.refuse_alias(folder, "name")
        finally:
            os.close(folder)
        assert next(found, None) is None

    def test_the_existing_spelling_is_named(self, backend: StorageBackend) -> None:
        backend.put("Bots/Readme", io.BytesIO(b"x"))
        with pytest.raises(StorageKeyError, match="differs from 'Bots' only in case"):
            backend.put("bots/other", io.BytesIO(b"x"))
        with pytest.raises(StorageKeyError, match="differs from 'Readme' only in case"):
            backend.put("Bots/README", io.BytesIO(b"x"))
