"""Tars: what is sent to a daemon, and the one file that comes back."""

from __future__ import annotations

import io
import os
import socket
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock_engine_docker.tars import end_of_tar, read_file, tree

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
    found = unpacked(*tree(str(tmp_path), "root/code", owner=7))
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
        list(tree(str(tmp_path), "code"))
    assert caught.value.filename == str(tmp_path / "s")


def test_a_file_that_becomes_shorter_meanwhile_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1_000_000)
    pieces = tree(str(tmp_path / "file"), "file")
    next(pieces)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="shorter"):
        list(pieces)


def tarred(name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def receiver(data: bytes, size: int) -> Callable[[], bytes]:
    pieces: Iterator[bytes] = iter([data[at : at + size] for at in range(0, len(data), size)])
    return lambda: next(pieces, b"")


@given(content=st.binary(max_size=3_000), limit=st.integers(0, 3_000), size=st.integers(1, 700), long=st.booleans())
def test_the_file_of_a_tar_is_read_up_to_its_limit(content: bytes, limit: int, size: int, long: bool) -> None:
    data = tarred(LONG if long else "result", content)
    assert read_file(receiver(data, size), limit) == content[: limit + 1]


def test_no_more_of_it_is_read_than_is_wanted() -> None:
    data = tarred("result", b"x" * 1_000_000)
    taken: list[bytes] = []
    pieces = receiver(data, 100)

    def receive() -> bytes:
        taken.append(pieces())
        return taken[-1]

    read_file(receive, 10)
    assert len(b"".join(taken)) <= 1_000


def test_what_is_no_file_or_no_whole_tar_is_told() -> None:
    with pytest.raises(OSError, match="not a regular file"):
        read_file(receiver(tarred("result", b"", tarfile.DIRTYPE), 512), 10)
    with pytest.raises(tarfile.TarError):
        read_file(receiver(tarred("result", b"x" * 600)[:900], 512), 600)
    with pytest.raises(tarfile.TarError):
        read_file(receiver(b"no tar at all" * 100, 512), 10)
