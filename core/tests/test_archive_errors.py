"""What goes wrong outside the archive: the reader, the caller, a decompressor. One kind of error each, nothing left."""

from __future__ import annotations

import bz2
import errno
import io
import lzma
import os
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from botdock.archive import detect, extract
from botdock.archive._formats import PIECE, Inflate, step, zstd
from botdock.errors import ArchiveError, StorageError, StorageUnavailableError
from botdock_testing.archives import Member, open_below, snapshot, tar_of, zip_of

MEMBERS = [
    Member("a", content=os.urandom(2 << 20)),
    Member("d/b", content=b"b"),
    Member("l", kind="symlink", target="a"),
]
ZIP, TAR, GZ = zip_of(MEMBERS), tar_of(MEMBERS), tar_of(MEMBERS, compression="gz")

each = pytest.mark.parametrize("data", [ZIP, TAR, GZ], ids=["zip", "tar", "tar.gz"])


class Failing:
    """A reader that fails after so many reads."""

    def __init__(self, data: bytes, error: Exception, reads: int) -> None:
        self._file = io.BytesIO(data)
        self._error = error
        self._left = reads

    def read(self, size: int = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise self._error
        return self._file.read(min(size, 4096))


@each
@pytest.mark.parametrize("reads", [0, 1, 20])
@pytest.mark.parametrize(
    "error",
    [ConnectionResetError("gone"), StorageUnavailableError("down"), ValueError("odd"), ArchiveError("own", limit="x")],
)
def test_an_error_of_the_reader_goes_through(data: bytes, reads: int, error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as caught:
        extract(Failing(data, error, reads), tmp_path / "out")
    assert caught.value is error
    assert list(tmp_path.iterdir()) == []
    assert open_below(tmp_path) == []


@each
def test_an_error_of_progress_goes_through(data: bytes, tmp_path: Path) -> None:
    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(io.BytesIO(data), tmp_path / "out", progress=cancel)
    assert list(tmp_path.iterdir()) == []


@each
def test_refusals_leave_no_file_open(data: bytes, tmp_path: Path) -> None:
    for size in range(600, len(data) - 12_000, 300_000):
        with pytest.raises(ArchiveError) as caught:
            extract(io.BytesIO(data[:size]), tmp_path / "out")
        assert open_below(tmp_path) == []
        del caught


def folder(path: Path) -> None:
    path.mkdir()


def full_folder(path: Path) -> None:
    path.mkdir()
    (path / "x").touch()


OCCUPIED = [Path.touch, folder, full_folder, lambda path: path.symlink_to("nowhere")]


@each
@pytest.mark.parametrize("occupy", OCCUPIED, ids=["file", "folder", "full folder", "dangling link"])
def test_a_destination_that_exists(data: bytes, occupy: Callable[[Path], None], tmp_path: Path) -> None:
    occupy(tmp_path / "out")
    before = snapshot(tmp_path)
    with pytest.raises(ArchiveError) as caught:
        extract(io.BytesIO(data), tmp_path / "out")
    assert caught.value.limit == "destination"
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("occupy", [Path.touch, full_folder])
def test_a_destination_that_appears_meanwhile(occupy: Callable[[Path], None], tmp_path: Path) -> None:
    out = tmp_path / "out"

    def taken(done: int, total: int) -> None:
        if not out.exists():
            occupy(out)

    with pytest.raises(ArchiveError) as caught:
        extract(io.BytesIO(TAR), out, progress=taken)
    assert caught.value.limit == "destination"
    assert not (out / "a").exists()
    assert list(tmp_path.iterdir()) == [out]


def test_of_several_at_once_one_wins_and_the_others_are_told(tmp_path: Path) -> None:
    def attempt(_: int) -> str:
        try:
            extract(io.BytesIO(TAR), tmp_path / "out")
        except ArchiveError as error:
            return error.limit
        return "won"

    with ThreadPoolExecutor(4) as threads:
        ends = list(threads.map(attempt, range(8)))
    assert sorted(ends) == ["destination"] * 7 + ["won"]
    assert (tmp_path / "out" / "a").read_bytes() == MEMBERS[0].content
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_a_destination_without_a_parent(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        extract(io.BytesIO(TAR), tmp_path / "absent" / "out")


@pytest.mark.parametrize("take", [extract, lambda source, _: detect(source)])
def test_a_source_that_is_none(take: Callable[[Path, Path], object], tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"absent\.zip: cannot be read: No such file") as absent:
        take(tmp_path / "absent.zip", tmp_path / "out")
    with pytest.raises(ArchiveError, match="copy_tree") as a_folder:
        take(tmp_path, tmp_path / "out")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArchiveError) as pipe:
        take(tmp_path / "pipe", tmp_path / "out")
    assert {absent.value.limit, a_folder.value.limit, pipe.value.limit} == {"source"}


def test_a_source_that_fails_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    (tmp_path / "a.tar").write_bytes(TAR)
    monkeypatch.setattr(Path, "open", lambda *_, **__: Broken())
    with pytest.raises(ArchiveError, match="Input/output") as caught:
        extract(tmp_path / "a.tar", tmp_path / "out")
    assert caught.value.limit == "source"


class Raw(io.RawIOBase):
    """A file that gives less than it is asked for, and from some point on nothing."""

    def __init__(self, data: bytes, most: int) -> None:
        self._file = io.BytesIO(data)
        self._most = most
        self.given = 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(min(size, 3333)) if self.given < self._most else b""
        self.given += len(data)
        return data


def test_a_file_that_gives_less_than_it_is_asked_for(tmp_path: Path) -> None:
    extract(Raw(ZIP, 10 * len(ZIP)), tmp_path / "out")
    assert (tmp_path / "out" / "a").read_bytes() == MEMBERS[0].content


def test_a_file_that_is_cut_off_while_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as caught:
        extract(Raw(ZIP, 1 << 20), tmp_path / "out")
    assert caught.value.limit == "truncated"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [zlib.error, lzma.LZMAError, OSError, ValueError, EOFError])
def test_whatever_a_decompressor_raises_is_a_refusal(error: type[Exception]) -> None:
    class Codec:
        eof = needs_input = False
        unused_data = b""

        def decompress(self, data: bytes, /, max_length: int) -> bytes:
            raise error("damaged")

    with pytest.raises(ArchiveError) as caught:
        step(Codec(), b"", "entry")
    assert (caught.value.limit, caught.value.entry) == ("checksum", "entry")


def test_what_zlib_holds_back_is_asked_for(tmp_path: Path) -> None:
    """It may have taken in everything and still have more to give: here the last byte codes several of output."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31, 9, zlib.Z_HUFFMAN_ONLY)
    member = Member("f", content=b"a" * (3 * PIECE))
    data = packer.compress(tar_of([member])) + packer.flush()
    raw = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    packed = raw.compress(b"a" * (PIECE + 3)) + raw.flush()
    codec = Inflate(-15)
    assert len(step(codec, packed)) == PIECE
    assert not codec.needs_input
    assert len(step(codec, b"")) == 3
    assert codec.eof
    extract(Failing(data, ValueError(), 1 << 20), tmp_path / "out")
    assert (tmp_path / "out" / "f").read_bytes() == member.content


def test_decompressors_raise_nothing_but_what_is_mapped() -> None:
    """The errors that the standard library's decompressors are known by, on damaged data."""
    damaged = b"\xff" * 100
    with pytest.raises(zlib.error):
        zlib.decompressobj(31).decompress(damaged)
    with pytest.raises(OSError, match="Invalid data"):
        bz2.BZ2Decompressor().decompress(damaged)
    with pytest.raises(lzma.LZMAError):
        lzma.LZMADecompressor().decompress(damaged)
    with pytest.raises(zstd().ZstdError):
        zstd().ZstdDecompressor().decompress(damaged)
