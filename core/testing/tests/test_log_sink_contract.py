"""The contract of sinks passes good ones, and finds what is wrong with others."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

import pytest

from botdock.model import LogLine, LogSink, LogSource, Stream
from botdock_testing import LogSinkContract
from botdock_testing.log_sink import HOSTILE, Arrived, Delivered


class Keeping(LogSink):
    """Keeps what it gets, as bytes, once it is closed."""

    def __init__(self) -> None:
        self.held: list[Arrived] = []
        self.arrived: list[Arrived] = []

    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        self.held += [Arrived(source.execution_id, line.stream.value, self.show(line)) for line in lines]

    def close(self) -> None:
        self.arrived += self.held

    def show(self, line: LogLine) -> bytes:
        return line.data


class TestKeeping(LogSinkContract):
    @pytest.fixture
    def sink(self) -> LogSink:
        return Keeping()

    @pytest.fixture
    def delivered(self, sink: Keeping) -> Delivered:
        return lambda: sink.arrived

    def shown(self, line: LogLine) -> bytes:
        return line.data


class TestUnreadable(LogSinkContract):
    """Of a sink that cannot be read back, the contract asks only that it takes everything."""

    reads_back = False

    @pytest.fixture
    def sink(self) -> LogSink:
        return Keeping()


class Losing(Keeping):
    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        super().write(source, [line for line in lines if line.data])


class Doubling(Keeping):
    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        super().write(source, [*lines, lines[-1]])


class Reversing(Keeping):
    def close(self) -> None:
        self.arrived = self.held[::-1]


class Holding(Keeping):
    def close(self) -> None:
        self.arrived = self.held[:-1]


class Formatting(Keeping):
    def show(self, line: LogLine) -> bytes:
        return line.text.format().encode()


class Decoding(Keeping):
    def show(self, line: LogLine) -> bytes:
        return line.data.decode().encode()


class Splitting(Keeping):
    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        super().write(source, [LogLine(line.stream, part) for line in lines for part in line.data.split(b"\r")])


class Mixing(Keeping):
    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        super().write(LogSource(execution_id="01", id=source.id, runtime=source.runtime), lines)


class Merging(Keeping):
    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        super().write(source, [LogLine(Stream.STDOUT, line.data) for line in lines])


class Cutting(Keeping):
    def show(self, line: LogLine) -> bytes:
        return line.data[:1000]


class Naming(Keeping):
    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        super().write(source, lines if source.id else [])


Check = Callable[[TestKeeping, LogSink, Delivered], None]


def of(name: str) -> Check:
    return lambda contract, sink, delivered: contract.test_what_a_bot_writes_is_data(sink, delivered, HOSTILE[name])


@pytest.mark.parametrize(
    ("faulty", "check"),
    [
        (Losing, of("empty")),
        (Doubling, TestKeeping.test_lines_arrive_once_and_in_their_order),
        (Reversing, TestKeeping.test_lines_arrive_once_and_in_their_order),
        (Reversing, TestKeeping.test_executions_that_take_turns_keep_their_order),
        (Holding, TestKeeping.test_closing_delivers_what_was_held_back),
        (Formatting, of("braces")),
        (Decoding, of("not utf-8")),
        (Decoding, TestKeeping.test_any_bytes_are_one_line),
        (Splitting, of("carriage return")),
        (Mixing, TestKeeping.test_many_executions_are_told_apart),
        (Merging, TestKeeping.test_lines_arrive_once_and_in_their_order),
        (Cutting, of("a whole piece")),
        (Cutting, TestKeeping.test_pieces_and_unterminated_lines_arrive_too),
        (Naming, lambda contract, sink, read: contract.test_names_are_data_too(sink, read, "")),
    ],
)
def test_a_faulty_sink_is_found(faulty: type[Keeping], check: Check) -> None:
    sink = faulty()
    with pytest.raises((AssertionError, ValueError, LookupError)):
        check(TestKeeping(), sink, lambda: sink.arrived)


def test_a_sink_that_is_bound_to_the_thread_that_made_it_is_found() -> None:
    class Bound(Keeping):
        def __init__(self) -> None:
            super().__init__()
            self.database = sqlite3.connect(":memory:")

        def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
            self.database.execute("SELECT 1")

    sink = Bound()
    with pytest.raises(AssertionError):
        TestKeeping().test_it_works_in_the_thread_that_a_runner_gives_it(sink, lambda: sink.arrived)
    sink.database.close()


def test_reading_back_is_given_up_on_purpose_only() -> None:
    with pytest.raises(pytest.fail.Exception, match="declare `reads_back = False`"):
        LogSinkContract.delivered.__wrapped__(LogSinkContract())  # type: ignore[attr-defined]  # pytest's own wrapper
