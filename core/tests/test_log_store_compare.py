"""The log here against the storage's copy of it: what differs, where, and which side is right."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from botdock.model.logs import LogChunk, Stream
from botdock.services.log_store import LogWriter
from botdock.services.log_store.layout import compress_segment, open_data, write_document
from botdock.services.log_store.verify import compare


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "fdatasync", lambda _: None)


class Copies(dict[str, bytes]):
    """What the storage holds; gives it in dribs, as a socket does, and counts what was closed."""

    closed = 0

    def open(self, name: str) -> io.BytesIO | None:
        return Dribs(self, self[name]) if name in self else None


class Dribs(io.BytesIO):
    def __init__(self, copies: Copies, data: bytes) -> None:
        super().__init__(data)
        self.copies = copies

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 7))

    def close(self) -> None:
        self.copies.closed += not self.closed
        super().close()


def write(directory: Path, *, end: bool = True) -> Copies:
    writer = LogWriter(directory, segment_bytes=30)
    for number in range(5):
        writer.append(LogChunk(Stream.STDOUT, b"this is line %d\n" % number, 1))
    closed = writer.seal_closed()
    copies = Copies()
    if end:
        writer.finish(complete=True)
    names = [path.name for path in directory.iterdir() if end or int(path.name.split(".")[1]) in closed]
    for name in names:
        with open_data(directory, name) as file:
            copies[name] = file.read()
    compress_segment(directory, 0)
    writer.close()
    return copies


@pytest.fixture
def copies(tmp_path: Path) -> Copies:
    return write(tmp_path)


def problem(directory: Path, copies: Copies, name: str) -> tuple[int | None, str]:
    found = compare(directory, copies.open)
    assert [finding.file for finding in found.findings] == [name]
    return found.findings[0].offset, found.findings[0].problem


def test_equal_copies_are_equal_and_are_closed(tmp_path: Path, copies: Copies) -> None:
    found = compare(tmp_path, copies.open)
    assert found.findings == ()
    assert (found.segments, found.bytes, found.ended) == (3, 75, True)
    assert copies.closed == len(copies)


def flipped(data: bytes) -> bytes:
    return data[:3] + b"XY" + data[5:]


@pytest.mark.parametrize("name", ["stdout.0", "stdout.1", "index.1", "segment.1.json", "end.json"])
def test_a_copy_that_is_damaged_is_told_from_the_right_one_here(tmp_path: Path, copies: Copies, name: str) -> None:
    copies[name] = flipped(copies[name])
    offset, text = problem(tmp_path, copies, name)
    assert offset == 3
    assert ("the hashes prove what is here" in text) == (not name.endswith(".json")), "documents prove themselves"


def test_the_right_copy_is_told_from_what_is_damaged_here(tmp_path: Path, copies: Copies) -> None:
    (tmp_path / "stdout.1").write_bytes(flipped(copies["stdout.1"]))
    offset, text = problem(tmp_path, copies, "stdout.1")
    assert offset == 3
    assert "the hashes prove the copy" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda data: data + b"more", "4 bytes longer"), (lambda data: data[:-5], "5 bytes shorter")],
)
def test_a_copy_of_another_length_is_said_to_be(
    tmp_path: Path, copies: Copies, change: Callable[[bytes], bytes], said: str
) -> None:
    right = copies["stdout.1"]
    copies["stdout.1"] = change(right)
    offset, text = problem(tmp_path, copies, "stdout.1")
    assert offset == min(len(right), len(copies["stdout.1"]))
    assert said in text


def test_no_side_is_said_to_be_right_that_no_hash_proves(tmp_path: Path, copies: Copies) -> None:
    (tmp_path / "stdout.1").write_bytes(flipped(copies["stdout.1"]))
    copies["stdout.1"] = copies["stdout.1"][:-1] + b"!"
    assert "prove" not in problem(tmp_path, copies, "stdout.1")[1]


def test_an_object_that_is_missing_is_named(tmp_path: Path, copies: Copies) -> None:
    del copies["index.2"]
    assert problem(tmp_path, copies, "index.2") == (None, "the storage does not hold it")


def test_a_file_that_is_missing_here_is_said_to_be_in_the_storage(tmp_path: Path, copies: Copies) -> None:
    (tmp_path / "stdout.1").unlink()
    assert "the storage holds a copy" in problem(tmp_path, copies, "stdout.1")[1]


def test_a_damaged_count_of_what_was_removed_hinders_no_comparison(tmp_path: Path, copies: Copies) -> None:
    for text in ("{", '{"version": 1}'):
        (tmp_path / "removed.json").write_text(text)
        assert compare(tmp_path, copies.open).segments == 3
    write_document(tmp_path / "removed.json", {"version": 1})
    assert compare(tmp_path, copies.open).findings == ()


def test_what_is_on_its_way_is_not_missing(tmp_path: Path) -> None:
    copies = write(tmp_path, end=False)
    assert compare(tmp_path, copies.open).findings == ()
    copies.clear()
    found = compare(tmp_path, copies.open)
    assert (found.ok, found.ended, found.segments) == (True, False, 2)
