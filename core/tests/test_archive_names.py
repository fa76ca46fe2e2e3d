"""What a name in an archive means: its encoding, and the separators that Windows writes."""

from __future__ import annotations

import io
import posixpath
import struct
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from botdock.archive import extract
from botdock.errors import ArchiveError

DOS, UNIX = 0, 3


def zip_with(raw: bytes, *, system: int = UNIX, extra: bytes = b"") -> io.BytesIO:
    """Return an archive with one file whose name stands there as these bytes, not marked as UTF-8."""
    file, stand_in = io.BytesIO(), "N" * len(raw)
    with zipfile.ZipFile(file, "w") as made:
        info = zipfile.ZipInfo(stand_in)
        info.create_system, info.extra = system, extra
        made.writestr(info, b"x")
    return io.BytesIO(file.getvalue().replace(stand_in.encode(), raw))


def unicode_path(raw: bytes, name: str) -> bytes:
    """Return the extra field that says the name in UTF-8."""
    return struct.pack("<2HBL", 0x7075, 5 + len(name.encode()), 1, zlib.crc32(raw)) + name.encode()


def names_in(archive: io.BytesIO) -> set[str]:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "out"
        extract(archive, tree)
        return {path.relative_to(tree).as_posix() for path in tree.rglob("*")}


@given(name=st.text(min_size=1, max_size=20), encoding=st.sampled_from(["utf-8", "cp437", "cp866", "cp1251", "gbk"]))
@settings(deadline=None, max_examples=80)
def test_a_name_in_any_encoding_is_what_was_meant_or_refused(name: str, encoding: str) -> None:
    raw = name.encode(encoding, "ignore") or b"x"
    try:
        found = names_in(zip_with(raw))
    except ArchiveError:
        return
    assert posixpath.normpath(raw.decode()) in found


@given(
    name=st.text(st.characters(exclude_characters="/\\\0", exclude_categories=["Cs"]), min_size=1, max_size=20),
    encoding=st.sampled_from(["utf-8", "latin-1", "cp437", "cp1251", "gbk", "shift-jis"]),
    form=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
@settings(deadline=None, max_examples=80)
@example(name="ä" * 20, encoding="latin-1", form=tarfile.PAX_FORMAT)
def test_a_name_in_a_tar_is_utf_8_or_refused_with_the_mend(name: str, encoding: str, form: int) -> None:
    raw, file = name.encode(encoding, "ignore") or b"x", io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as made:
        made.addfile(tarfile.TarInfo(raw.decode("utf-8", "surrogateescape")))
    try:
        assert names_in(io.BytesIO(file.getvalue())) == {raw.decode()}
    except ArchiveError as error:
        is_text = raw.decode("utf-8", "replace") == raw.decode("utf-8", "ignore")
        assert is_text or error.limit != "name" or "names in UTF-8" in str(error.hint)  # noqa: PT017 - either will do


@pytest.mark.parametrize("name", ["ä", "日本"])
def test_utf_8_need_not_be_marked(name: str) -> None:
    assert names_in(zip_with(name.encode())) == {name}


def test_an_encoding_that_nothing_tells_is_named() -> None:
    with pytest.raises(ArchiveError, match="encoding") as caught:
        names_in(zip_with("цены".encode("cp866")))
    assert caught.value.limit == "encoding"


def test_the_unicode_path_field_says_the_name_it_was_made_for() -> None:
    raw = "цены".encode("cp866")
    assert names_in(zip_with(raw, extra=unicode_path(raw, "цены"))) == {"цены"}
    with pytest.raises(ArchiveError, match="encoding"):
        names_in(zip_with(raw, extra=unicode_path(b"other", "цены")))
    with pytest.raises(ArchiveError) as caught:
        names_in(zip_with(raw, extra=unicode_path(raw, "../up")))
    assert caught.value.limit == "traversal"


def test_the_separators_of_windows_are_separators() -> None:
    assert names_in(zip_with(b"lib\\data\\prices.csv", system=DOS)) == {"lib", "lib/data", "lib/data/prices.csv"}
    with pytest.raises(ArchiveError, match="backslash"):
        names_in(zip_with(b"lib\\data", system=UNIX))


@pytest.mark.parametrize(
    ("name", "limit"),
    [(b"..\\up", "traversal"), (b"\\top", "absolute"), (b"C:\\x", "name"), (b"a\\..\\b", "traversal")],
)
def test_names_of_windows_do_not_lead_out(name: bytes, limit: str) -> None:
    with pytest.raises(ArchiveError) as caught:
        names_in(zip_with(name, system=DOS))
    assert caught.value.limit == limit
