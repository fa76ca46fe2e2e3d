"""Every damage to a stored log is found and named; a log that is whole is always so."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botdock.model.logs import LogChunk, LogGap, Stream
from botdock.services.log_store import LogWriter, StoredLog
from botdock.services.log_store.layout import END, REMOVED
from botdock.services.log_store.retention import compress_segment
from botdock.services.log_store.syndrome import single_bytes
from botdock.services.log_store.verify import Verification, verify

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


def files(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.iterdir()))


def test_a_log_that_is_whole_is_so(whole_log: Path) -> None:
    found = verify(whole_log)
    summary = StoredLog(whole_log).summary()
    assert summary is not None
    assert found.findings == ()
    assert found.ended
    assert (found.segments, found.bytes, found.lines) == (summary.segments, summary.bytes, summary.lines)


def test_any_byte_that_is_flipped_is_found_in_its_file(copy: Path) -> None:
    for path in files(copy):
        right = path.read_bytes()
        for offset in [*range(min(40, len(right))), *range(40, len(right) - 40, 7), *range(len(right))[-40:]]:
            path.write_bytes(right[:offset] + bytes([right[offset] ^ 1 << offset % 8]) + right[offset + 1 :])
            found = verify(copy)
            assert names_file(found, path.name), (path.name, offset, found)
            if path.name.startswith(("stdout", "stderr", "index")) and path.suffix != ".gz":
                [finding] = [finding for finding in found.findings if finding.file == path.name]
                assert (finding.offset, finding.length) == (offset, 1), finding
                assert f"was 0x{right[offset]:02x}" in finding.problem
        path.write_bytes(right)


def test_a_file_that_is_cut_extended_or_missing_is_named(copy: Path) -> None:
    for path in files(copy):
        right = path.read_bytes()
        for wrong in [right[:-1], right[: len(right) // 2], b"", right + b"\0", right + b"x" * 20, right + right]:
            if wrong == right:
                continue
            path.write_bytes(wrong)
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
    newest = max(int(path.name.split(".")[1]) for path in (tmp_path / "logs").glob("index.*"))
    with (tmp_path / "logs" / f"stdout.{newest}").open("ab") as file:
        file.write(b"half a chunk")
    found = verify(tmp_path / "logs")
    assert (found.ok, found.ended) == (True, False), found


def test_a_damaged_count_of_what_was_removed_is_told_from_damaged_data(copy: Path) -> None:
    (copy / REMOVED).write_text("{")
    assert {finding.file for finding in verify(copy).findings} == {REMOVED}


@given(data=st.binary(min_size=1, max_size=2000), place=st.integers(0, 1999), flipped=st.integers(1, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_syndrome_tells_which_byte_is_wrong(data: bytes, place: int, flipped: int) -> None:
    from zlib import crc32

    place %= len(data)
    wrong = data[:place] + bytes([data[place] ^ flipped]) + data[place + 1 :]
    assert (place, flipped) in list(single_bytes(crc32(data) ^ crc32(wrong), len(data)))
    assert list(single_bytes(0, len(data))) == []
