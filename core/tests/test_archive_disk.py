"""What the disk may say while something is unpacked, copied or packed: a `StorageError`, and nothing left."""

from __future__ import annotations

import errno
import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from botdock.archive import copy_tree, extract, pack
from botdock.errors import StorageError
from botdock_testing.archives import Member, tar_of, write_tree, zip_of

MEMBERS = [
    Member("a", content=os.urandom(2 << 20)),
    Member("d/b", content=b"b"),
    Member("l", kind="symlink", target="a"),
]
ZIP, TAR, GZ = zip_of(MEMBERS), tar_of(MEMBERS), tar_of(MEMBERS, compression="gz")

each = pytest.mark.parametrize("data", [ZIP, TAR, GZ], ids=["zip", "tar", "tar.gz"])


class Pipe:
    """A reader that can only be read."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int = -1, /) -> bytes:
        return self._file.read(size)


WRITES = ["open", "write", "fchmod", "mkdir", "chmod", "symlink"]


@pytest.mark.parametrize("call", WRITES)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES, errno.EROFS])
def test_whatever_the_disk_says_is_a_storage_error(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = write_tree(tmp_path / "tree", {"d": {"f": b"x"}})
    (tree / "l").symlink_to("d")
    place = tmp_path / "place"
    place.mkdir()
    real = getattr(os, call)

    def broken(*arguments: object, **more: object) -> object:
        if call == "open" and not (len(arguments) > 1 and isinstance(arguments[1], int) and arguments[1] & os.O_CREAT):
            return real(*arguments, **more)
        if call == "mkdir" and "dir_fd" not in more:
            return real(*arguments, **more)
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, broken)
        with pytest.raises(StorageError) as caught:
            copy_tree(tree, place / "out")
    assert ("Free space" in str(caught.value)) == (number in {errno.ENOSPC, errno.EDQUOT})
    assert str(place / "out") in str(caught.value)
    assert list(place.iterdir()) == []


def test_a_rename_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(StorageError):
        extract(io.BytesIO(TAR), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_no_descriptor_left_for_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", broken)
        with pytest.raises(StorageError, match="Too many open files"):
            extract(io.BytesIO(TAR), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, chunk: write(descriptor, bytes(chunk[:100_000])))
    extract(io.BytesIO(TAR), tmp_path / "out")
    assert (tmp_path / "out" / "a").read_bytes() == MEMBERS[0].content


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.getuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], check=False).returncode
    ):
        pytest.skip("a small file system can only be mounted by root, with CAP_SYS_ADMIN")
    yield disk
    subprocess.run(["umount", disk], check=True)


@each
def test_a_full_disk(data: bytes, small_disk: Path) -> None:
    with pytest.raises(StorageError, match="No space left") as caught:
        extract(io.BytesIO(data), small_disk / "out")
    assert caught.value.hint is not None
    assert list(small_disk.iterdir()) == []


def test_a_disk_too_small_for_a_zip_that_comes_as_a_stream(small_disk: Path) -> None:
    with pytest.raises(StorageError, match="No space left"):
        extract(Pipe(ZIP), small_disk / "out")
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_a_disk_too_small_for_what_is_packed(name: str, small_disk: Path, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"f": MEMBERS[0].content})
    with pytest.raises(StorageError, match="No space left"):
        pack(tree, small_disk / name)
    assert list(small_disk.iterdir()) == []
