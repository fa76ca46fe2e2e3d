"""What only a tar can get wrong."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import lzma
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from botdock.archive import ArchiveLimits, extract
from botdock.errors import ArchiveError
from botdock_testing.archives import Member, tar_of, zstd_of

END = bytes(1024)


def block(
    name: bytes = b"f", *, kind: bytes = b"0", size: bytes = b"0", mode: bytes = b"644", target: bytes = b""
) -> bytes:
    """Return a header with whatever is given, and the right checksum."""
    header = bytearray(512)
    for offset, field in ((0, name), (100, mode), (124, size), (156, kind), (157, target), (257, b"ustar\x0000")):
        header[offset : offset + len(field)] = field
    header[148:156] = b"%06o\0 " % (sum(header) + 8 * 32)
    return bytes(header)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def pax(records: bytes, kind: bytes = b"x") -> bytes:
    return block(b"PaxHeaders/f", kind=kind, size=b"%o" % len(records)) + padded(records)


def record(key: bytes, value: bytes) -> bytes:
    """Return one record; its length counts its own digits."""
    rest = b" " + key + b"=" + value + b"\n"
    length = next(size for size in itertools.count(len(rest) + 1) if size == len(rest) + len(str(size)))
    return str(length).encode() + rest


def refused(data: bytes, place: Path, limits: ArchiveLimits | None = None) -> ArchiveError:
    with pytest.raises(ArchiveError) as caught:
        extract(io.BytesIO(data), place / "out", limits=limits or ArchiveLimits())
    assert list(place.iterdir()) == []
    return caught.value


def names(data: bytes, place: Path) -> list[str]:
    extract(io.BytesIO(data), place / "out")
    return sorted(path.relative_to(place / "out").as_posix() for path in (place / "out").rglob("*"))


GOOD = {
    "a path record": (pax(record(b"path", b"real")) + block(b"short"), ["real"]),
    "an empty record means nothing": (pax(record(b"path", b"")) + block(b"short"), ["short"]),
    "other records": (pax(record(b"mtime", b"1.5") + record(b"SCHILY.xattr.a", b"\0\n=")) + block(), ["f"]),
    "a record of Solaris": (pax(record(b"path", b"real"), b"X") + block(b"short"), ["real"]),
    "a comment for all": (pax(record(b"comment", b"0123abc"), b"g") + block(), ["f"]),
    "a size record": (pax(record(b"size", b"3")) + block() + padded(b"abc"), ["f"]),
    "a volume label": (block(b"label", kind=b"V") + block(), ["f"]),
    "contiguous": (block(kind=b"7"), ["f"]),
    "no kind at all": (block(kind=b"\0"), ["f"]),
    "a folder of v7": (block(b"d/", kind=b"\0") + block(), ["d", "f"]),
    "a binary size": (block(size=b"\x80" + bytes(10) + b"\x03") + padded(b"abc"), ["f"]),
    "a folder with a size but no content": (block(b"d", kind=b"5", size=b"1000") + block(), ["d", "f"]),
    "blanks around numbers": (block(size=b"   3 \0") + padded(b"abc"), ["f"]),
}


@pytest.mark.parametrize("case", GOOD)
def test_good_headers(case: str, tmp_path: Path) -> None:
    data, there = GOOD[case]
    assert names(data + END, tmp_path) == there


def test_a_long_name_in_two_fields(tmp_path: Path) -> None:
    member = Member("/".join(["d" * 50] * 4) + "/f")
    data = tar_of([member], form=tarfile.USTAR_FORMAT)
    assert member.name in names(data, tmp_path)


def test_checksums_of_signed_bytes_will_do(tmp_path: Path) -> None:
    header = bytearray(block("ä".encode()))
    signed = sum(byte - 256 * (byte > 127) for byte in header[:148] + b" " * 8 + header[156:])
    header[148:156] = b"%06o\0 " % signed
    assert names(bytes(header) + END, tmp_path) == ["ä"]


def test_one_block_of_zeros_ends_it_too(tmp_path: Path) -> None:
    assert names(block() + bytes(512), tmp_path) == ["f"]


BAD = {
    "a damaged header": (block()[:100] + b"777" + block()[103:], "checksum", "f"),
    "a damaged second header": (block() + b"x" * 512, "checksum", "x" * 100),
    "a negative size": (block(size=b"\xff" * 12), "format", "f"),
    "a size that is not a number": (block(size=b"12 34"), "format", "f"),
    "a huge size": (block(size=b"7" * 11), "file_bytes=536870912", "f"),
    "a vast size": (block(size=b"\x80" + b"\xff" * 11), "file_bytes=536870912", "f"),
    "a vast size by record": (pax(record(b"size", b"9" * 20)) + block(), "file_bytes=536870912", "f"),
    "a size of too many digits": (pax(record(b"size", b"9" * 5000)) + block(), "format", "PaxHeaders/f"),
    "a negative size by record": (pax(record(b"size", b"-1")) + block(), "format", "PaxHeaders/f"),
    "an unknown kind": (block(kind=b"Q"), "format", "f"),
    "another volume": (block(kind=b"M"), "format", "f"),
    "a sparse file": (block(kind=b"S"), "sparse", "f"),
    "a sparse file by record": (pax(record(b"GNU.sparse.major", b"1")) + block(), "sparse", "PaxHeaders/f"),
    "a folder of v7 with content": (block(b"d/", size=b"1") + padded(b"x"), "format", "d/"),
    "one name for all": (pax(record(b"path", b"x"), b"g") + block(), "format", None),
    "a record that climbs": (pax(record(b"path", b"../up")) + block(), "traversal", "../up"),
    "a target that leaves, by record": (
        pax(record(b"linkpath", b"/etc")) + block(kind=b"2", target=b"x"),
        "link_escape",
        "f",
    ),
    "a long name that climbs": (
        block(b"././@LongLink", kind=b"L", size=b"6") + padded(b"../up\0") + block(),
        "traversal",
        "../up",
    ),
    "a long target that leaves": (
        block(b"././@LongLink", kind=b"K", size=b"5") + padded(b"/etc\0") + block(kind=b"2"),
        "link_escape",
        "f",
    ),
    "records without an end": (pax(b"30 path=x\n") + block(), "format", "PaxHeaders/f"),
    "records without a length": (pax(b"path=x\n") + block(), "format", "PaxHeaders/f"),
    "a record of length nothing": (pax(b"0 path=x\n") + block(), "format", "PaxHeaders/f"),
    "a record shorter than its key": (pax(b"5 path=x\n") + block(), "format", "PaxHeaders/f"),
    "headers without an entry": (pax(record(b"comment", b"x"), b"g") * 9 + block(), "headers=8", "PaxHeaders/f"),
    "only headers": (pax(record(b"path", b"x")), "empty", None),
    "something after the end": (block() + END + block(b"hidden"), "trailing", None),
    "nothing but zeros": (bytes(10_240), "empty", None),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_headers(case: str, tmp_path: Path) -> None:
    data, limit, entry = BAD[case]
    error = refused(data + END, tmp_path)
    assert (error.limit, error.entry) == (limit, entry)


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_a_huge_extended_header_is_not_read(kind: bytes, tmp_path: Path) -> None:
    class Endless(io.RawIOBase):
        """A header that promises 8 GiB, and then whatever is asked for."""

        asked = 0

        def read(self, size: int = -1, /) -> bytes:
            self.asked += size
            return block(b"h", kind=kind, size=b"7" * 11) if self.asked == size else bytes(size)

    endless = Endless()
    with pytest.raises(ArchiveError) as caught:
        extract(endless, tmp_path / "out")
    assert caught.value.limit == "header_bytes=1048576"
    assert endless.asked < 1 << 20


def test_extended_headers_have_a_total(tmp_path: Path) -> None:
    big = pax(record(b"comment", b"x" * 500_000), b"g")
    data = b"".join(big + block(b"f%d" % number) for number in range(4)) + END
    error = refused(data, tmp_path, ArchiveLimits(total_bytes=100))
    assert (error.limit, error.entry) == ("total_bytes=100", None)


@pytest.mark.parametrize("size", [0, 1, 100, 511, 512, 600, 1023, 1024, 1535])
def test_truncation_is_noticed_wherever_it_falls(size: int, tmp_path: Path) -> None:
    data = (block(size=b"1000") + padded(b"x" * 1000))[:size]
    assert refused(data, tmp_path).limit == ("empty" if size == 0 else "format" if size < 512 else "truncated")


def test_an_end_that_is_missing_is_a_truncation(tmp_path: Path) -> None:
    assert refused(block(), tmp_path).limit == "truncated"


TAR = tar_of([Member("f", content=bytes(range(256)) * 100)])
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd_of,
}

each = pytest.mark.parametrize("name", COMPRESSORS)


@each
def test_compressed_and_truncated(name: str, tmp_path: Path) -> None:
    packed = COMPRESSORS[name](TAR)
    for size in (*range(6, len(packed), 7), len(packed) - 1):
        assert refused(packed[:size], tmp_path).limit == "truncated"


@each
def test_compressed_and_damaged(name: str, tmp_path: Path) -> None:
    packed = bytearray(COMPRESSORS[name](TAR))
    packed[len(packed) // 2] ^= 0xFF
    assert refused(bytes(packed), tmp_path).limit in {"checksum", "truncated"}


def test_a_wrong_checksum_of_gzip(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(TAR))
    packed[-8] ^= 1
    assert refused(bytes(packed), tmp_path).limit == "checksum"


@each
def test_something_else_after_the_compressed_data(name: str, tmp_path: Path) -> None:
    assert refused(COMPRESSORS[name](TAR) + b"\0\0garbage", tmp_path).limit == "trailing"


@each
def test_compressed_but_no_tar(name: str, tmp_path: Path) -> None:
    error = refused(COMPRESSORS[name](b"x" * 2000), tmp_path)
    assert error.limit == "checksum"
    assert "is not a tar" in str(error)


def test_xz_that_asks_for_too_much_memory(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 256 << 20}]
    error = refused(lzma.compress(TAR, filters=filters), tmp_path)
    assert error.limit == f"memory={100 << 20}"


def test_xz_at_its_strongest_is_unpacked(tmp_path: Path) -> None:
    extract(io.BytesIO(lzma.compress(TAR, preset=9 | lzma.PRESET_EXTREME)), tmp_path / "out")
    assert (tmp_path / "out" / "f").stat().st_size == 25_600


@each
def test_zeros_without_end_after_the_archive(name: str, tmp_path: Path) -> None:
    assert refused(COMPRESSORS[name](TAR + bytes(8 << 20)), tmp_path).limit == "ratio=200"


def test_memory_stays_flat(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield block(size=b"%o" % (64 << 20))
        yield from itertools.repeat(bytes(1 << 16), 1 << 10)
        yield END

    class Pieces:
        def __init__(self) -> None:
            self._pieces = pieces()

        def read(self, _: int = -1, /) -> bytes:
            return next(self._pieces, b"")

    tracemalloc.start()
    try:
        extract(Pieces(), tmp_path / "out")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "out" / "f").stat().st_size == 64 << 20
    assert peak < 2 << 20


def test_what_tar_lists_twice_changes_nothing(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        for name in ("./", "lib/", "lib/", "./"):
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE
            made.addfile(info)
        info = tarfile.TarInfo("lib/a")
        info.size = 1
        made.addfile(info, io.BytesIO(b"x"))
        again = tarfile.TarInfo("lib/a")
        again.type, again.linkname = tarfile.LNKTYPE, "lib/a"
        made.addfile(again)
    file.seek(0)
    assert extract(file, tmp_path / "out").entries == 2
    assert (tmp_path / "out/lib/a").read_bytes() == b"x"
