"""A folder as the source: copied, or packed, by the same rules as an archive."""

from __future__ import annotations

import errno
import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.archive import ArchiveLimits, ExtractReport, copy_tree, pack
from botdock.errors import ArchiveError
from botdock_testing.archives import open_below, snapshot, write_tree

Take = Callable[[Path, Path, ArchiveLimits], object]


def packed(source: Path, place: Path, limits: ArchiveLimits) -> object:
    return pack(source, place / "a.zip", limits=limits)


def copied(source: Path, place: Path, limits: ArchiveLimits) -> object:
    return copy_tree(source, place / "out", limits=limits)


both = pytest.mark.parametrize("take", [packed, copied])


def refused(take: Take, source: Path, limits: ArchiveLimits | None = None) -> ArchiveError:
    place = source.parent / "place"
    place.mkdir()
    with pytest.raises(ArchiveError) as caught:
        take(source, place, limits or ArchiveLimits())
    assert open_below(source.parent) == []  # even while the error, and with it every frame, is still there
    assert list(place.iterdir()) == []
    assert str(source) in str(caught.value)
    return caught.value


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree", {"a": b"1", "d": {"b": b"#!/bin/sh\n", "empty": {}}})


def test_a_copy_is_what_an_archive_would_give(tree: Path, tmp_path: Path) -> None:
    (tree / "a").chmod(0o600)
    (tree / "d").chmod(0o1777)
    (tree / "d" / "link").symlink_to("../a")
    report = copy_tree(tree, tmp_path / "out")
    assert report == ExtractReport(format=None, entries=5, bytes=11, sha256=report.sha256)
    assert snapshot(tmp_path / "out") == {
        "a": ("-rw-r--r--", b"1"),
        "d": ("drwxr-xr-x", b""),
        "d/b": ("-rwxr-xr-x", b"#!/bin/sh\n"),
        "d/empty": ("drwxr-xr-x", b""),
        "d/link": ("link", b"../a"),
    }


def test_the_digest_of_a_copy_changes_with_all_that_is_copied_and_with_nothing_else(tree: Path, tmp_path: Path) -> None:
    def digest(name: str) -> str:
        return copy_tree(tree, tmp_path / name).sha256

    found = [digest("first")]
    os.utime(tree / "a", (1, 1))
    (tree / "a").chmod(0o600)
    assert digest("same") == found[0]
    changes: list[Callable[[], object]] = [
        lambda: (tree / "a").write_bytes(b"2"),
        lambda: (tree / "a").chmod(0o700),
        lambda: (tree / "a").rename(tree / "c"),
        lambda: (tree / "link").symlink_to("c"),
        (tree / "d" / "empty").rmdir,
        lambda: make_socket(tree / "socket"),
    ]
    for number, change in enumerate(changes):
        change()
        found.append(digest(f"changed-{number}"))
    assert len(set(found)) == len(found) - 1
    assert found[-1] == found[-2]  # a socket is not code


def test_a_copy_into_its_own_source_holds_what_was_there_before(tree: Path) -> None:
    copy_tree(tree, tree / "d" / "copy")
    assert sorted(snapshot(tree / "d" / "copy")) == ["a", "d", "d/b", "d/empty"]


def test_progress_of_a_copy(tree: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    copy_tree(tree, tmp_path / "out", progress=lambda done, total: calls.append((done, total)))
    assert calls == [(11, 0)]


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(path))  # the path of a socket may not be long


def set_uid(path: Path) -> None:
    path.write_bytes(b"")
    path.chmod(0o4755)


def twice(path: Path) -> None:
    path.write_bytes(b"")
    path.with_name(path.name.upper()).write_bytes(b"")


BAD: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a link that leaves": (lambda path: path.symlink_to("../../etc"), "link_escape", "d/x"),
    "a link to where it lies itself": (lambda path: path.symlink_to(path.parent), "link_escape", "d/x"),
    "set-uid": (set_uid, "setuid", "d/x"),
    "a backslash": (lambda path: path.with_name("x\\y").write_bytes(b""), "name", "d/x\\y"),
    "bytes that are not UTF-8": (lambda path: path.with_name("x\udcff").write_bytes(b""), "name", "d/x\udcff"),
    "case": (twice, "case_fold_duplicate", "d/x"),
    "a link in a circle": (lambda path: path.symlink_to("x"), "link_escape", "d/x"),
}


@pytest.mark.parametrize("make", [os.mkfifo, make_socket])
def test_what_is_not_code_is_left_out_and_named(
    make: Callable[[Path], object], tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_tree(tree, tmp_path / "without")
    monkeypatch.chdir(tree)
    make(tree / "d" / "x")
    assert copy_tree(tree, tmp_path / "out").left_out == ("d/x",)
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "without")
    assert pack(tree, tmp_path / "a.zip").left_out == ("d/x",)
    assert "d/x" not in zipfile.ZipFile(tmp_path / "a.zip").namelist()


@both
@pytest.mark.parametrize("case", BAD)
def test_what_no_archive_may_hold(case: str, take: Take, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, limit, entry = BAD[case]
    monkeypatch.chdir(tree)
    make(tree / "d" / "x")
    error = refused(take, tree)
    assert (error.limit, error.entry) == (limit, entry)


@both
@pytest.mark.parametrize("limit", ["entries=3", "total_bytes=10", "file_bytes=9", "depth=1", "name_bytes=6"])
def test_limits(limit: str, take: Take, tree: Path) -> None:
    name, _, bound = limit.partition("=")
    assert refused(take, tree, ArchiveLimits(**{name: int(bound)})).limit == limit


@both
def test_a_folder_of_too_many_entries_is_not_listed_to_its_end(take: Take, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "many", {f"f{number:03}": b"" for number in range(100)})
    assert refused(take, tree, ArchiveLimits(entries=10)).limit == "entries=10"


@both
def test_a_huge_sparse_file_is_refused_unread(take: Take, tree: Path) -> None:
    os.truncate(tree / "a", 1 << 40)
    assert refused(take, tree).limit == "file_bytes=536870912"


@both
def test_an_empty_folder(take: Take, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"only": {"folders": {}}})
    assert refused(take, tree).limit == "empty"


@both
def test_no_such_folder(take: Take, tmp_path: Path) -> None:
    error = refused(take, tmp_path / "absent")
    assert (error.limit, error.entry) == ("source", None)


@both
def test_a_file_in_place_of_the_folder(take: Take, tree: Path) -> None:
    assert refused(take, tree / "a").limit == "source"


@both
def test_a_file_that_may_not_be_read(take: Take, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root reads every file, so the answer of the kernel is played."""
    opened = os.open

    def hooked(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "b" and not flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", hooked)
    error = refused(take, tree)
    assert (error.limit, error.entry) == ("source", "d/b")
    assert "Permission denied" in str(error)


@both
@pytest.mark.parametrize("call", ["stat", "read"])
def test_a_file_that_the_disk_does_not_give(call: str, take: Take, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = getattr(os, call)

    def broken(first: object, *arguments: Any, dir_fd: int | None = None, **more: Any) -> Any:
        if call == "read" or (first == "b" and dir_fd is not None):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(first, *arguments, **({"dir_fd": dir_fd} if dir_fd is not None else {}), **more)

    with monkeypatch.context() as patched:
        patched.setattr(os, call, broken)
        error = refused(take, tree)
    assert (error.limit, error.entry) == ("source", "d/b" if call == "stat" else "a")
    assert "Input/output error" in str(error)


def into_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def into_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@both
@pytest.mark.parametrize("change", [Path.unlink, into_link, into_pipe])
def test_a_file_that_turns_into_something_else(
    change: Callable[[Path], None], take: Take, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a bot might do it that still runs: between our looking at the file and our opening it."""
    victim = tree / "victim"
    victim.write_bytes(b"harmless")
    opened = os.open

    def hooked(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "victim" and not flags & os.O_CREAT:
            change(victim)
        return opened(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", hooked)
    error = refused(take, tree)
    assert (error.limit, error.entry) == ("source", "victim")


@both
def test_a_file_that_shrinks(take: Take, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "a").write_bytes(bytes(1000))
    read = os.read

    def hooked(descriptor: int, size: int) -> bytes:
        os.truncate(tree / "a", 10)
        return read(descriptor, size)

    monkeypatch.setattr(os, "read", hooked)
    error = refused(take, tree)
    assert (error.limit, error.entry) == ("source", "a")


def test_a_file_that_grows_is_copied_as_it_was(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = os.read

    def growing(descriptor: int, size: int) -> bytes:
        with (tree / "a").open("ab") as file:
            file.write(b"more")
        return read(descriptor, size)

    monkeypatch.setattr(os, "read", growing)
    copy_tree(tree, tmp_path / "out")
    assert (tmp_path / "out" / "a").read_bytes() == b"1"
