from __future__ import annotations

import errno
import io
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from botdock.errors import (
    BotdockError,
    ObjectNotFoundError,
    StorageError,
    StorageKeyError,
    StorageUnavailableError,
)
from botdock_storage_local_fs import _files
from botdock_storage_local_fs._folders import failures
from botdock_storage_local_fs.backend import LocalFsBackend

WRITER = """
import pathlib, sys
from botdock_storage_local_fs.backend import LocalFsBackend

class Slow:
    sent = False
    def read(self, size=-1):
        if not self.sent:
            self.sent = True
            return b"half"
        print("half way", flush=True)
        return sys.stdin.buffer.read()

LocalFsBackend(pathlib.Path(sys.argv[1]), "code").put("object", Slow())
"""


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


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def drafts(root: Path) -> list[Path]:
    return list((root / ".drafts").iterdir())


class TestFiles:
    def test_an_object_is_a_file_at_its_key(self, backend: LocalFsBackend, root: Path) -> None:
        put(backend, "bots/a.zip", b"PK")
        assert (root / "code/bots/a.zip").read_bytes() == b"PK"

    def test_a_file_put_there_by_hand_is_an_object(self, backend: LocalFsBackend, root: Path) -> None:
        (root / "code/mine").mkdir(parents=True)
        (root / "code/mine/bot.zip").write_bytes(b"PK")
        assert keys(backend) == ["mine/bot.zip"]
        assert read(backend, "mine/bot.zip") == b"PK"
        assert list(backend.delete(["mine/bot.zip"])) == []
        assert list((root / "code").iterdir()) == []

    def test_looking_makes_no_folder(self, backend: LocalFsBackend, root: Path) -> None:
        assert keys(backend) == []
        assert list(backend.delete(["a"])) == []
        with pytest.raises(ObjectNotFoundError):
            backend.get("a")
        assert not root.exists()

    def test_a_new_root_is_private(self, backend: LocalFsBackend, root: Path) -> None:
        put(backend, "a")
        assert root.stat().st_mode & 0o777 == 0o700

    def test_areas_know_nothing_of_each_other(self, backend: LocalFsBackend, root: Path) -> None:
        put(backend, "a")
        assert keys(LocalFsBackend(root, "logs")) == []

    def test_an_absent_key_names_its_neighbour_and_the_folder(self, backend: LocalFsBackend, root: Path) -> None:
        put(backend, "bots/hello.zip")
        with pytest.raises(ObjectNotFoundError) as caught:
            backend.get("bots/helo.zip")
        assert str(caught.value) == (
            f"no object 'bots/helo.zip' in local-fs ({root}/code)\nDid you mean bots/hello.zip?"
        )

    def test_a_folder_is_not_an_object(self, backend: LocalFsBackend) -> None:
        put(backend, "a/b")
        for look in (backend.get, backend.stat):
            with pytest.raises(ObjectNotFoundError):
                look("a")

    def test_an_empty_folder_gives_way(self, backend: LocalFsBackend, root: Path) -> None:
        (root / "code/a").mkdir(parents=True)
        put(backend, "a", b"file")
        assert read(backend, "a") == b"file"

    def test_a_folder_without_objects_is_named_when_it_is_in_the_way(self, backend: LocalFsBackend, root: Path) -> None:
        (root / "code/a/b").mkdir(parents=True)
        with pytest.raises(StorageKeyError, match="a folder of the name 'a' is in the way"):
            put(backend, "a")

    def test_the_object_in_the_way_is_named(self, backend: LocalFsBackend) -> None:
        put(backend, "a/b")
        with pytest.raises(StorageKeyError, match="the object 'a/b' is in the way"):
            put(backend, "a")
        with pytest.raises(StorageKeyError, match="the object 'a/b' is in the way"):
            put(backend, "a/b/c/d")

    def test_names_that_cannot_be_keys_are_not_listed(self, backend: LocalFsBackend, root: Path) -> None:
        put(backend, "good")
        for name in (b"new\nline", b"not-utf8-\xff", b"back\\slash"):
            Path(os.fsdecode(bytes(root / "code") + b"/" + name)).write_bytes(b"x")
        assert keys(backend) == ["good"]

    def test_keys_as_deep_as_they_can_be_need_few_descriptors(self, backend: LocalFsBackend) -> None:
        deep = "/".join("d" * 512)
        put(backend, deep)
        before = open_files()
        listing = backend.list()
        assert next(listing).key == deep
        assert open_files() == before
        assert list(backend.delete([deep])) == []
        assert keys(backend) == []

    def test_an_object_that_vanishes_during_a_listing_is_left_out(self, backend: LocalFsBackend) -> None:
        put(backend, "a/1")
        put(backend, "b/2")
        listing = backend.list()
        assert next(listing).key == "a/1"
        assert list(backend.delete(["b/2"])) == []
        assert list(listing) == []

    @pytest.mark.parametrize(("offset", "length"), [(-1, None), (0, -1)])
    def test_a_negative_range_is_refused(self, backend: LocalFsBackend, offset: int, length: int | None) -> None:
        with pytest.raises(ValueError, match="must not be negative"):
            backend.get("a", offset=offset, length=length)


class TestDrafts:
    def test_none_is_left_after_a_put(self, backend: LocalFsBackend, root: Path) -> None:
        put(backend, "a")
        with pytest.raises(StorageKeyError):
            put(backend, "a/b")
        with pytest.raises(StorageError):
            backend.put("b", io.BytesIO(b"1"), size=2)
        assert drafts(root) == []

    @pytest.mark.parametrize("call", ["write", "fsync"])
    def test_a_full_disk_leaves_nothing(
        self, backend: LocalFsBackend, root: Path, call: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(backend, "a", b"old")

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            with pytest.raises(StorageError) as caught:
                put(backend, "a", b"new")
        assert "cannot write 'a'" in caught.value.message
        assert caught.value.hint is not None
        assert "Free some space" in caught.value.hint
        assert read(backend, "a") == b"old"
        assert drafts(root) == []

    def test_folders_made_for_an_object_that_cannot_be_placed_go_away(
        self, backend: LocalFsBackend, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "rename", full)
        with pytest.raises(StorageError):
            put(backend, "new/folders/object")
        assert list((root / "code").iterdir()) == []

    def test_losing_every_race_against_deletes_is_an_error(
        self, backend: LocalFsBackend, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def gone(*_: object, **__: object) -> None:
            raise FileNotFoundError

        monkeypatch.setattr(os, "rename", gone)
        with pytest.raises(StorageError, match="keeps vanishing"):
            put(backend, "folder/object")

    def test_a_killed_writer_leaves_nothing_that_the_next_does_not_remove(self, root: Path) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            assert select.select([writer.stdout], [], [], 30)[0]
            assert writer.stdout.readline() == b"half way\n"
            put(LocalFsBackend(root, "code"), "beside")  # a living writer's draft is left alone
            assert len(drafts(root)) == 1
            writer.kill()
        successor = LocalFsBackend(root, "code")
        assert keys(successor) == ["beside"]
        put(successor, "next")
        assert drafts(root) == []

    def test_a_draft_swept_at_its_birth_is_made_again(
        self, backend: LocalFsBackend, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lock = _files._lock
        swept: list[bool] = []

        def lock_after_a_sweep(file: int, how: int) -> bool:
            if not swept:
                swept.append(True)
                backend._files.sweep()
            return lock(file, how)

        put(backend, "first")
        monkeypatch.setattr(_files, "_lock", lock_after_a_sweep)
        put(backend, "a", b"whole")
        assert read(backend, "a") == b"whole"


class TestFailures:
    @pytest.mark.parametrize(
        ("number", "kind", "says"),
        [
            (errno.EACCES, StorageError, "Let this user write there"),
            (errno.EDQUOT, StorageError, "Free some space"),
            (errno.EXDEV, StorageError, "one file system"),
            (errno.EMFILE, StorageError, "ulimit -n"),
            (errno.ESTALE, StorageUnavailableError, "cannot read 'k' in here"),
            (errno.ENAMETOOLONG, StorageKeyError, "too long for this file system"),
            (errno.EIO, StorageError, "Input/output error"),
        ],
    )
    def test_an_os_error_becomes_one_clear_error(self, number: int, kind: type[BotdockError], says: str) -> None:
        with pytest.raises(kind, match=says), failures("read", key="k", backend="here"):
            raise OSError(number, os.strerror(number))

    def test_a_root_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match="cannot write 'a'"):
            put(LocalFsBackend(tmp_path / "file", "code"), "a")
        with pytest.raises(StorageError, match="cannot read 'a'"):
            LocalFsBackend(tmp_path / "file", "code").get("a")
