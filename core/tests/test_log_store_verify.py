"""Every damage to a stored log is found and named; a log that is whole is always so."""

import gzip
import hashlib
import os
import random
import shutil
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from botdock.model.logs import LogChunk, LogGap, Stream
from botdock.services.log_store import LogWriter, StoredLog
from botdock.services.log_store.layout import END, REMOVED, compress_segment, open_data, parse_document, write_document
from botdock.services.log_store.verify import Verification, verify
from testbed.drills import SEED, count

TEXT = b"a line of the secret kind\nand another\n\x00\xff\r\n" * 3


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "fdatasync", lambda _: None)


def write_log(directory: Path, *, compress: bool, end: bool = True) -> None:
    """Write a log of several segments with gaps, masks, and a segment that retention has removed."""
    writer = LogWriter(directory, segment_bytes=120, secrets=[b"secret"])
    for number in range(12):
        stream = Stream.STDERR if number % 3 == 2 else Stream.STDOUT
        writer.append(LogChunk(stream, TEXT[number : number + 50 + number], 10**18 + number * 10**9))
        if number % 5 == 4:
            writer.note_gap(LogGap(stream=stream, size=7, since_ns=5))
            writer.note_gap(LogGap(stream=stream, size=None, since_ns=5, until_ns=10**9))
    writer.flush()
    closed = writer.seal_closed()
    assert len(closed) > 3
    assert writer.remove_oldest()
    for number in closed[1:-1] if compress else ():
        compress_segment(directory, number)
    if end:
        writer.finish(complete=True)
    writer.sync()
    writer.close()


@pytest.fixture(scope="module", params=["plain", "compressed"])
def whole_log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory: Path = tmp_path_factory.mktemp("whole") / "logs"
    write_log(directory, compress=request.param == "compressed")
    return directory


@pytest.fixture
def copy(whole_log: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole_log, tmp_path / "logs"))


def names_file(found: Verification, name: str) -> bool:
    return any(finding.file == name for finding in found.findings)


def stored(directory: Path, stream: Stream) -> bytes:
    data = b""
    for number in range(1, newest(directory) + 1):
        with open_data(directory, f"{stream}.{number}") as file:
            data += file.read()
    return data


def newest(directory: Path) -> int:
    return max(int(path.name.split(".")[1]) for path in directory.glob("index.*"))


def files(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.iterdir()))


def holds_the_same(path: Path, right: bytes) -> bool:
    """Return whether a compressed file unpacks to the same: idle bits of gzip's frame mean nothing."""
    if path.suffix != ".gz":
        return False
    try:
        with gzip.open(path) as file:
            return file.read() == gzip.decompress(right)
    except (OSError, EOFError, zlib.error):
        return False


def test_a_log_that_is_whole_is_so(whole_log: Path) -> None:
    found = verify(whole_log)
    summary = StoredLog(whole_log).summary()
    assert summary is not None
    assert found.findings == ()
    assert found.ended
    assert found.summary == summary


def test_any_byte_that_is_flipped_is_found_in_its_file(copy: Path) -> None:
    chance = random.Random(SEED)
    for path in files(copy):
        right = path.read_bytes()
        offsets = [*range(min(40, len(right))), *range(40, len(right) - 40, 7), *range(len(right))[-40:]]
        for offset in chance.sample(offsets, len(offsets) // count(1, 8)):
            path.write_bytes(right[:offset] + bytes([right[offset] ^ 1 << offset % 8]) + right[offset + 1 :])
            found = verify(copy)
            if holds_the_same(path, right):
                continue
            assert names_file(found, path.name), (path.name, offset, found)
            if path.name.startswith(("stdout", "stderr", "index")) and path.suffix != ".gz":
                [finding] = [finding for finding in found.findings if finding.file == path.name]
                assert finding.offset is not None
                assert finding.length is not None
                assert offset in range(finding.offset, finding.offset + finding.length), finding
        path.write_bytes(right)


def test_a_file_that_is_cut_extended_or_missing_is_named(copy: Path) -> None:
    for path in files(copy):
        right = path.read_bytes()
        for wrong in [right[:-1], right[: len(right) // 2], b"", right + b"\0", right + b"x" * 20, right + right]:
            path.write_bytes(wrong)
            if wrong == right or holds_the_same(path, right):
                continue
            assert names_file(verify(copy), path.name), (path.name, len(wrong), verify(copy))
        path.unlink()
        if path.name == END:
            assert not verify(copy).ended
        else:
            assert names_file(verify(copy), path.name.removesuffix(".gz")), path.name
        path.write_bytes(right)


def test_files_that_are_swapped_are_named(copy: Path) -> None:
    paths = list(files(copy))
    for one, other in zip(paths, paths[1:] + paths[:1], strict=True):
        first, second = one.read_bytes(), other.read_bytes()
        if first == second:
            continue
        one.write_bytes(second)
        other.write_bytes(first)
        found = verify(copy)
        assert names_file(found, one.name) or names_file(found, other.name), (one, other)
        one.write_bytes(first)
        other.write_bytes(second)


def test_what_does_not_belong_there_is_named(copy: Path) -> None:
    (copy / "notes.txt").write_text("hm")
    (copy / "stdout.0").write_text("removed, and there again")
    found = verify(copy)
    assert names_file(found, "notes.txt")
    assert names_file(found, "stdout.0")


def test_a_log_that_is_being_written_is_no_damage(tmp_path: Path) -> None:
    write_log(tmp_path / "logs", compress=True, end=False)
    with (tmp_path / "logs" / f"stdout.{newest(tmp_path / 'logs')}").open("ab") as file:
        file.write(b"half a chunk")
    found = verify(tmp_path / "logs")
    assert (found.ok, found.ended) == (True, False), found


def test_what_is_counted_is_what_is_hashed(copy: Path) -> None:
    """Also of a log that is damaged, and of one whose index says less than there is."""
    path = next(path for path in files(copy) if path.stem == "stdout" and path.stat().st_size)
    path.write_bytes(b"!!" + path.read_bytes()[2:])
    assert not verify(copy).ok
    summary = verify(copy).summary
    for stream in Stream:
        data = stored(copy, stream)
        assert summary.streams[stream] == {
            "bytes": len(data),
            "lines": data.count(b"\n") + (data[-1:] != b"\n"),
            "sha256": hashlib.sha256(data).hexdigest(),
        }


def test_only_what_records_name_is_hashed_of_a_log_that_is_being_written(tmp_path: Path) -> None:
    write_log(tmp_path / "logs", compress=False, end=False)
    before = verify(tmp_path / "logs").summary
    with (tmp_path / "logs" / f"stdout.{newest(tmp_path / 'logs')}").open("ab") as file:
        file.write(b"half a chunk")
    assert verify(tmp_path / "logs").summary == before
    assert before.streams["stderr"]["sha256"] == hashlib.sha256(stored(tmp_path / "logs", Stream.STDERR)).hexdigest()
    assert (before.removed_segments, before.masked > 0, before.gaps) == (1, True, 4)


def test_counts_that_are_damaged_do_not_say_that_a_log_is_complete(copy: Path) -> None:
    whole = verify(copy).summary
    document = parse_document((copy / END).read_bytes())
    write_document(copy / END, {**document, "complete": 1})
    found = verify(copy)
    assert found.summary == attrs.evolve(whole, complete=False)
    assert "it says complete 1, there is False" in found.findings[0].problem


def test_a_log_that_a_writer_adds_to_all_the_time_is_right(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, segment_bytes=100_000)
    begun, ended = threading.Event(), threading.Event()

    def write() -> None:
        while not ended.is_set():
            writer.append(LogChunk(Stream.STDOUT, b"and another\n", 1))
            begun.set()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert begun.wait(30)
        found = [verify(tmp_path) for _ in range(10)]
    finally:
        ended.set()
        thread.join()
        writer.close()
    assert [one.findings for one in found] == [()] * 10
    assert [one.summary.lines * 12 for one in found] == [one.summary.bytes for one in found]
    assert found[-1].summary.bytes > 0


def test_a_damaged_count_of_what_was_removed_is_told_from_damaged_data(copy: Path) -> None:
    (copy / REMOVED).write_text("{")
    assert {finding.file for finding in verify(copy).findings} == {REMOVED}
