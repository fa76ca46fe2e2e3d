"""What only a zip can get wrong."""

from __future__ import annotations

import io
import stat
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from botdock.archive import ArchiveLimits, detect, extract
from botdock.errors import ArchiveError
from botdock_testing.archives import Member, snapshot, zip_of

CONTENT = bytes(range(256)) * 40
GOOD = zip_of([Member("f", content=CONTENT)])


def local(name: bytes, content: bytes, *, method: int = 0, flags: int = 0) -> bytes:
    """Return a local header and its content, as it is."""
    size = len(content)
    return (
        struct.pack("<4s5H3L2H", b"PK\3\4", 20, flags, method, 0, 0, zlib.crc32(content), size, size, len(name), 0)
        + name
        + content
    )


def central(
    name: bytes,
    content: bytes,
    offset: int,
    *,
    packed: int | None = None,
    size: int | None = None,
    extra: bytes = b"",
    **fields: int,
) -> bytes:
    """Return a record of the directory."""
    return (
        struct.pack(
            "<4s2B5H3L5H2L",
            *(b"PK\1\2", 20, 3, 20, fields.get("flags", 0), fields.get("method", 0), 0, 0),
            fields.get("crc", zlib.crc32(content)),
            len(content) if packed is None else packed,
            len(content) if size is None else size,
            *(len(name), len(extra), 0, 0, 0, fields.get("attributes", 0), offset),
        )
        + name
        + extra
    )


def end(directory: bytes, offset: int, *, disk: int = 0, comment: bytes = b"") -> bytes:
    return struct.pack("<4s4H2LH", b"PK\5\6", disk, disk, 1, 1, len(directory), offset, len(comment)) + comment


def archive(content: bytes, directory: bytes, *, comment: bytes = b"") -> bytes:
    return content + directory + end(directory, len(content), comment=comment)


def refused(data: bytes, place: Path, limits: ArchiveLimits | None = None) -> ArchiveError:
    with pytest.raises(ArchiveError) as caught:
        extract(io.BytesIO(data), place / "out", limits=limits or ArchiveLimits())
    assert list(place.iterdir()) == []
    return caught.value


class OnlyWritten(io.BytesIO):
    """Makes zipfile write sizes behind the content, where it cannot go back."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise io.UnsupportedOperation


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_methods(method: int, tmp_path: Path) -> None:
    extract(io.BytesIO(zip_of([Member("f", content=CONTENT), Member("empty")], method=method)), tmp_path / "out")
    assert (tmp_path / "out" / "f").read_bytes() == CONTENT
    assert (tmp_path / "out" / "empty").read_bytes() == b""


def test_sizes_behind_the_content(tmp_path: Path) -> None:
    file = OnlyWritten()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr("a", CONTENT)
        written.writestr("b", CONTENT[::-1])
    extract(io.BytesIO(file.getvalue()), tmp_path / "out")
    assert (tmp_path / "out" / "b").read_bytes() == CONTENT[::-1]


def test_64_bit_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 20)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    data = zip_of([Member(name, content=CONTENT) for name in "abc"])
    assert b"PK\x06\x06" in data
    extract(io.BytesIO(data), tmp_path / "out")
    assert [path.read_bytes() for path in sorted((tmp_path / "out").iterdir())] == [CONTENT] * 3


def test_64_bit_fields_stand_among_others(tmp_path: Path) -> None:
    extra = struct.pack("<2HL", 0x5455, 4, 0) + struct.pack("<2HQ", 1, 8, 0)
    extract(io.BytesIO(archive(ONE, central(b"f", b"x", 0xFFFF_FFFF, extra=extra))), tmp_path / "out")
    assert (tmp_path / "out" / "f").read_bytes() == b"x"


def test_a_comment_may_follow_even_one_that_looks_like_the_end(tmp_path: Path) -> None:
    data = archive(local(b"f", b"x"), central(b"f", b"x", 0), comment=b"PK\5\6" + b"y" * 40)
    extract(io.BytesIO(data), tmp_path / "out")
    assert (tmp_path / "out" / "f").read_bytes() == b"x"


def test_modes_of_other_systems_are_plain(tmp_path: Path) -> None:
    data = archive(local(b"f", b"x"), central(b"f", b"x", 0, attributes=0x20))
    extract(io.BytesIO(data), tmp_path / "out")
    assert snapshot(tmp_path / "out") == {"f": ("-rw-r--r--", b"x")}


@pytest.mark.parametrize(("name", "there"), [("ä".encode(), "ä"), ("日本".encode(), "日本")])
def test_names_that_are_not_marked_as_utf8(name: bytes, there: str, tmp_path: Path) -> None:
    extract(io.BytesIO(archive(local(name, b"x"), central(name, b"x", 0))), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [there]


def test_an_empty_archive(tmp_path: Path) -> None:
    data = zip_of([])
    assert detect(io.BytesIO(data)) == "zip"
    assert refused(data, tmp_path).limit == "empty"


LINK = (stat.S_IFLNK | 0o777) << 16
ONE = local(b"f", b"x")

BAD = {
    "encrypted": (archive(local(b"f", b"x", flags=1), central(b"f", b"x", 0, flags=1)), "encrypted", "f"),
    "encrypted on the quiet": (archive(local(b"f", b"x", flags=1), central(b"f", b"x", 0)), "format", "f"),
    "an unknown method": (archive(local(b"f", b"x", method=97), central(b"f", b"x", 0, method=97)), "format", "f"),
    "two methods": (archive(local(b"f", b"x", method=8), central(b"f", b"x", 0)), "format", "f"),
    "two names": (archive(local(b"evil", b"x"), central(b"good", b"x", 0)), "format", "good"),
    "marked as UTF-8, but none": (
        archive(local(b"\xff", b"x"), central(b"\xff", b"x", 0, flags=0x800)),
        "name",
        "\udcff",
    ),
    "no header where it should be": (archive(b"PK\3\4" + bytes(80), central(b"f", b"x", 20)), "truncated", "f"),
    "far beyond the end": (archive(ONE, central(b"f", b"x", 0xFFFF_FFF0)), "truncated", "f"),
    "a wrong checksum": (archive(ONE, central(b"f", b"x", 0, crc=1)), "checksum", "f"),
    "longer than it says": (archive(local(b"f", b"xyz"), central(b"f", b"xyz", 0, size=1)), "checksum", "f"),
    "shorter than it says": (archive(ONE, central(b"f", b"x", 0, size=2)), "checksum", "f"),
    "beyond the directory": (archive(ONE, central(b"f", b"x", 0, packed=2, size=2)), "overlap", "f"),
    "a folder with content": (archive(local(b"d/", b"x"), central(b"d/", b"x", 0)), "format", "d/"),
    "64 bits announced, but absent": (archive(ONE, central(b"f", b"x", 0xFFFF_FFFF)), "format", None),
    "64 bits cut short": (
        archive(ONE, central(b"f", b"x", 0xFFFF_FFFF, extra=struct.pack("<2HL", 1, 8, 0))),
        "format",
        None,
    ),
    "an endless target": (
        archive(local(b"l", b"x" * 2000), central(b"l", b"x" * 2000, 0, attributes=LINK)),
        "name_bytes=1024",
        "l",
    ),
    "a directory of something else": (archive(ONE, b"x" * 60), "format", None),
    "a directory cut short": (archive(ONE, central(b"f", b"x", 0)[:-1]), "format", None),
    "a directory that is elsewhere": (
        ONE + b"gap" + central(b"f", b"x", 0) + end(central(b"f", b"x", 0), 0),
        "format",
        None,
    ),
    "several volumes": (ONE + central(b"f", b"x", 0) + end(central(b"f", b"x", 0), len(ONE), disk=1), "format", None),
    "no directory": (ONE, "truncated", None),
    "something after the end": (archive(ONE, central(b"f", b"x", 0)) + b"x", "truncated", None),
    "something before the start": (b"#!/bin/sh\n" + GOOD, "format", None),
    "a 64-bit end that is nowhere": (
        ONE + struct.pack("<4sLQL", b"PK\6\7", 0, 1 << 63, 1) + end(b"", len(ONE)),
        "format",
        None,
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_archives(case: str, tmp_path: Path) -> None:
    data, limit, entry = BAD[case]
    error = refused(data, tmp_path)
    assert (error.limit, error.entry) == (limit, entry)


def test_encryption_says_how_to_mend_it(tmp_path: Path) -> None:
    assert "without a password" in (refused(BAD["encrypted"][0], tmp_path).hint or "")


def test_one_content_for_two_entries(tmp_path: Path) -> None:
    content = local(b"f", b"x" * 1000)
    directory = central(b"f", b"x" * 1000, 0) * 2
    assert refused(archive(content, directory), tmp_path).limit == "overlap"


def test_content_that_quotes_the_next_header(tmp_path: Path) -> None:
    """The construction of D. Fifield, "A better zip bomb" (2019): each member's content holds the members after it."""
    inner = local(b"b", b"x" * 1000)
    outer = local(b"a", inner)
    directory = central(b"a", inner, 0) + central(b"b", b"x" * 1000, len(outer) - len(inner))
    error = refused(archive(outer, directory), tmp_path)
    assert (error.limit, error.entry) == ("overlap", "a")


def test_a_bomb_that_declares_little(tmp_path: Path) -> None:
    codec = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = codec.compress(bytes(64 << 20)) + codec.flush()
    content = local(b"f", packed, method=8)
    data = archive(content, central(b"f", packed, 0, method=8, size=10, crc=0))
    assert refused(data, tmp_path).limit == "checksum"
    honest = archive(content, central(b"f", packed, 0, method=8, size=64 << 20, crc=0))
    assert refused(honest, tmp_path, ArchiveLimits(file_bytes=1 << 20)).limit == "file_bytes=1048576"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_truncated_anywhere(method: int, tmp_path: Path) -> None:
    data = zip_of([Member("f", content=CONTENT), Member("g")], method=method)
    for size in (*range(4, len(data), 101), len(data) - 1):
        assert refused(data[:size], tmp_path).limit == "truncated"


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_content_that_is_damaged(method: int, tmp_path: Path) -> None:
    data = bytearray(zip_of([Member("f", content=CONTENT)], method=method))
    for at in range(31, 60):
        data[at] ^= 0xFF
    error = refused(bytes(data), tmp_path)
    assert (error.limit, error.entry) == ("checksum", "f")


def test_content_that_ends_before_its_codec_does(tmp_path: Path) -> None:
    codec = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = (codec.compress(CONTENT) + codec.flush())[:-3]
    data = archive(local(b"f", packed, method=8), central(b"f", packed, 0, method=8, size=len(CONTENT)))
    assert refused(data, tmp_path).limit == "truncated"


def test_more_entries_than_allowed_are_not_even_listed(tmp_path: Path) -> None:
    data = zip_of([Member(f"f{number}") for number in range(6)])
    error = refused(data, tmp_path, ArchiveLimits(entries=5))
    assert (error.limit, error.entry) == ("entries=5", "f5")


def test_long_names_are_not_even_listed(tmp_path: Path) -> None:
    directory = central(b"n" * 2000, b"x", 0) + b"damaged"
    assert refused(archive(ONE, directory), tmp_path).limit == "name_bytes=1024"


def test_a_stream_that_is_too_large_to_be_kept(tmp_path: Path) -> None:
    class Stream:
        def __init__(self) -> None:
            self._file = io.BytesIO(GOOD)

        def read(self, size: int = -1, /) -> bytes:
            return self._file.read(100)

    with pytest.raises(ArchiveError) as caught:
        extract(Stream(), tmp_path / "out", limits=ArchiveLimits(total_bytes=400))
    assert caught.value.limit == "total_bytes=400"
    assert list(tmp_path.iterdir()) == []


def test_memory_stays_flat(tmp_path: Path) -> None:
    source = tmp_path / "a.zip"
    with zipfile.ZipFile(source, "w") as written, written.open("f", "w") as member:
        for _ in range(64):
            member.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        extract(source, tmp_path / "out")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "out" / "f").stat().st_size == 64 << 20
    assert peak < 4 << 20
