"""What every log sink must do, as tests that any plugin can run."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import ClassVar

import attrs
import pytest

from botdock.model import LogLine, LogSink, LogSource, Stream
from botdock.services.lines import MAX_PIECE
from botdock.services.log_sinks import SinkFanOut
from botdock_testing._engine_support import bounded
from botdock_testing._kept import Contract

__all__ = ["Arrived", "Delivered", "LogSinkContract"]

CLOSE_TIMEOUT = 30.0
"""Seconds in which a sink has to have delivered the few lines of a test."""


@attrs.frozen
class Arrived:
    """One line as it was read back from where the sink delivers.

    Attributes:
        execution_id: Whose it is.
        stream: `stdout` or `stderr`; empty where the sink does not tell them apart.
        shown: What is there of the line, see `LogSinkContract.shown`.
    """

    execution_id: str
    stream: str
    shown: str | bytes


Delivered = Callable[[], Sequence[Arrived]]
"""Returns all that has arrived, in its order."""

HOSTILE = {
    "empty": b"",
    "blanks": b"  \t ",
    "not utf-8": b"\xff\xfe\x00caf\xe9",
    "half a character": "\N{EURO SIGN}".encode()[:2],
    "every byte": bytes(byte for byte in range(256) if byte != ord("\n")),
    "carriage return": b"10%\r20%\r",
    "terminal": b"\x1b[2J\x1b]0;title\x07\x9b31m",
    "line breaks of others": "a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g".encode(),
    "braces": b"{} {0} {x!r:>{y}} {extra[id]} {{ }}",
    "percent": b"%s %d %(name)s %%",
    "dollar": b"$x ${HOME} $(id) `id`",
    "tags": b"<red>x</red> </ \\<b> [bold]x[/bold] &lt;",
    "quotes": b"\"'\\ '; DROP TABLE lines; --",
    "json": b'{"level": "ERROR", "execution_id": "another"}',
    "wide": "\N{GRINNING FACE}\u0301\u202egnol".encode(),
    "a whole piece": b"x" * MAX_PIECE,
}
"""Lines that a template, a terminal, a database or a decoder might fall over."""


class LogSinkContract(Contract, contract=True):
    """Tests that hold for every `LogSink`.

    Subclass it with two fixtures: `sink` gives one that is open and has delivered nothing, and `delivered` a function
    that reads back what arrived, once the sink is closed. The tests close the sink, as a runner does: once.

    A sink whose lines cannot be read back says `reads_back = False`; then the tests hold only that it takes everything
    without raising or blocking. A test that does not hold can be overridden only by
    one that is marked `xfail` with a reason, so that no limit goes unseen.

    Example:
        ```python
        import pytest
        from botdock_testing.log_sink import Arrived, LogSinkContract
        from my_package.sink import ListSink

        class TestListSink(LogSinkContract):
            @pytest.fixture
            def sink(self):
                return ListSink()

            @pytest.fixture
            def delivered(self, sink):
                return lambda: [Arrived(source.execution_id, line.stream, line.text) for source, line in sink.got]
        ```

    Attributes:
        reads_back: Whether `delivered` can read back what arrived.
        tells_streams: Whether what arrived says which stream it is from.
    """

    reads_back: ClassVar[bool] = True
    tells_streams: ClassVar[bool] = True

    def shown(self, line: LogLine) -> str | bytes:
        """Return what is expected of a line where it arrives: here its text, with what is not UTF-8 replaced.

        Override it for a sink that keeps the bytes, or spells out control characters.
        """
        return line.text

    @pytest.fixture
    def delivered(self) -> Delivered:
        """Return what reads back all that has arrived."""
        if self.reads_back:
            pytest.fail("write the fixture `delivered`, or declare `reads_back = False`")
        return list

    def test_lines_arrive_once_and_in_their_order(self, sink: LogSink, delivered: Delivered) -> None:
        lines = [_line(f"line {number}", stream=list(Stream)[number % 3 % 2]) for number in range(300)]
        batches = [(_source("01"), lines[start : start + 7]) for start in range(0, len(lines), 7)]
        self._holds(sink, delivered, batches)

    def test_executions_that_take_turns_keep_their_order(self, sink: LogSink, delivered: Delivered) -> None:
        batches = [(_source(f"0{turn % 3}"), [_line(f"{turn} a"), _line(f"{turn} b")]) for turn in range(30)]
        self._holds(sink, delivered, batches)

    def test_many_executions_are_told_apart(self, sink: LogSink, delivered: Delivered) -> None:
        self._holds(sink, delivered, [(_source(f"{number:04}"), [_line("the same line")]) for number in range(300)])

    @pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in HOSTILE.items()])
    def test_what_a_bot_writes_is_data(self, sink: LogSink, delivered: Delivered, data: bytes) -> None:
        lines = [_line("before"), LogLine(Stream.STDERR, data, 1), _line("after")]
        self._holds(sink, delivered, [(_source("01"), lines)])

    def test_any_bytes_are_one_line(self, sink: LogSink, delivered: Delivered) -> None:
        chance = random.Random("any bytes")  # noqa: S311 - the same bytes in every run
        datas = [chance.randbytes(chance.randrange(40)).replace(b"\n", b"") for _ in range(500)]
        self._holds(sink, delivered, [(_source("01"), [LogLine(Stream.STDOUT, data, 1) for data in datas])])

    def test_readable_text_stays_readable(self) -> None:
        text = "price=42.10 EUR; signal: buy (0.7)"
        shown = self.shown(_line(text))
        assert text in (shown.decode() if isinstance(shown, bytes) else shown)

    def test_pieces_and_unterminated_lines_arrive_too(self, sink: LogSink, delivered: Delivered) -> None:
        piece = LogLine(Stream.STDOUT, b"p" * MAX_PIECE, 1, complete=False)
        lines = [piece, piece, _line("its end"), LogLine(Stream.STDERR, b"no newline", 1, complete=False)]
        self._holds(sink, delivered, [(_source("01"), lines)])

    @pytest.mark.parametrize("name", ["", "{0} {extra}", "<red>", "%s", "a\nb", "x" * 300])
    def test_names_are_data_too(self, sink: LogSink, delivered: Delivered, name: str) -> None:
        self._holds(sink, delivered, [(LogSource(execution_id="01", id=name, runtime=name), [_line("hello")])])

    @pytest.mark.parametrize("moment", [0, 1, 1_700_000_000_999_999_999, 2**62])
    def test_any_time_will_do(self, sink: LogSink, delivered: Delivered, moment: int) -> None:
        self._holds(sink, delivered, [(_source("01"), [LogLine(Stream.STDOUT, b"when", moment)])])

    def test_closing_delivers_what_was_held_back(self, sink: LogSink, delivered: Delivered) -> None:
        self._holds(sink, delivered, [(_source("01"), [_line("the only one")])])

    def test_it_can_be_closed_without_a_line(self, sink: LogSink, delivered: Delivered) -> None:
        self._holds(sink, delivered, [])

    def test_it_works_in_the_thread_that_a_runner_gives_it(self, sink: LogSink, delivered: Delivered) -> None:
        """Opened in one thread, it is written to and closed in another."""
        source, lines = _source("01"), [_line(f"line {number}") for number in range(1200)]
        fan_out = SinkFanOut({"sink": sink}, capacity=len(lines), close_timeout=CLOSE_TIMEOUT)
        for start in range(0, len(lines), 100):
            fan_out.offer(source, lines[start : start + 100])
        fan_out.close()
        counts = fan_out.counts()["sink"]
        assert (counts.delivered, counts.dropped, counts.errors) == (len(lines), 0, 0)
        self._arrived(delivered, [(source, lines)])

    def _holds(
        self, sink: LogSink, delivered: Delivered, batches: Sequence[tuple[LogSource, Sequence[LogLine]]]
    ) -> None:
        def write() -> None:
            for source, lines in batches:
                sink.write(source, list(lines))
            sink.close()

        bounded(write)
        self._arrived(delivered, batches)

    def _arrived(self, delivered: Delivered, batches: Sequence[tuple[LogSource, Sequence[LogLine]]]) -> None:
        """Hold what arrived to what was written; between executions, any order will do."""
        if self.reads_back:
            written = _by_execution([self._expected(source, line) for source, lines in batches for line in lines])
            arrived = _by_execution(delivered())
            for execution_id, lines in written.items():  # one by one: pytest takes a minute to tell hundreds apart
                assert arrived.get(execution_id) == lines
            assert not arrived.keys() - written.keys()

    def _expected(self, source: LogSource, line: LogLine) -> Arrived:
        stream = line.stream.value if self.tells_streams else ""
        return Arrived(source.execution_id, stream, self.shown(line))


def _source(execution_id: str) -> LogSource:
    return LogSource(execution_id=execution_id, id="bot", runtime="bash")


def _line(text: str, *, stream: Stream = Stream.STDOUT) -> LogLine:
    return LogLine(stream, text.encode(), 1_700_000_000_000_000_000)


def _by_execution(lines: Sequence[Arrived]) -> dict[str, list[Arrived]]:
    return {
        name: [line for line in lines if line.execution_id == name] for name in {line.execution_id for line in lines}
    }
