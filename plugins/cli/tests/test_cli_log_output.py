"""Lines of a log as text, as JSON, and as nothing but bytes."""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.model import LogGap, LogLine, Stream
from botdock.model.logs import GapReason
from botdock_cli import log_output
from botdock_cli.log_output import JsonPrinter, Outlet, RawPrinter, TextPrinter, describe
from botdock_cli.values import format_moment

OUT, ERR = Stream.STDOUT, Stream.STDERR
NOON = 1_769_860_800_000_000_007
GAP = LogGap(stream=OUT, size=12345, since_ns=NOON)
SAID = "12,345 bytes of stdout are missing here: rotated away by the engine"


class FakeOutlet(Outlet):
    """Keeps what is written: to each, and in one order."""

    def __init__(self, *terminals: Stream) -> None:
        self.terminals = {stream: stream in terminals for stream in Stream}
        self.colours = dict.fromkeys(Stream, False)
        self.written: list[tuple[str, bytes]] = []

    def write(self, stream: Stream, data: bytes) -> None:
        self.written.append((stream.value, data))

    def flush(self) -> None:
        """Nothing is held back."""

    def of(self, *names: str) -> bytes:
        return b"".join(data for name, data in self.written if name in names)

    @property
    def screen(self) -> bytes:
        return b"".join(data for _, data in self.written)


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What botdock itself says."""
    texts: list[str] = []
    monkeypatch.setattr(log_output, "say", texts.append)
    return texts


def text(*items: Any, outlet: FakeOutlet | None = None, timestamps: bool = False) -> FakeOutlet:
    outlet = outlet or FakeOutlet()
    TextPrinter(outlet, timestamps=timestamps).show(items)
    return outlet


def test_each_stream_goes_where_it_belongs_byte_for_byte() -> None:
    lines = [LogLine(OUT, b"a\r\x1b[2J\xff"), LogLine(ERR, b"e"), LogLine(OUT, b"b", complete=False)]
    assert text(*lines).written == [("stdout", b"a\r\x1b[2J\xff\n"), ("stderr", b"e\n"), ("stdout", b"b")]


def test_a_terminal_is_shown_escapes_and_each_stream_on_lines_of_its_own() -> None:
    both = FakeOutlet(OUT, ERR)
    lines = [
        LogLine(OUT, b"50%\r\r"),
        LogLine(OUT, b"name: ", complete=False),
        LogLine(ERR, b"oops"),
        LogLine(OUT, b"x"),
    ]
    assert text(*lines, outlet=both).screen == b"50%\\r\nname: \noops\nx\n"


def test_only_the_one_that_is_a_terminal_is_protected() -> None:
    outlet = text(LogLine(OUT, b"\x07"), LogLine(ERR, b"\x07"), outlet=FakeOutlet(ERR))
    assert outlet.written == [("stdout", b"\x07\n"), ("stderr", b"\\x07\n")]


def test_a_line_in_pieces_has_its_time_once() -> None:
    pieces = [
        LogLine(OUT, b"ab", NOON, complete=False),
        LogLine(ERR, b"e", 1),
        LogLine(OUT, b"c", NOON),
        LogLine(OUT, b"d"),
    ]
    outlet = text(*pieces, timestamps=True)
    assert outlet.of("stdout") == b"2026-01-31T12:00:00.000000007Z abc\n- d\n"
    assert outlet.of("stderr") == b"1970-01-01T00:00:00.000000001Z e\n"


def test_a_gap_is_told_in_its_place(said: list[str]) -> None:
    outlet = FakeOutlet()

    def items() -> Any:
        yield LogLine(OUT, b"before")
        yield GAP
        assert (outlet.of("stdout"), said) == (b"before\n", [SAID])
        yield LogLine(OUT, b"after")

    TextPrinter(outlet, timestamps=False).show(items())
    assert outlet.written == [("stdout", b"before\n"), ("stdout", b"after\n")]


def test_what_is_told_does_not_stand_behind_the_bot_s_words(said: list[str]) -> None:
    outlet = text(LogLine(ERR, b"half", complete=False), LogLine(OUT, b"half", complete=False), GAP)
    assert outlet.of("stderr") == b"half\n"
    assert outlet.of("stdout") == b"half", "what goes to a file stays what the bot wrote"
    assert text(LogLine(OUT, b"half", complete=False), GAP, outlet=FakeOutlet(OUT, ERR)).screen == b"half\n"
    assert said == [SAID, SAID]


def test_a_line_that_was_broken_by_a_message_has_its_time_again() -> None:
    outlet = FakeOutlet(OUT, ERR)
    text(LogLine(OUT, b"a", NOON, complete=False), GAP, LogLine(OUT, b"b", NOON), outlet=outlet, timestamps=True)
    stamp = format_moment(NOON).encode()
    assert outlet.screen == stamp + b" a\n" + stamp + b" b\n"


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        (GAP, SAID),
        (
            LogGap(stream=ERR, size=1, reason=GapReason.LIMIT),
            "1 byte of stderr is missing here: beyond the output limit",
        ),
        (
            LogGap(stream=OUT, size=10, reason=GapReason.REMOVED),
            "10 bytes of stdout are missing here: removed, since only so much of this log is kept",
        ),
        (
            LogGap(stream=OUT, size=None, since_ns=NOON, until_ns=NOON + 1_500_000_000),
            "an unknown number of bytes of stdout, written within 1.5 seconds, are " + SAID.partition(" are ")[2],
        ),
        (
            LogGap(stream=OUT, size=None, until_ns=NOON),
            "an unknown number of bytes of stdout are missing here: rotated away by the engine",
        ),
    ],
)
def test_a_gap_is_described_with_what_is_known_of_it(gap: LogGap, words: str) -> None:
    assert describe(gap) == words


def documents(*items: Any) -> list[dict[str, Any]]:
    outlet = FakeOutlet()
    JsonPrinter(outlet).show(items)
    assert outlet.of("stderr") == b""
    return [json.loads(line) for line in outlet.of("stdout").splitlines()]


def test_each_line_is_an_object() -> None:
    first, second = documents(LogLine(OUT, "größer\x1b".encode(), NOON), LogLine(ERR, b"", complete=False))
    assert first == {
        "time": "2026-01-31T12:00:00.000000007Z",
        "stream": "stdout",
        "text": "größer\x1b",
        "complete": True,
    }
    assert second == {"time": None, "stream": "stderr", "text": "", "complete": False}


def test_a_gap_is_an_object_of_its_own() -> None:
    assert documents(GAP) == [
        {
            "time": "2026-01-31T12:00:00.000000007Z",
            "stream": "stdout",
            "gap": "lost",
            "bytes": 12345,
            "since": "2026-01-31T12:00:00.000000007Z",
            "until": None,
        }
    ]


@given(st.binary() | st.text().map(str.encode))
def test_json_gives_back_every_byte(data: bytes) -> None:
    (document,) = documents(LogLine(OUT, data))
    assert document["text"] == data.decode("utf-8", "replace")
    if "base64" in document:
        assert base64.b64decode(document["base64"]) == data
    else:
        assert document["text"].encode() == data


@given(
    st.lists(st.tuples(st.sampled_from(Stream), st.binary().map(lambda data: data.replace(b"\n", b"")), st.booleans()))
)
def test_bytes_are_the_same_whether_raw_or_as_text(pieces: list[tuple[Stream, bytes, bool]]) -> None:
    lines = [LogLine(stream, data, complete=complete) for stream, data, complete in pieces]
    raw = FakeOutlet(OUT, ERR)
    RawPrinter(raw).show(lines)
    assert raw.written == text(*lines).written
    assert raw.screen == b"".join(line.data + b"\n" * line.complete for line in lines)


def test_raw_adds_nothing_at_all(said: list[str]) -> None:
    outlet = FakeOutlet(OUT, ERR)
    printer = RawPrinter(outlet)
    printer.show([LogLine(OUT, b"\x1b[2J", complete=False), GAP])
    printer.notice("not complete")
    printer.end_line()
    assert (outlet.screen, said) == (b"\x1b[2J", [])


def test_what_is_told_beside_json_is_no_object(said: list[str]) -> None:
    outlet = FakeOutlet()
    JsonPrinter(outlet).notice("not complete")
    assert (outlet.written, said) == ([], ["not complete"])


def test_the_order_holds_where_both_go_to_one_file(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "both"
    with path.open("ab") as one, path.open("ab") as two:
        monkeypatch.setattr(
            sys, "stdout", type("Out", (), {"buffer": one, "closed": False, "isatty": lambda self: False})()
        )
        monkeypatch.setattr(
            sys, "stderr", type("Err", (), {"buffer": two, "closed": False, "isatty": lambda self: False})()
        )
        outlet = Outlet(eager=False)
        for number in range(6):
            outlet.write((OUT, ERR)[number % 2], f"{number}\n".encode())
        outlet.flush()
    assert path.read_bytes() == b"0\n1\n2\n3\n4\n5\n"


def test_without_a_stdout_there_is_nobody_to_write_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    outlet = Outlet(eager=True)
    assert outlet.has_reader(), "only a pipe tells before it is written to"
    with pytest.raises(BrokenPipeError):
        outlet.write(OUT, b"x")


def test_a_reader_that_went_away_is_noticed_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert Outlet.has_reader()
        os.close(reading)
        assert not Outlet.has_reader()
