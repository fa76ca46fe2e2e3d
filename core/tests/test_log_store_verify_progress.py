"""A check of a log tells how far it is: steadily, seldom, and to the end."""

import os
from pathlib import Path

import pytest

from botdock.model.logs import LogChunk, Stream
from botdock.services.log_store import LogWriter
from botdock.services.log_store.files import PIECE, open_data
from botdock.services.log_store.findings import Meter
from botdock.services.log_store.retention import compress_segment
from botdock.services.log_store.verify import compare, verify

MIB = 1024 * 1024
SEGMENTS = 3


class Told(list[tuple[int, int]]):
    def __call__(self, checked: int, total: int) -> None:
        self.append((checked, total))

    def check(self, total: int, *, steps: int) -> None:
        counts = [checked for checked, _ in self]
        assert {known for _, known in self} == {total}
        assert counts == sorted(set(counts)), "never twice the same, and never less"
        assert (counts[0], counts[-1]) == (0, total)
        assert steps <= len(counts) <= total // PIECE + 2


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of three segments of 4 MiB, that do not get much smaller, and one that is open."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    writer = LogWriter(tmp_path, segment_bytes=4 * MIB)
    for time_ns in range(SEGMENTS * 16 + 3):
        writer.append(LogChunk(Stream.STDOUT if time_ns % 2 else Stream.STDERR, os.urandom(MIB // 4), time_ns))
    assert writer.seal_closed() == list(range(SEGMENTS))
    writer.close()
    return tmp_path


def size(log: Path) -> int:
    return sum(path.stat().st_size for path in log.iterdir())


def test_a_check_tells_of_all_bytes_on_disk(log: Path) -> None:
    told = Told()
    assert verify(log, on_progress=told).ok
    told.check(size(log), steps=8)


def test_what_is_compressed_counts_as_it_lies_there(log: Path) -> None:
    compress_segment(log, 1)
    told = Told()
    assert verify(log, on_progress=told).ok
    told.check(size(log), steps=8)


def test_what_is_added_compressed_or_removed_meanwhile_changes_no_total(log: Path) -> None:
    total, told, writer = size(log), Told(), LogWriter(log, segment_bytes=4 * MIB)

    def change(checked: int, known: int) -> None:
        told(checked, known)
        if len(told) == 2:
            writer.append(LogChunk(Stream.STDOUT, bytes(MIB), 99))
            compress_segment(log, 0)
            writer.remove_oldest()
            writer.remove_oldest()

    found = verify(log, on_progress=change)
    writer.close()
    assert (found.findings, found.summary.removed_segments) == ((), 2)
    told.check(total, steps=4)


def test_a_damaged_log_is_checked_to_its_end(log: Path) -> None:
    (log / "stdout.1").write_bytes(bytes(5 * MIB))
    (log / "stderr.2").unlink()
    told = Told()
    assert not verify(log, on_progress=told).ok
    told.check(size(log), steps=4)


def test_a_comparison_tells_of_the_sealed_segments(log: Path) -> None:
    compress_segment(log, 1)
    told = Told()
    assert compare(log, lambda name: open_data(log, name), on_progress=told).ok
    sealed = [path for path in log.iterdir() if not path.name.endswith(f".{SEGMENTS}")]
    told.check(sum(path.stat().st_size for path in sealed), steps=8)


def test_a_log_of_nothing_is_told_of_once(tmp_path: Path) -> None:
    told = Told()
    verify(tmp_path, on_progress=told)
    assert told == [(0, 0)]


def test_who_does_not_ask_costs_no_look_at_the_disk(tmp_path: Path) -> None:
    meter = Meter(tmp_path / "nowhere", range(3), None)
    meter.begin(0, 10 * MIB)
    meter.count(10 * MIB)
    meter.end(0)
    meter.finish()
    with pytest.raises(FileNotFoundError):
        Meter(tmp_path / "nowhere", range(3), Told())
