"""A folder into an archive."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from botdock.archive import ArchiveFormat, PackReport, copy_tree, detect, extract, pack
from botdock.archive._formats import zstd
from botdock.errors import ArchiveError
from botdock_testing.archives import Tree, snapshot, write_tree

TREE: Tree = {
    "main.py": b"print('hi')\n",
    "bin": {"run": b"#!/bin/sh\n", "deep": {"er": {"x": b"1"}}},
    "empty": {},
    "日本.txt": b"\xff\x00",
    "n" * 200: b"long",
    "data.csv": b"1,2,3\n" * 1000,
}

each_format = pytest.mark.parametrize("form", ArchiveFormat)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = write_tree(tmp_path / "tree", TREE)
    (folder / "latest").symlink_to("data.csv")
    (folder / "bin" / "up").symlink_to("..")
    return folder


@each_format
def test_what_was_packed_comes_out_again(form: ArchiveFormat, tree: Path, tmp_path: Path) -> None:
    target = tmp_path / f"bot.{form}"
    report = pack(tree, target)
    assert report == PackReport(
        format=form, entries=12, bytes=6029, sha256=hashlib.sha256(target.read_bytes()).hexdigest()
    )
    assert detect(target) is form
    assert target.stat().st_mode & 0o7777 == 0o644
    found = extract(target, tmp_path / "out")
    assert (found.entries, found.bytes) == (report.entries, report.bytes)
    assert snapshot(tmp_path / "out") == snapshot(tree)


@each_format
def test_the_same_tree_gives_the_same_bytes(form: ArchiveFormat, tree: Path, tmp_path: Path) -> None:
    """Whatever the order on disk, the times, the modes' other bits, the umask and the place."""
    first = pack(tree, tmp_path / "first", format=form)
    copy_tree(tree, tmp_path / "copy")
    for number, path in enumerate(sorted((tmp_path / "copy").rglob("*"), reverse=True)):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o700)
            os.utime(path, (number, number))
    before = os.umask(0o077)
    try:
        second = pack(tmp_path / "copy", tmp_path / "second", format=form)
    finally:
        os.umask(before)
    assert first == second
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert (tmp_path / "second").stat().st_mode & 0o7777 == 0o644


def test_nothing_of_the_machine_is_in_a_gzip_header(tree: Path, tmp_path: Path) -> None:
    pack(tree, tmp_path / "a.tgz")
    assert (tmp_path / "a.tgz").read_bytes()[:10] == b"\x1f\x8b\x08" + bytes(6) + b"\xff"


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.ZIP", "zip"),
        ("a.tgz", "tar.gz"),
        ("a.tbz2", "tar.bz2"),
        ("a.txz", "tar.xz"),
        ("a.tzst", "tar.zst"),
        ("a.tar", "tar"),
    ],
)
def test_the_name_says_the_format(name: str, form: str, tree: Path, tmp_path: Path) -> None:
    assert pack(tree, tmp_path / name).format == form == detect(tmp_path / name)


def test_a_name_that_says_none(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"\.zip \.tar") as caught:
        pack(tree, tmp_path / "bot.rar")
    assert caught.value.limit == "format"


@each_format
def test_standard_tools_read_it(form: ArchiveFormat, tree: Path, tmp_path: Path) -> None:
    pack(tree, tmp_path / "archive", format=form)
    if form is ArchiveFormat.ZIP:
        with zipfile.ZipFile(tmp_path / "archive") as archive:
            assert archive.testzip() is None
            assert archive.read("bin/run") == b"#!/bin/sh\n"
        return
    if form is ArchiveFormat.TAR_ZST:  # tar itself would need the command zstd
        (tmp_path / "archive").write_bytes(zstd().decompress((tmp_path / "archive").read_bytes()))
    (tmp_path / "theirs").mkdir()
    subprocess.run(["tar", "-xf", tmp_path / "archive", "-C", tmp_path / "theirs"], check=True)
    assert snapshot(tmp_path / "theirs") == snapshot(tree)


@each_format
def test_an_archive_inside_its_tree_leaves_itself_out(form: ArchiveFormat, tree: Path) -> None:
    target = tree / "bin" / "bot.archive"
    first = pack(tree, target, format=form)
    assert first.entries == 12
    assert pack(tree, target, format=form) == first
    (tree / "bin" / "bot.archive.old").write_bytes(b"")
    assert pack(tree, target, format=form).entries == 13


def test_the_tree_may_be_reached_through_a_link(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tree)
    plain = pack(tree, tmp_path / "a.zip")
    assert pack(tmp_path / "link", tree / "a.zip") == plain
    assert pack(tree, tmp_path / "link" / "a.zip") == plain


def test_hard_links_become_copies(tree: Path, tmp_path: Path) -> None:
    (tree / "second").hardlink_to(tree / "main.py")
    pack(tree, tmp_path / "a.tar")
    extract(tmp_path / "a.tar", tmp_path / "out")
    assert (tmp_path / "out" / "second").stat().st_nlink == 1


def test_an_archive_that_was_there_stays_when_the_tree_is_refused(tree: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.zip"
    target.write_bytes(b"the last good one")
    (tree / "zz").symlink_to("/etc")
    with pytest.raises(ArchiveError, match="zz"):
        pack(tree, target)
    assert target.read_bytes() == b"the last good one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "tree"]


def test_a_tree_that_could_not_be_extracted_again_is_refused(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"zeros": bytes(8 << 20)})
    with pytest.raises(ArchiveError) as caught:
        pack(tree, tmp_path / "a.tar.xz")
    assert caught.value.limit == "ratio=200"
    pack(tree, tmp_path / "a.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "tree"]


def test_progress(tree: Path, tmp_path: Path) -> None:
    (tree / "big").write_bytes(os.urandom(3 << 20))
    calls: list[tuple[int, int]] = []
    pack(tree, tmp_path / "a.tar.gz", progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == ((3 << 20) + 6029, 0)
    assert len(calls) == 4


def test_large_files_get_64_bit_fields(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    pack(tree, tmp_path / "a.zip")
    assert b"PK\x06\x06" in (tmp_path / "a.zip").read_bytes()
    extract(tmp_path / "a.zip", tmp_path / "out")
    assert snapshot(tmp_path / "out") == snapshot(tree)
