"""Whatever an archive holds: it comes out inside, or it is refused and nothing is left."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from botdock.archive import ArchiveFormat, ArchiveLimits, ExtractReport, copy_tree, detect, extract, pack
from botdock.errors import ArchiveError
from botdock_testing.archives import Kind, Member, Tree, members, snapshot, tar_of, trees, write_tree, zip_of
from testbed.drills import count

CANARY: Tree = {"canary": {"bird": b"alive", "passwd": b"root"}, "a": b"a", "link": b"not ours"}

ZIP_KINDS: list[Kind] = ["file", "folder", "symlink", "device", "fifo"]

many = settings(max_examples=count(200, 50), deadline=None)
few = settings(max_examples=count(60, 20), deadline=None)

some_limits = st.builds(
    ArchiveLimits,
    total_bytes=st.integers(500, 3000),
    entries=st.integers(2, 8),
    file_bytes=st.integers(200, 800),
    depth=st.integers(1, 4),
    name_bytes=st.integers(5, 40),
)


def lists(*, hostile: bool, kinds: Iterable[Kind]) -> st.SearchStrategy[list[Member]]:
    """Some entries; those that are not hostile have each name once."""
    found = members(hostile=hostile, kinds=kinds)
    if hostile:
        return st.lists(found, max_size=6)
    return st.lists(found, min_size=1, max_size=6, unique_by=lambda member: member.name.removeprefix("./").casefold())


def archives() -> st.SearchStrategy[bytes]:
    """Archives of all forms, with harmless, colliding and hostile content."""
    for_zip = lists(hostile=False, kinds=["file", "symlink"]) | lists(hostile=True, kinds=ZIP_KINDS)
    for_tar = lists(hostile=False, kinds=["file", "symlink", "hard_link"]) | lists(hostile=True, kinds=get_args(Kind))
    return st.one_of(
        for_zip.map(zip_of),
        st.builds(tar_of, for_tar, compression=st.sampled_from(["", "gz", "bz2", "xz", "zst"])),
        st.builds(tar_of, for_tar, form=st.just(tarfile.GNU_FORMAT)),
    )


@contextmanager
def arena() -> Iterator[Path]:
    """Give a folder among others that nothing may touch, and look at them afterwards."""
    with TemporaryDirectory() as name:
        outside = write_tree(Path(name, "outside"), CANARY)
        place = outside / "place"
        place.mkdir()
        before = {path: what for path, what in snapshot(outside).items() if not path.startswith("place/")}
        yield place
        assert {path: what for path, what in snapshot(outside).items() if not path.startswith("place/")} == before


def attempt(data: bytes, place: Path, limits: ArchiveLimits | None = None) -> ExtractReport | None:
    """Extract, and return None for a refusal that left nothing."""
    report, refused = None, ""
    try:
        report = extract(io.BytesIO(data), place / "out", limits=limits or ArchiveLimits())
    except ArchiveError as error:
        refused = error.limit.partition("=")[0]
    event(refused or "extracted")
    assert [path.name for path in place.iterdir()] == ([] if refused else ["out"])
    return report


def check_inside(out: Path) -> None:
    """All is plain, ours, and leads nowhere else, by whatever links."""
    for folder, folders, files in os.walk(out):
        for path in (Path(folder, name) for name in folders + files):
            found = path.lstat()
            assert Path(os.path.realpath(path)).is_relative_to(out.resolve())
            assert found.st_uid == os.getuid()
            assert stat.S_ISLNK(found.st_mode) or found.st_mode & 0o7777 in {0o644, 0o755}
            assert stat.S_IFMT(found.st_mode) in {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}


@many
@given(archives())
@example(
    tar_of([Member("d/f"), Member("d/up", kind="symlink", target=".."), Member("l", kind="symlink", target="d/up/..")])
)
@example(tar_of([Member("l", kind="symlink", target="../canary"), Member("l/bird", content=b"dead")]))
@example(tar_of([Member("l", kind="hard_link", target="../canary/bird"), Member("l", content=b"dead")]))
@example(zip_of([Member("../canary/bird", content=b"dead")]))
def test_nothing_ever_lands_outside(data: bytes) -> None:
    with arena() as place:
        if attempt(data, place) is not None:
            check_inside(place / "out")


@many
@given(
    st.booleans().flatmap(lambda hostile: lists(hostile=hostile, kinds=["file", "folder"])),
    st.sampled_from([zip_of, tar_of]),
)
def test_what_comes_out_is_what_was_put_in(entries: list[Member], build: Callable[[Iterable[Member]], bytes]) -> None:
    with arena() as place:
        if attempt(build(entries), place) is None:
            return
        # A NUL ends a name in a tar; in a zip it is refused. A name that ends in a slash is a folder's.
        names = {entry.name.partition("\0")[0]: entry for entry in entries if entry.kind == "file"}
        files = {os.path.normpath(name): entry for name, entry in names.items() if not name.endswith("/")}
        found = {path: what for path, what in snapshot(place / "out").items() if what[0].startswith("-")}
        assert {path: content for path, (_, content) in found.items()} == {
            path: entry.content for path, entry in files.items()
        }
        assert {path for path, (mode, _) in found.items() if "x" in mode} == {
            path for path, entry in files.items() if entry.mode & 0o111
        }


@many
@given(archives(), some_limits)
def test_every_limit_holds(data: bytes, limits: ArchiveLimits) -> None:
    with arena() as place:
        if (report := attempt(data, place, limits)) is None:
            return
        found = snapshot(place / "out")
        sizes = [len(content) for mode, content in found.values() if mode.startswith("-")]
        assert len(found) == report.entries <= limits.entries
        assert max(sizes, default=0) <= limits.file_bytes
        assert report.bytes <= limits.total_bytes
        assert all(len(path.encode()) <= limits.name_bytes for path in found)
        assert all(path.count("/") + mode.startswith("d") <= limits.depth for path, (mode, _) in found.items())


@many
@given(st.data())
def test_damaged_archives_are_refused_or_harmless(data: st.DataObject) -> None:
    good = bytearray(data.draw(archives()))
    for _ in range(data.draw(st.integers(0, 3))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.just(len(good)) | st.just(len(good)) | st.integers(0, len(good)))
    with arena() as place:
        if attempt(bytes(good[:cut]), place) is not None:
            check_inside(place / "out")


MAGIC = st.sampled_from(
    [b"PK\3\4", b"PK\5\6", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", bytes(257) + b"ustar"]
)


@many
@given(MAGIC, st.binary(max_size=2000))
def test_any_bytes_at_all(magic: bytes, rest: bytes) -> None:
    with arena() as place:
        attempt(magic + rest, place)


@many
@given(st.binary(max_size=1000))
def test_detection_names_a_format_or_refuses(data: bytes) -> None:
    with suppress(ArchiveError):
        assert detect(io.BytesIO(data)) in ArchiveFormat


@few
@given(trees(), st.sampled_from(ArchiveFormat))
def test_packing_and_extracting_gives_the_tree_back(tree: Tree, form: ArchiveFormat) -> None:
    with arena() as place:
        source = write_tree(place / "source", tree)
        first = pack(source, place / "first", format=form)
        report = extract(place / "first", place / "out")
        assert snapshot(place / "out") == snapshot(source)
        assert report == ExtractReport(format=form, entries=first.entries, bytes=first.bytes)
        assert pack(place / "out", place / "second", format=form) == first
        assert (place / "first").read_bytes() == (place / "second").read_bytes()
        copy_tree(source, place / "copy")
        assert snapshot(place / "copy") == snapshot(source)


@few
@given(trees(), st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]), st.sampled_from(["", "gz", "bz2", "xz"]))
def test_tars_of_the_standard_library_are_read(tree: Tree, form: int, compression: str) -> None:
    with arena() as place:
        source = write_tree(place / "source", tree)
        with tarfile.open(place / "a", f"w:{compression}", format=form) as archive:  # type: ignore[call-overload]  # a mode put together
            archive.add(source, ".")
        extract(place / "a", place / "out")
        assert snapshot(place / "out") == snapshot(source)
