"""A folder as a tar: what an engine unpacks elsewhere is what is here."""

from __future__ import annotations

import io
import os
import socket
import tarfile
from pathlib import Path

import pytest

from botdock.archive import end_of_tar, tree_as_tar

LONG = "n" * 200


def unpacked(*pieces: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces) + end_of_tar()), encoding="utf-8") as archive:
        return {member.name: member for member in archive}


def test_a_tree_keeps_modes_links_times_and_whatever_its_names_are(tmp_path: Path) -> None:
    names = [b"caf\xe9", b".wh.gone", b"new\nline", LONG.encode(), "ü".encode()]
    for number, name in enumerate(names):
        path = tmp_path / os.fsdecode(name)
        path.write_bytes(b"x" * number * 300)
        path.chmod(0o640 + number)
        os.utime(path, (5, 1_000 + number))
    (tmp_path / "sub" / LONG / "deep").mkdir(parents=True)
    (tmp_path / "sub").chmod(0o711)
    (tmp_path / "out").symlink_to("../../" + LONG)
    found = unpacked(*tree_as_tar(str(tmp_path), "root/code", owner=7))
    for number, name in enumerate(names):
        member = found["root/code/" + os.fsdecode(name)]
        expected = (number * 300, 0o640 + number, 1_000 + number, 7, 7)
        assert (member.size, member.mode, member.mtime, member.uid, member.gid) == expected
    assert (found["root/code/sub"].mode, found["root/code/out"].linkname) == (0o711, "../../" + LONG)
    assert found[f"root/code/sub/{LONG}/deep"].isdir()


def test_what_is_no_file_is_refused_by_name(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(tmp_path)
        listener.bind("s")
    with pytest.raises(OSError, match="neither a file") as caught:
        list(tree_as_tar(str(tmp_path), "code"))
    assert caught.value.filename == str(tmp_path / "s")


def test_a_file_that_becomes_shorter_meanwhile_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1_000_000)
    pieces = tree_as_tar(str(tmp_path / "file"), "file")
    next(pieces)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="shorter"):
        list(pieces)
