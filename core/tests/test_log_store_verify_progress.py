"""A check of a log tells how far it is: steadily, seldom, and to the end."""

import os
from pathlib import Path

import pytest

from botdock.model.logs import LogChunk, Stream
from botdock.services.log_store import LogWriter
from botdock.services.log_store.layout import PIECE, compress_segment, open_data
from botdock.services.log_store.verify import compare, verify
from botdock.services.log_store.verify_segment import Meter

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


def size(log: Path, segments: int = SEGMENTS + 1) -> int:
    """Return how much is in the files, unpacked, that are read piece by piece."""
    names = [f"{name}.{number}" for number in range(segments) for name in ("stdout", "stderr", "index")]
    total = 0
    for name in names:
        with open_data(log, name) as file:
            total += len(file.read())
    return total


def test_a_check_tells_of_all_bytes(log: Path) -> None:
    told = Told()
    assert verify(log, on_progress=told).ok
    told.check(size(log), steps=8)


def test_what_is_compressed_counts_as_if_it_were_not(log: Path) -> None:
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
    total, told = size(log), Told()
    (log / "stdout.1").write_bytes(bytes(5 * MIB))
    (log / "stderr.2").unlink()
    assert not verify(log, on_progress=told).ok
    told.check(total, steps=4)


def test_a_comparison_tells_of_the_sealed_segments(log: Path) -> None:
    compress_segment(log, 1)
    told = Told()
    assert compare(log, lambda name: open_data(log, name), on_progress=told).ok
    told.check(size(log, SEGMENTS), steps=8)


def test_a_log_of_nothing_is_told_of_once(tmp_path: Path) -> None:
    told = Told()
    verify(tmp_path, on_progress=told)
    assert told == [(0, 0)]


def test_a_check_without_a_listener_costs_no_look_at_the_disk(tmp_path: Path) -> None:
    meter = Meter(tmp_path / "nowhere", range(3), None)
    meter.begin(0)
    meter.count(10 * MIB)
    meter.finish()
