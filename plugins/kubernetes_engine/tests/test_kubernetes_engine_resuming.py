"""A reader that goes on: exactly behind what is stored, or a gap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.model import LogCursor
from botdock.services.logs.intake import condense
from botdock_engine_kubernetes.entries import chunks_of
from botdock_engine_kubernetes.resuming import SKEW_NS, Position, ToEnd, ToMark, find_last, fits

BEGIN = 1_800_000_000 * 10**9
TAIL = 4096

Entry = tuple[int, bytes]

LINES = st.lists(
    st.tuples(st.integers(1, 20_000_000), st.sampled_from([b"tick\n", b"tock\n", b"a line\n", b"\n"])),
    min_size=1,
    max_size=40,
)


def entries_of(steps: list[tuple[int, bytes]]) -> list[Entry]:
    time_ns, entries = BEGIN, []
    for step, data in steps:
        time_ns += step
        entries.append((time_ns, data))
    return entries


def cursor_of(stored: list[Entry]) -> LogCursor:
    """Return the cursor as the store has it after one read of these."""
    chunks = condense(chunks_of(stored), largest=1024 * 1024)
    data = b"".join(chunk.data for chunk in chunks)
    times = [chunk.time_ns for chunk in chunks]
    return LogCursor(stdout=len(data), first_ns=min(times), last_ns=max(times), stdout_tail=data[-TAIL:])


def bytes_of(entries: list[Entry]) -> bytes:
    return b"".join(data for _, data in entries)


def fed(skip: ToMark | ToEnd, entries: list[Entry]) -> list[Entry]:
    """Return what is new of entries that come one by one."""
    return [new for entry in entries for new in skip.feed([entry])] + skip.finish()


@given(LINES, st.data())
def test_the_mark_is_exact_even_where_all_lines_are_alike(steps: list[tuple[int, bytes]], data: st.DataObject) -> None:
    entries = entries_of(steps)
    count = data.draw(st.integers(1, len(entries)))
    gone = data.draw(st.integers(0, count - 1))
    cursor = cursor_of(entries[:count])
    skip = ToMark(cursor.last_ns, size=None, tail=cursor.stdout_tail)
    assert fed(skip, entries[gone:]) == entries[count:]
    assert (skip.found, skip.passed, skip.matched) == (True, False, entries[count - 1][1])


@given(LINES, st.data())
def test_what_the_kubelet_still_has_is_read_on_where_it_was_left(
    steps: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    entries = entries_of(steps)
    count = data.draw(st.integers(1, len(entries)))
    cursor = cursor_of(entries[:count])
    later = [number for number in range(count) if entries[number][0] > cursor.first_ns]  # no file is that short
    gone = data.draw(st.sampled_from([0, *later]))
    skip = ToEnd(cursor)
    assert bytes_of(fed(skip, entries[gone:])) == bytes_of(entries[count:])
    assert skip.found
    assert not skip.lost


@given(LINES, st.integers(0, 300))
def test_counts_alone_do_while_the_first_byte_is_there(steps: list[tuple[int, bytes]], count: int) -> None:
    entries = entries_of(steps)
    assert bytes_of(fed(ToEnd(LogCursor(stdout=count)), entries)) == bytes_of(entries)[count:]


@pytest.mark.parametrize("later", [1, SKEW_NS + 1])
def test_what_was_rotated_away_is_a_gap(later: int) -> None:
    cursor = LogCursor(stdout=100, first_ns=BEGIN, last_ns=BEGIN + 10, stdout_tail=b"stored\n")
    rest = [(cursor.last_ns + later, b"new\n"), (cursor.last_ns + later + 5, b"newer\n")]
    skip = ToEnd(cursor)
    assert fed(skip, rest) == rest
    (gap,) = skip.lost
    assert (gap.size, gap.since_ns, gap.until_ns) == (None, cursor.last_ns, rest[0][0])


def test_of_an_empty_file_nothing_is_known() -> None:
    skip = ToEnd(LogCursor(stdout=100, first_ns=BEGIN, last_ns=BEGIN + 10, stdout_tail=b"stored\n"))
    assert fed(skip, []) == []
    assert (skip.found, len(skip.lost)) == (True, 1)


def test_a_file_that_has_what_is_stored_elsewhere_is_searched() -> None:
    rotated = [(BEGIN + 1, b"stored, and half"), (BEGIN + 1, b" a line\n"), (BEGIN + 2, b"next\n")]
    cursor = LogCursor(stdout=999, first_ns=BEGIN, last_ns=BEGIN + 1, stdout_tail=b"******, and half a")
    skip = ToEnd(cursor)
    assert bytes_of(fed(skip, rotated)) == b" line\nnext\n"
    assert not skip.lost
    skip = ToEnd(LogCursor(stdout=999, first_ns=BEGIN, last_ns=BEGIN + 1, stdout_tail=b"something else\n"))
    assert bytes_of(fed(skip, rotated)) == b"next\n"
    assert skip.lost


def test_a_mark_that_cannot_be_certain_is_passed() -> None:
    pieces = [(BEGIN, b"x" * 100), (BEGIN, b"x" * 100 + b"\n")]
    skip = ToMark(BEGIN, size=None, tail=b"x" * 50)
    assert fed(skip, pieces) == []
    assert (skip.found, skip.passed) == (False, True)
    skip = ToMark(BEGIN, size=None, tail=b"x")
    assert fed(skip, [(BEGIN + SKEW_NS + 1, b"later\n")]) == []
    assert skip.passed


@given(LINES, st.integers(0, 300))
def test_a_reader_knows_its_own_position_to_the_byte(steps: list[tuple[int, bytes]], cut: int) -> None:
    entries = [(BEGIN, data) for _, data in steps]  # all of one time
    position = Position()
    delivered = ToEnd(LogCursor(stdout=cut)).feed(entries)
    position.advance(entries[: len(entries) - len(delivered)])
    skip = ToMark(position.time_ns, size=position.size)
    assert bytes_of(fed(skip, entries)) == bytes_of(entries)[position.size :]


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_a_tail_fits_where_it_ends_the_data_and_a_mask_fits_any_byte(before: bytes, tail: bytes) -> None:
    shown = tail.replace(b"a", b"*").replace(b"\x00", b"*")
    assert fits(before + tail, shown)
    assert find_last(before + tail + b"*" * 0, shown) == len(before + tail)
