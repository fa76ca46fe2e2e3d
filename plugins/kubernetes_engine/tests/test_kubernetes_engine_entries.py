"""The API server's log, taken apart: what the bot wrote, byte for byte, however the body is cut."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock_engine_kubernetes.entries import LONGEST, TOGETHER_NS, EntryReader, chunks_of

BEGIN = int(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()) * 10**9
PIECE = 16 * 1024

DATA = st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"")), max_size=12)


def stamp(time_ns: int) -> bytes:
    clock = datetime.fromtimestamp(time_ns // 10**9, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{clock}.{time_ns % 10**9:09}Z ".encode()


def body_of(lines: list[tuple[int, bytes]]) -> bytes:
    return b"".join(stamp(time_ns) + line for time_ns, line in lines)


def read(body: bytes, cuts: list[int]) -> list[tuple[int, bytes]]:
    reader = EntryReader()
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    entries = [entry for begin, end in itertools.pairwise(places) for entry in reader.feed(body[begin:end])]
    return entries + reader.finish()


@given(DATA, st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"")), st.lists(st.integers(0, 2000)))
def test_each_line_comes_whole_with_its_time_wherever_the_body_is_cut(
    data: list[bytes], last: bytes, cuts: list[int]
) -> None:
    lines = [(BEGIN + number * 7, line + b"\n") for number, line in enumerate(data)]
    lines += [(BEGIN + 10**9, last)] if last else []
    assert read(body_of(lines), cuts) == lines


def test_a_line_of_many_pieces_has_one_time_and_is_not_held_to_its_end() -> None:
    line = b"x" * (LONGEST + 3 * PIECE)
    reader = EntryReader()
    first = reader.feed(stamp(BEGIN) + line)
    assert first == [(BEGIN, line)]
    assert reader.feed(b"2026-01-02T03:04:05.1Z the bot wrote this\n") == [
        (BEGIN, b"2026-01-02T03:04:05.1Z the bot wrote this\n")
    ]
    assert reader.feed(stamp(BEGIN + 1) + b"y\n") == [(BEGIN + 1, b"y\n")]


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        (b"2026-01-02T03:04:05Z ", BEGIN),
        (b"2026-01-02T03:04:05.5Z ", BEGIN + 500_000_000),
        (b"2026-01-02T05:04:05.000000001+02:00 ", BEGIN + 1),
        (b"2026-01-01T21:34:05.000000001-05:30 ", BEGIN + 1),
    ],
)
def test_times_of_any_zone_and_width_are_understood(text: bytes, time_ns: int) -> None:
    assert read(text + b"hi\n", []) == [(time_ns, b"hi\n")]


def test_what_is_not_a_log_is_refused_with_its_words() -> None:
    with pytest.raises(ValueError, match="unable to retrieve"):
        read(b"unable to retrieve container logs for containerd://1", [])
    with pytest.raises(ValueError, match="boom"):
        read(stamp(BEGIN) + b"a\nboom\n", [])


def test_a_body_that_is_read_from_a_time_on_may_begin_within_a_line() -> None:
    reader = EntryReader(continues=True)
    assert reader.feed(b"rest of a line\n" + stamp(BEGIN) + b"next\n") == [(0, b"rest of a line\n"), (BEGIN, b"next\n")]
    assert reader.words == b"rest of a line\n"
    with pytest.raises(ValueError, match="again"):
        reader.feed(b"again\n")


@given(st.lists(st.tuples(st.integers(-(10**6), 2 * TOGETHER_NS), st.binary(min_size=1, max_size=3)), max_size=30))
def test_entries_of_one_moment_are_one_chunk_whose_time_is_the_last_ones(steps: list[tuple[int, bytes]]) -> None:
    time_ns, entries = BEGIN, []
    for step, data in steps:
        time_ns += step
        entries.append((time_ns, data))
    chunks = chunks_of(entries)
    assert b"".join(chunk.data for chunk in chunks) == b"".join(data for _, data in entries)
    times = [chunk.time_ns for chunk in chunks]
    assert all(abs(later - earlier) >= TOGETHER_NS for earlier, later in itertools.pairwise(times))
    assert times[-1:] == [time_ns for time_ns, _ in entries[-1:]]
    ends = [(sum(len(data) for _, data in entries[: n + 1]), time_ns) for n, (time_ns, _) in enumerate(entries)]
    sums = [(sum(len(chunk.data) for chunk in chunks[: n + 1]), chunk.time_ns) for n, chunk in enumerate(chunks)]
    assert set(sums) <= set(ends)
