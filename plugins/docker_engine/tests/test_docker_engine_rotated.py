"""Logs whose beginning Docker has rotated away: whatever was stored, what follows is exact, or the gap is told."""

from __future__ import annotations

import os
import random
import selectors
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from botdock.errors import ContainerError
from botdock.model import LogCursor, LogGap, Stream
from botdock_engine_docker.entries import FULL_FRAME
from botdock_engine_docker.errors import Call
from botdock_engine_docker.logs import LogReader
from botdock_engine_docker.tails import NO_CHANCE, SKEW_NS
from testbed.drills import count

SECOND = 10**9
BEGIN = 1_700_000_000 * SECOND
CALL = Call(operation="read_logs", url="unix:///fake", timeout=5.0, container_id="c1")
ENDED = b'{"Id": "c1", "State": {"Status": "exited", "ExitCode": 0}}'
NUMBERS = {Stream.STDOUT: 1, Stream.STDERR: 2}


def short(data: object) -> str:
    return repr(data) if len(repr(data)) < 200 else f"{repr(data)[:100]}... {repr(data)[-50:]}"


@attrs.frozen
class Entry:
    """One entry of a log: what the daemon has of it, and what the bot wrote."""

    stream: Stream
    time_ns: int
    kept: bytes = attrs.field(repr=short)
    written: bytes = attrs.field(repr=short)

    @property
    def frame(self) -> bytes:
        moment = datetime.fromtimestamp(self.time_ns // SECOND, UTC)
        payload = f"{moment:%Y-%m-%dT%H:%M:%S}.{self.time_ns % SECOND:09}Z ".encode() + self.kept
        return bytes([NUMBERS[self.stream], 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


def entries_of(stream: Stream, time_ns: int, line: bytes, *, keeps: bool) -> list[Entry]:
    """Return the entries that Docker's log copier and the driver `local` make of a line."""
    body = line.removesuffix(b"\n")
    if len(body) < FULL_FRAME:
        return [Entry(stream, time_ns, line, line)]
    pieces = [body[start : start + FULL_FRAME] for start in range(0, len(body), FULL_FRAME)]
    full = [Entry(stream, time_ns, piece, piece) for piece in pieces if len(piece) == FULL_FRAME]
    rest = body[len(full) * FULL_FRAME :]
    return [*full, Entry(stream, time_ns, rest + b"\n" if keeps else rest, rest + b"\n")]


class CannedWire:
    """An answer that is there at once; its descriptor is always readable."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = list(pieces)
        self._descriptor = os.eventfd(1)
        self.received, self.events = 0, selectors.EVENT_READ

    @property
    def ended(self) -> bool:
        return not self._pieces

    def receive(self, _timeout: float) -> bytes:
        piece = self._pieces.pop(0) if self._pieces else b""
        self.received += len(piece)
        return piece

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


class CannedLog:
    """A log that loses some of its first entries before each answer, never the last one."""

    call = CALL
    is_far = False

    def __init__(self, entries: Sequence[Entry], rotations: Sequence[int] = (), *, cut: int = 10_000) -> None:
        self.entries = list(entries)
        self._size = len(self.entries)
        self._rotations = list(rotations)
        self._cut = cut
        self.gone = 0
        """Entries that were gone when it was last read in the way in which it is delivered."""
        self.asked: list[tuple[bool, int]] = []
        self.wires: list[CannedWire] = []
        self.sees: Callable[[int, list[Entry]], list[Entry]] = lambda _number, entries: entries

    def ahead_ns(self) -> int:
        return 0

    def open(self, method: str, what: str) -> CannedWire:
        return self.ask(method, what)

    def ask(self, _method: str, what: str) -> CannedWire:
        if not what.startswith("/logs"):  # it has ended when it is asked
            return CannedWire([ENDED])
        query = dict(parse_qsl(urlsplit(what).query))
        follow, since_ns = query["follow"] == "1", int(query.get("since", "0").replace(".", ""))
        self.asked.append((follow, since_ns))
        if self._rotations:
            del self.entries[: min(self._rotations.pop(0), len(self.entries) - 1)]
        if follow or not any(followed for followed, _ in self.asked):
            self.gone = self._size - len(self.entries)
        kept = [entry for entry in self.entries if entry.time_ns >= since_ns]
        data = b"".join(entry.frame for entry in self.sees(len(self.asked), kept))
        self.wires.append(CannedWire([data[at : at + self._cut] for at in range(0, len(data), self._cut)] or [b""]))
        return self.wires[-1]


def read(log: CannedLog, cursor: LogCursor, *, follow: bool = False) -> tuple[dict[Stream, bytes], Sequence[LogGap]]:
    written = dict.fromkeys(Stream, b"")
    with LogReader(cast("Any", log), cursor=cursor, follow=follow) as stream:
        for _ in range(10_000):
            for chunk in stream.read(0.0):
                written[chunk.stream] += chunk.data
            if stream.ended:
                return written, stream.lost
    raise AssertionError("the log does not end")


def text(entries: Sequence[Entry], stream: Stream) -> bytes:
    return b"".join(entry.written for entry in entries if entry.stream is stream)


def stored(entries: Sequence[Entry], count: int, part: int, *, tail: int = 4096, late_ns: int = 0) -> LogCursor:
    """Return the cursor of one who has stored `count` entries, and `part` bytes of the next one."""
    whole = [*entries[:count], *(attrs.evolve(entry, written=entry.written[:part]) for entry in entries[count:][:1])]
    texts = {stream: text(whole, stream) for stream in Stream}
    times = [entry.time_ns for entry in whole if entry.written]
    return LogCursor(
        stdout=len(texts[Stream.STDOUT]),
        stderr=len(texts[Stream.STDERR]),
        first_ns=times[0] + late_ns if times else 0,
        last_ns=times[-1] + late_ns if times else 0,
        stdout_tail=texts[Stream.STDOUT][-tail:],
        stderr_tail=texts[Stream.STDERR][-tail:],
    )


LONGEST = 3 * FULL_FRAME + 5
GAPS = st.sampled_from([1_000, 10**6, SECOND // 10, 3 * SECOND, 100 * SECOND])


@cache
def noise(number: int) -> bytes:
    """Return bytes of which no part is in those of another number."""
    return random.Random(number).randbytes(2 * LONGEST).translate(None, b"\n*")[:LONGEST]


def ruler(number: int) -> bytes:
    """Return a line each few bytes of which say which line they are of, and where in it."""
    return b"".join(b"%c%02d" % (65 + number, place) for place in range(8))


@st.composite
def bots(draw: st.DrawFn) -> list[Entry]:
    """The log of a bot: lines of their own, lines that are all the same but seconds apart, very long lines."""
    keeps = draw(st.booleans())
    time_ns, made = BEGIN, []
    for number in range(draw(st.integers(1, 14))):
        stream = draw(st.sampled_from(Stream))
        kind = draw(st.sampled_from(["own", "own", "same", "long"]))
        time_ns += 3 * SECOND if kind == "same" else draw(GAPS)
        line = {"own": ruler(number) + b"\n", "same": b"again and again\n"}.get(kind)
        if line is None:
            size = draw(st.sampled_from([FULL_FRAME - 7, FULL_FRAME, FULL_FRAME + 9, LONGEST]))
            line = noise(number)[:size] + b"\n"
        made += entries_of(stream, time_ns, line, keeps=keeps)
    if draw(st.booleans()):
        made.append(Entry(stream, time_ns + SECOND, ruler(20), ruler(20)))
    return made


@st.composite
def masks(draw: st.DrawFn, tail: bytes) -> bytes:
    """Mask some bytes of a tail, as secrets in it would be."""
    start = draw(st.integers(0, 4096)) % (len(tail) + 1)
    length = min(draw(st.integers(0, 12)), len(tail) // 4)
    start = min(start, max(0, len(tail) - length - 8))
    return tail[:start] + b"*" * length + tail[start + length :]


@attrs.frozen(kw_only=True)
class Scene:
    """A log, what is stored of it, and how it is rotated before each answer."""

    entries: list[Entry]
    cursor: LogCursor = attrs.field(repr=short)
    rotations: list[int]
    cut: int
    follow: bool

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(repr(self))


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    entries = draw(bots())
    count = draw(st.integers(0, 60)) % (len(entries) + 1)
    part = draw(st.integers(0, 60_000)) % len(entries[count].written) if count < len(entries) else 0
    late_ns = draw(st.integers(-3_000_000, 3_000_000))
    cursor = stored(entries, count, part, tail=draw(st.sampled_from([40, 4096])), late_ns=late_ns)
    return Scene(
        entries=entries,
        cursor=attrs.evolve(
            cursor, stdout_tail=draw(masks(cursor.stdout_tail)), stderr_tail=draw(masks(cursor.stderr_tail))
        ),
        rotations=draw(st.lists(st.integers(0, 30), max_size=3)),
        cut=draw(st.sampled_from([500, 10**6])),
        follow=draw(st.booleans()),
    )


@settings(deadline=None, max_examples=count(1000, 250), print_blob=True)
@given(scenes())
def test_what_follows_is_exact_or_the_gap_is_told(scene: Scene) -> None:
    cursor = scene.cursor
    assume(cursor.first_ns)
    assume(all(size == 0 or size > 8 for size in (cursor.stdout, cursor.stderr)))  # less is found anywhere
    log = CannedLog(scene.entries, scene.rotations, cut=scene.cut)
    try:
        written, lost = read(log, cursor, follow=scene.follow)
    except ContainerError:
        assert scene.follow  # it was rotated away under the reader, who has said so
        return
    assert_exact(scene.entries, log.gone, cursor, written, lost)
    assert any(scene.rotations) or len(log.asked) == 1 + scene.follow, "one that has its first byte is read once"


def assert_exact(
    entries: list[Entry], gone: int, cursor: LogCursor, written: dict[Stream, bytes], lost: Sequence[LogGap]
) -> None:
    gaps = {gap.stream for gap in lost}
    assert all(gap.since_ns <= gap.until_ns for gap in lost)
    for stream, size in ((Stream.STDOUT, cursor.stdout), (Stream.STDERR, cursor.stderr)):
        whole, first_kept = text(entries, stream), len(text(entries[:gone], stream))
        left = [entry for entry in entries[gone:] if entry.stream is stream]
        if 0 < size - first_kept < NO_CHANCE and not whole[:first_kept].endswith(b"\n"):
            continue  # so little of a long line is left of what is stored that it might be there by chance
        at_edge = bool(left) and left[0].written != left[0].kept
        too_soon = entries[gone].time_ns <= cursor.first_ns + SKEW_NS if gone < len(entries) else False
        if at_edge and (too_soon or (len(left) == 1 and left[0].kept)):
            continue  # the end of a long line, or one that the bot did not end: it cannot be known
        assert written[stream] == whole[max(size, first_kept) :], stream
        assert first_kept <= size or stream in gaps, stream


def test_a_look_ends_soon_behind_what_is_stored() -> None:
    lines = [ruler(number % 26) for number in range(5000)]
    entries = [Entry(Stream.STDOUT, BEGIN + number * SECOND, line, line) for number, line in enumerate(lines)]
    log = CannedLog(entries, cut=1000)
    written, lost = read(log, stored(entries, 10, 0))
    assert written[Stream.STDOUT] == text(entries[10:], Stream.STDOUT)
    assert (lost, [wire.ended for wire in log.wires]) == ((), [True])
    log = CannedLog(entries, [1], cut=1000)
    assert read(log, stored(entries, 10, 0))[0][Stream.STDOUT] == text(entries[10:], Stream.STDOUT)
    assert [wire.ended for wire in log.wires] == [False, False, True]


def test_a_line_that_came_later_is_not_the_same_one_that_is_stored() -> None:
    same = b"again and again\n"
    first, last = (Entry(Stream.STDOUT, time_ns, same, same) for time_ns in (BEGIN, BEGIN + 3 * SECOND))
    entries = [first, Entry(Stream.STDERR, BEGIN + 1000, ruler(1), ruler(1)), last]
    written, lost = read(CannedLog(entries, [1]), stored(entries, 1, 0))
    assert written == {Stream.STDOUT: same, Stream.STDERR: ruler(1)}
    assert {gap.stream for gap in lost} == set(Stream)


@pytest.mark.parametrize("follow", [False, True])
def test_the_end_of_a_long_line_at_the_edge_keeps_its_newline_whenever_the_next_one_came(follow: bool) -> None:
    long_line = entries_of(Stream.STDOUT, BEGIN + SECOND, noise(1)[: FULL_FRAME + 5] + b"\n", keeps=False)
    later = [
        Entry(Stream.STDOUT, BEGIN + (100 + number) * SECOND, ruler(number) * 2, ruler(number) * 2)
        for number in range(3)
    ]
    entries = [Entry(Stream.STDOUT, BEGIN, ruler(9), ruler(9)), *long_line, *later]
    written, lost = read(CannedLog(entries, [2]), stored(entries, 5, 0), follow=follow)
    assert written[Stream.STDOUT] == text(entries[5:], Stream.STDOUT)
    assert lost == ()
