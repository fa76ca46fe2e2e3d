"""What no archive may hold, in whichever form it comes; nothing of it is left."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import attrs
import pytest

from botdock.archive import ArchiveLimits, extract
from botdock.archive._admission import Admission
from botdock.archive._entry import Entry, EntryKind
from botdock.config import CodeConfig
from botdock.errors import ArchiveError, ConfigError
from botdock_testing.archives import Member, snapshot, tar_of, zip_of

Build = Callable[[Iterable[Member]], bytes]

both = pytest.mark.parametrize("build", [zip_of, tar_of], ids=["zip", "tar"])


def link(name: str, target: str) -> Member:
    return Member(name, kind="symlink", target=target)


def hard(name: str, target: str) -> Member:
    return Member(name, kind="hard_link", target=target)


def refused(data: bytes, place: Path, limits: ArchiveLimits | None = None) -> ArchiveError:
    """Extract next to a canary, and return the refusal once it is sure that nothing changed."""
    (place / "canary").mkdir()
    (place / "canary" / "bird").write_bytes(b"alive")
    before = snapshot(place)
    with pytest.raises(ArchiveError) as caught:
        extract(io.BytesIO(data), place / "out", limits=limits or ArchiveLimits())
    assert snapshot(place) == before
    return caught.value


NAMES = {
    "../up": "traversal",
    "a/../../up": "traversal",
    "a/../b": "traversal",
    "a/..": "traversal",
    "/etc/cron.d/x": "absolute",
    "//server/share": "absolute",
    "back\\slash": "name",
    "..\\up": "name",
    "C:/windows": "name",
    "c:evil": "name",
    "line\nbreak": "name",
    "escape\x1b[2J": "name",
    "c1\x9bcontrol": "name",
    "delete\x7f": "name",
    "x" * 256: "name_bytes=255",
    "é" * 128: "name_bytes=255",
    "d/" * 600 + "f": "name_bytes=1024",
    "d/" * 65 + "f": "depth=64",
}


@both
@pytest.mark.parametrize(("name", "limit"), NAMES.items(), ids=[repr(name)[:20] for name in NAMES])
def test_names(name: str, limit: str, build: Build, tmp_path: Path) -> None:
    error = refused(build([Member("good"), Member(name, content=b"bad")]), tmp_path)
    assert (error.limit, error.entry) == (limit, name)


def test_a_name_with_a_nul(tmp_path: Path) -> None:
    error = refused(zip_of([Member("good"), Member("nul\0byte")]), tmp_path)
    assert (error.limit, error.entry) == ("name", "nul\0byte")


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    error = refused(tar_of([Member("good"), Member("latin-\udce9")], form=tarfile.GNU_FORMAT), tmp_path)
    assert (error.limit, error.entry) == ("name", "latin-\udce9")
    assert str(error).encode()  # a message can be shown, whatever it is about


SETS: dict[str, tuple[list[Member], str, str]] = {
    "the same file twice": ([Member("a"), Member("b"), Member("a")], "duplicate", "a"),
    "the same, spelt differently": ([Member("d/a"), Member("./d//a")], "duplicate", "./d//a"),
    "a folder where a file is": ([Member("d"), Member("d/", kind="folder")], "duplicate", "d/"),
    "the root as a file": ([Member("."), Member("a")], "name", "."),
    "case": ([Member("Read.me"), Member("README"), Member("readme")], "case_fold_duplicate", "readme"),
    "case of folders": ([Member("Dir/a"), Member("dir/b")], "case_fold_duplicate", "dir/b"),
    "case of a link": ([Member("a"), link("A", "a")], "case_fold_duplicate", "A"),
    "folding": ([Member("straße"), Member("STRASSE")], "case_fold_duplicate", "STRASSE"),
    "unicode form": ([Member("caf\u00e9"), Member("cafe\u0301")], "case_fold_duplicate", "cafe\u0301"),
    "a file, then a folder": ([Member("a"), Member("a/", kind="folder")], "duplicate", "a/"),
    "a folder, then a file": ([Member("a/", kind="folder"), Member("a")], "duplicate", "a"),
    "a file as a folder": ([Member("a"), Member("a/b")], "duplicate", "a/b"),
    "an implied folder as a file": ([Member("a/b"), Member("a")], "duplicate", "a"),
    "a device": ([Member("a"), Member("null", kind="device")], "device", "null"),
    "a pipe": ([Member("a"), Member("p", kind="fifo")], "device", "p"),
    "set-uid": ([Member("a"), Member("su", mode=0o4755)], "setuid", "su"),
    "set-gid": ([Member("a"), Member("sg", mode=0o2755)], "setuid", "sg"),
    "nothing": ([], "empty", ""),
    "only folders": ([Member("d/", kind="folder")], "empty", ""),
    "a link up": ([link("l", "../x")], "link_escape", "l"),
    "a link up, from below": ([link("d/l", "../../x")], "link_escape", "d/l"),
    "an absolute link": ([link("l", "/etc/passwd")], "link_escape", "l"),
    "a link to nothing": ([link("l", "")], "name", "l"),
    "a link of control characters": ([link("l", "a\x07")], "name", "l"),
    "a link that is too long": ([link("l", "a/" * 600)], "name_bytes=1024", "l"),
    "a link in a circle": ([link("a", "b"), link("b", "a")], "link_escape", "a"),
    "a link to itself": ([link("a", "./a")], "link_escape", "a"),
    "links that pile up a path that nothing can have": (
        [
            Member("f"),
            link("a", "f" * 200),
            link("b", "a" + ("/" + "x" * 200) * 4),
            link("c", "b" + ("/" + "y" * 200) * 4),
            link("d", "c" + ("/" + "z" * 200) * 4),
        ],
        "link_escape",
        "d",
    ),
    "a file through a link": ([link("l", "d"), Member("d/", kind="folder"), Member("l/f")], "link_escape", "l/f"),
    "a file over a link": ([link("l", "f"), Member("l")], "link_escape", "l"),
    "a link over a file": ([Member("l"), link("l", "f")], "duplicate", "l"),
    "a link over a folder": ([Member("d/f"), link("d", "x")], "duplicate", "d"),
    "a link below a link": ([link("l", "d"), Member("d/f"), link("l/m", "f")], "link_escape", "l/m"),
    # As text d/root/../x is d/x; but d/root is the root, and one above that is outside.
    "a link through a link": ([Member("d/e/f"), link("d/root", ".."), link("m", "d/root/../x")], "link_escape", "m"),
    "the same, the other way round": ([link("m", "d/root/../x"), link("d/root", "..")], "link_escape", "m"),
    "through another spelling": ([link("Root/l", ".."), link("m", "root/L/../x")], "link_escape", "m"),
}


@both
@pytest.mark.parametrize("case", SETS)
def test_sets_of_entries(case: str, build: Build, tmp_path: Path) -> None:
    members, limit, entry = SETS[case]
    error = refused(build(members), tmp_path)
    assert (error.limit, error.entry) == (limit, entry or None)


@both
@pytest.mark.parametrize("order", [1, -1])
def test_chains_of_links_are_followed_as_far_as_linux_does(build: Build, order: int, tmp_path: Path) -> None:
    chain = [link("l0", "f"), *(link(f"l{number}", f"l{number - 1}") for number in range(1, 41))][::order]
    error = refused(build([Member("f"), *chain]), tmp_path)
    assert error.limit == "link_escape"
    good = [member for member in chain if member.name != "l40"]
    extract(io.BytesIO(build([Member("f", content=b"end"), *good])), tmp_path / "out")
    assert (tmp_path / "out" / "l39").read_bytes() == b"end"


HARD_LINKS = {
    "outside": [hard("l", "../canary/bird")],
    "absolute": [hard("l", "/etc/passwd")],
    "to what comes later": [hard("l", "f"), Member("f")],
    "to a folder": [Member("d/f"), hard("l", "d")],
    "to a symbolic link": [Member("f"), link("s", "f"), hard("l", "s")],
    "through a symbolic link": [Member("d/f"), link("s", "d"), hard("l", "s/f")],
    "to another spelling": [Member("f"), hard("l", "F")],
    "to itself": [hard("l", "l")],
}


@pytest.mark.parametrize("case", HARD_LINKS)
def test_hard_links(case: str, tmp_path: Path) -> None:
    error = refused(tar_of(HARD_LINKS[case]), tmp_path)
    assert (error.limit, error.entry) == ("link_escape", "l")


def test_a_set_uid_hard_link(tmp_path: Path) -> None:
    members = [Member("f"), Member("l", kind="hard_link", target="f", mode=0o4755)]
    assert refused(tar_of(members), tmp_path).limit == "setuid"


LIMITS = {
    "total_bytes=10": (
        ArchiveLimits(total_bytes=10),
        [Member("a", content=b"12345"), Member("b", content=b"123456")],
        "b",
    ),
    "file_bytes=5": (ArchiveLimits(file_bytes=5), [Member("a", content=b"12345"), Member("b", content=b"123456")], "b"),
    "entries=3": (ArchiveLimits(entries=3), [Member("a/b"), Member("c"), Member("d")], "d"),
    "depth=1": (ArchiveLimits(depth=1), [Member("a/b"), Member("c/d/e")], "c/d/e"),
    "name_bytes=4": (ArchiveLimits(name_bytes=4), [Member("abcd"), Member("abcde")], "abcde"),
}


@both
@pytest.mark.parametrize("limit", LIMITS)
def test_limits_let_through_what_they_name_and_not_one_more(limit: str, build: Build, tmp_path: Path) -> None:
    limits, members, entry = LIMITS[limit]
    error = refused(build(members), tmp_path, limits)
    assert (error.limit, error.entry) == (limit, entry)
    report = extract(io.BytesIO(build(members[:-1])), tmp_path / "out", limits=limits)
    assert report.entries >= 1


@both
def test_entries_count_implied_folders(build: Build, tmp_path: Path) -> None:
    assert refused(build([Member("a/b/c/d")]), tmp_path, ArchiveLimits(entries=3)).limit == "entries=3"


BOMB = [Member("zeros", content=bytes(3 << 20))]


@pytest.mark.parametrize(
    "data",
    [
        zip_of(BOMB),
        tar_of(BOMB, compression="gz"),
        tar_of(BOMB, compression="bz2"),
        tar_of(BOMB, compression="xz"),
        tar_of(BOMB, compression="zst"),
    ],
    ids=["zip", "gz", "bz2", "xz", "zst"],
)
def test_what_unpacks_to_too_much_of_its_size(data: bytes, tmp_path: Path) -> None:
    error = refused(data, tmp_path)
    assert (error.limit, error.entry) == ("ratio=200", "zeros")
    assert error.hint is not None
    assert "code.ratio" in error.hint
    extract(io.BytesIO(data), tmp_path / "out", limits=ArchiveLimits(ratio=100_000))


def test_the_ratio_counts_only_past_a_mebibyte(tmp_path: Path) -> None:
    extract(io.BytesIO(zip_of([Member("zeros", content=bytes(1 << 20))])), tmp_path / "out")


def test_the_targets_of_links_count_for_the_ratio(tmp_path: Path) -> None:
    links = [link(f"l{number}", "x/" * 500) for number in range(2000)]
    assert refused(tar_of(links, compression="xz"), tmp_path).limit == "ratio=200"


def test_the_link_whose_target_is_too_much_is_named(tmp_path: Path) -> None:
    links = [link(f"l{number}", "x/" * 500) for number in range(2000)]
    error = refused(zip_of(links), tmp_path, ArchiveLimits(ratio=2))
    assert (error.limit, error.entry) == ("ratio=2", "l1048")  # the first behind a MiB of targets


def test_the_targets_of_links_have_a_total(tmp_path: Path) -> None:
    links = [link(f"l{number}", "x/" * 500) for number in range(2000)]
    error = refused(zip_of(links), tmp_path, ArchiveLimits(total_bytes=100))
    assert (error.limit, error.entry) == ("total_bytes=100", "l1048")


def test_limits_are_those_of_the_configuration() -> None:
    configured = attrs.asdict(CodeConfig())
    assert attrs.asdict(ArchiveLimits()) == {name: configured[name] for name in attrs.asdict(ArchiveLimits())}


def test_wrong_limits_are_all_named() -> None:
    with pytest.raises(ConfigError) as caught:
        ArchiveLimits(entries=0, ratio=-1, depth=257)
    assert [problem.split(":")[1].strip() for problem in caught.value.problems] == ["entries", "ratio", "depth"]


def test_the_message_names_archive_entry_and_reason(tmp_path: Path) -> None:
    archive = tmp_path / "evil.zip"
    archive.write_bytes(zip_of([Member("../x")]))
    with pytest.raises(ArchiveError) as caught:
        extract(archive, tmp_path / "out")
    assert str(caught.value) == f"{archive}: entry '../x' climbs with '..'"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("kind", [EntryKind.FILE, EntryKind.SYMLINK])
def test_names_and_targets_take_bounded_memory(kind: EntryKind) -> None:
    tree = Admission(ArchiveLimits())
    names = (("É" * 120 + "/") * 3 + str(number) for number in range(100_000))
    with pytest.raises(ArchiveError) as caught:
        any(tree.add(Entry(name=name, kind=kind, target="x" * 1000)) is None for name in names)
    assert caught.value.limit == "names"
    assert len(tree.nodes) < 30_000  # each some 900 bytes, in two forms
