"""What a good archive becomes."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

import botdock.archive
from botdock.archive import ArchiveFormat, ExtractReport, detect, extract
from botdock.errors import ArchiveError
from botdock_testing.archives import Member, snapshot, tar_of, zip_of

MEMBERS = [
    Member("main.py", content=b"print('hi')\n"),
    Member("bin/run", content=b"#!/bin/sh\n", mode=0o750),
    Member("empty/", kind="folder", mode=0o700),
    Member("data/prices.csv", content=b"1,2\n" * 100_000, mode=0o600),
    Member("latest", kind="symlink", target="data/prices.csv"),
    Member("data/up", kind="symlink", target="../bin"),
]

EXPECTED = {
    "bin": ("drwxr-xr-x", b""),
    "bin/run": ("-rwxr-xr-x", b"#!/bin/sh\n"),
    "data": ("drwxr-xr-x", b""),
    "data/prices.csv": ("-rw-r--r--", b"1,2\n" * 100_000),
    "data/up": ("link", b"../bin"),
    "empty": ("drwxr-xr-x", b""),
    "latest": ("link", b"data/prices.csv"),
    "main.py": ("-rw-r--r--", b"print('hi')\n"),
}

ARCHIVES = {
    ArchiveFormat.ZIP: zip_of(MEMBERS),
    ArchiveFormat.TAR: tar_of(MEMBERS),
    ArchiveFormat.TAR_GZ: tar_of(MEMBERS, compression="gz"),
    ArchiveFormat.TAR_BZ2: tar_of(MEMBERS, compression="bz2"),
    ArchiveFormat.TAR_XZ: tar_of(MEMBERS, compression="xz"),
    ArchiveFormat.TAR_ZST: tar_of(MEMBERS, compression="zst"),
}

each_format = pytest.mark.parametrize("form", ARCHIVES)


class Pipe:
    """A reader that can only be read, in pieces of odd sizes, as a response of a server is."""

    def __init__(self, data: bytes, piece: int = 1000) -> None:
        self._file = io.BytesIO(data)
        self._piece = piece

    def read(self, size: int = -1, /) -> bytes:
        return self._file.read(min(size, self._piece))


def test_all_is_exact_and_sorted() -> None:
    assert botdock.archive.__all__ == sorted(botdock.archive.__all__)
    assert set(botdock.archive.__all__) == {
        *("ArchiveFormat", "ArchiveLimits", "ExtractReport", "PackReport"),
        *("copy_tree", "detect", "end_of_tar", "extract", "format_for", "pack", "remove_tree", "tree_as_tar"),
    }


@each_format
def test_a_file_is_unpacked_with_plain_modes(form: ArchiveFormat, tmp_path: Path) -> None:
    archive = tmp_path / "named.wrongly"
    archive.write_bytes(ARCHIVES[form])
    report = extract(archive, tmp_path / "out")
    assert report == ExtractReport(format=form, entries=8, bytes=400_022)
    assert snapshot(tmp_path / "out") == EXPECTED
    assert (tmp_path / "out").stat().st_mode & 0o7777 == 0o755
    assert sorted(path.name for path in tmp_path.iterdir()) == ["named.wrongly", "out"]


@each_format
def test_a_reader_that_cannot_seek_will_do(form: ArchiveFormat, tmp_path: Path) -> None:
    extract(Pipe(ARCHIVES[form]), tmp_path / "out")
    assert snapshot(tmp_path / "out") == EXPECTED


@each_format
def test_a_reader_is_read_from_where_it_stands(form: ArchiveFormat, tmp_path: Path) -> None:
    reader = io.BytesIO(b"before" + ARCHIVES[form])
    reader.seek(6)
    extract(reader, tmp_path / "out")
    assert snapshot(tmp_path / "out") == EXPECTED
    assert not reader.closed


@each_format
def test_the_umask_changes_nothing(form: ArchiveFormat, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        extract(io.BytesIO(ARCHIVES[form]), tmp_path / "out")
    finally:
        os.umask(before)
    assert snapshot(tmp_path / "out") == EXPECTED


@each_format
def test_nothing_is_visible_before_the_end(form: ArchiveFormat, tmp_path: Path) -> None:
    out = tmp_path / "out"
    seen: list[bool] = []
    members = [Member(f"{number}", content=os.urandom(1 << 20)) for number in range(3)]
    data = zip_of(members) if form is ArchiveFormat.ZIP else tar_of(members)
    extract(io.BytesIO(data), out, progress=lambda _, __: seen.append(out.exists()))
    assert seen == [False, False, False, False]
    assert out.exists()
    assert len(snapshot(out)) == 3


def test_progress_tells_the_bytes_out_and_the_packed_total(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    data = tar_of([Member("a", content=bytes(3 << 20))])
    extract(io.BytesIO(data), tmp_path / "out", progress=lambda out, total: calls.append((out, total)))
    assert [out for out, _ in calls] == sorted(out for out, _ in calls)
    assert calls[-1] == (3 << 20, len(data))
    assert len(calls) <= 5


def test_progress_of_a_stream_has_no_total(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    extract(Pipe(tar_of(MEMBERS)), tmp_path / "out", progress=lambda out, total: calls.append((out, total)))
    assert calls == [(400_022, 0)]


def test_a_single_folder_at_the_top_is_kept(tmp_path: Path) -> None:
    extract(io.BytesIO(tar_of([Member("bot-1.0/main.py")])), tmp_path / "out")
    assert list(snapshot(tmp_path / "out")) == ["bot-1.0", "bot-1.0/main.py"]


def test_names_are_normalised(tmp_path: Path) -> None:
    members = [Member("./", kind="folder"), Member("./a//b/./c"), Member("a/", kind="folder"), Member("a/d/e")]
    report = extract(io.BytesIO(tar_of(members)), tmp_path / "out")
    assert list(snapshot(tmp_path / "out")) == ["a", "a/b", "a/b/c", "a/d", "a/d/e"]
    assert report.entries == 5


def test_hard_links_to_earlier_files_share_them(tmp_path: Path) -> None:
    members = [Member("a", content=b"x"), *(Member(f"l{n}", kind="hard_link", target="./a") for n in range(2))]
    extract(io.BytesIO(tar_of(members)), tmp_path / "out")
    assert (tmp_path / "out" / "l1").samefile(tmp_path / "out" / "a")
    assert (tmp_path / "out" / "a").stat().st_nlink == 3


def test_links_may_dangle_or_lead_to_the_root(tmp_path: Path) -> None:
    members = [
        Member("a/root", kind="symlink", target=".."),
        Member("later", kind="symlink", target="not/there/yet"),
        Member("f"),
    ]
    extract(io.BytesIO(zip_of(members)), tmp_path / "out")
    assert (tmp_path / "out" / "a" / "root" / "f").is_file()
    assert (tmp_path / "out" / "later").is_symlink()


def test_sticky_bits_and_those_of_folders_are_dropped(tmp_path: Path) -> None:
    members = [Member("d/", kind="folder", mode=0o7777), Member("d/f", mode=0o1777)]
    extract(io.BytesIO(tar_of(members)), tmp_path / "out")
    assert snapshot(tmp_path / "out") == {"d": ("drwxr-xr-x", b""), "d/f": ("-rwxr-xr-x", b"")}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names_of_every_tar(form: int, tmp_path: Path) -> None:
    long = "/".join(["d" * 60] * 3) + "/f"
    members = [Member("日本.txt", content=b"1"), Member(long, content=b"2")]
    extract(io.BytesIO(tar_of(members, form=form)), tmp_path / "out")
    assert (tmp_path / "out" / "日本.txt").read_bytes() == b"1"
    assert (tmp_path / "out" / long).read_bytes() == b"2"


def test_compressed_streams_one_after_another_are_one(tmp_path: Path) -> None:
    data = tar_of(MEMBERS)
    packed = gzip.compress(data[:3000]) + gzip.compress(data[3000:]) + bytes(100)
    extract(Pipe(packed, 7), tmp_path / "out")
    assert snapshot(tmp_path / "out") == EXPECTED


@each_format
def test_detection_goes_by_content(form: ArchiveFormat, tmp_path: Path) -> None:
    archive = tmp_path / "archive.rar"
    archive.write_bytes(ARCHIVES[form])
    reader = io.BytesIO(ARCHIVES[form])
    assert detect(archive) is detect(reader) is detect(Pipe(ARCHIVES[form], 1)) is form
    assert reader.tell() == 0


def test_a_tar_older_than_its_magic_is_known_by_its_checksum(tmp_path: Path) -> None:
    header = bytearray(tar_of([Member("f", content=b"old")], form=tarfile.USTAR_FORMAT))
    header[257:265] = bytes(8)
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:512]))
    assert detect(io.BytesIO(bytes(header))) is ArchiveFormat.TAR
    extract(io.BytesIO(bytes(header)), tmp_path / "out")
    assert (tmp_path / "out" / "f").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("data", "limit"), [(b"", "empty"), (b"hello", "format"), (b"7z\xbc\xaf\x27\x1c" + bytes(600), "format")]
)
def test_what_is_no_archive_is_said_to_be_none(data: bytes, limit: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as caught:
        detect(io.BytesIO(data))
    assert caught.value.limit == limit
    archive = tmp_path / "a.zip"
    archive.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"a\.zip"):
        extract(archive, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [archive]
