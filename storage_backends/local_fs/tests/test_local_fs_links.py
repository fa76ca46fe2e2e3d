"""A link that was planted inside the root leads to nothing outside it."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from botdock.errors import StorageError
from botdock_storage_local_fs.backend import LocalFsBackend


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def backend(root: Path) -> LocalFsBackend:
    return LocalFsBackend(root, "code")


def put(backend: LocalFsBackend, key: str, data: bytes = b"x") -> None:
    backend.put(key, io.BytesIO(data))


def keys(backend: LocalFsBackend, prefix: str = "") -> list[str]:
    return [info.key for info in backend.list(prefix)]


def read(backend: LocalFsBackend, key: str) -> bytes:
    with backend.get(key) as reader:
        return reader.read()


@pytest.fixture
def outside(tmp_path: Path, backend: LocalFsBackend, root: Path) -> Path:
    put(backend, "inside/kept")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (root / "code/folder").symlink_to(outside)
    (root / "code/file").symlink_to(outside / "secret")
    return outside


@pytest.mark.parametrize("key", ["folder/secret", "file"])
def test_no_link_is_followed(backend: LocalFsBackend, outside: Path, key: str) -> None:
    for look in (backend.get, backend.stat, lambda key: put(backend, key)):
        with pytest.raises(StorageError, match="is a link"):
            look(key)
    assert [failure.key for failure in backend.delete([key])] == [key]
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == "secret"


def test_nothing_is_made_behind_a_link(backend: LocalFsBackend, outside: Path) -> None:
    with pytest.raises(StorageError, match="is a link"):
        put(backend, "folder/new/object")
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_links_are_not_listed(backend: LocalFsBackend, outside: Path) -> None:
    assert keys(backend) == ["inside/kept"]
    with pytest.raises(StorageError, match="is a link"):
        keys(backend, "folder/")


def test_the_folder_of_an_area_cannot_be_one(tmp_path: Path, root: Path, outside: Path) -> None:
    (root / "logs").symlink_to(outside)
    with pytest.raises(StorageError, match="is a link"):
        put(LocalFsBackend(root, "logs"), "a")


def test_the_root_may_be_one(tmp_path: Path, root: Path, outside: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    assert read(LocalFsBackend(tmp_path / "alias", "code"), "inside/kept") == b"x"


def test_a_fifo_is_refused_at_once(backend: LocalFsBackend, outside: Path, root: Path) -> None:
    os.mkfifo(root / "code/fifo")
    for look in (backend.get, backend.stat, lambda key: put(backend, key)):
        with pytest.raises(StorageError, match="not a regular file"):
            look("fifo")
    assert keys(backend) == ["inside/kept"]
