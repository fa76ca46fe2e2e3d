"""The contract of sinks passes good ones, and finds what is wrong with others."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from botdock.model import LogLine, LogSink, LogSource, Stream
from botdock_testing import LogSinkContract
from botdock_testing.log_sink import HOSTILE, Arrived, Delivered
from testbed.mutants import CAUGHT, call, unbroken


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


class Dating(Keeping):
    """Knows no time beyond the year 9999."""

    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        for line in lines:
            datetime.fromtimestamp(line.time_ns // 10**9 * 100, UTC)
        super().write(source, lines)


class Opening(Keeping):
    def close(self) -> None:
        assert self.held, "what is there to close?"
        super().close()


class Bound(Keeping):
    """Belongs to the thread that made it, as a connection of SQLite does."""

    def __init__(self) -> None:
        super().__init__()
        self.maker = threading.get_ident()

    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        assert threading.get_ident() == self.maker
        super().write(source, lines)


BROKEN: list[tuple[str, type[Keeping], dict[str, object]]] = [
    ("test_what_a_bot_writes_is_data", Losing, {"data": HOSTILE["empty"]}),
    ("test_what_a_bot_writes_is_data", Formatting, {"data": HOSTILE["braces"]}),
    ("test_what_a_bot_writes_is_data", Decoding, {"data": HOSTILE["not utf-8"]}),
    ("test_what_a_bot_writes_is_data", Splitting, {"data": HOSTILE["carriage return"]}),
    ("test_what_a_bot_writes_is_data", Cutting, {"data": HOSTILE["a whole piece"]}),
    ("test_lines_arrive_once_and_in_their_order", Doubling, {}),
    ("test_lines_arrive_once_and_in_their_order", Reversing, {}),
    ("test_lines_arrive_once_and_in_their_order", Merging, {}),
    ("test_executions_that_take_turns_keep_their_order", Reversing, {}),
    ("test_many_executions_are_told_apart", Mixing, {}),
    ("test_any_bytes_are_one_line", Decoding, {}),
    ("test_pieces_and_unterminated_lines_arrive_too", Cutting, {}),
    ("test_names_are_data_too", Naming, {"name": ""}),
    ("test_any_time_will_do", Dating, {"moment": 2**62}),
    ("test_closing_delivers_what_was_held_back", Holding, {}),
    ("test_it_can_be_closed_without_a_line", Opening, {}),
    ("test_it_works_in_the_thread_that_a_runner_gives_it", Bound, {}),
]


@pytest.mark.parametrize(("test", "broken", "parameters"), BROKEN)
def test_what_breaks_a_promise_is_found(test: str, broken: type[Keeping], parameters: dict[str, object]) -> None:
    for kind in (Keeping, broken):
        sink = kind()
        values = {"sink": sink, "delivered": lambda sink=sink: sink.arrived, **parameters}
        if kind is Keeping:
            call(TestKeeping(), test, values)
            continue
        with pytest.raises((*CAUGHT, ValueError, LookupError)):
            call(TestKeeping(), test, values)


def test_lines_that_are_spelt_beyond_recognition_are_found() -> None:
    contract = TestKeeping()
    contract.test_readable_text_stays_readable()
    object.__setattr__(contract, "shown", lambda line: line.data.hex())
    with pytest.raises(AssertionError):
        contract.test_readable_text_stays_readable()


def test_every_promise_has_something_that_breaks_it() -> None:
    assert unbroken(LogSinkContract, [test for test, _, _ in BROKEN]) == {"test_readable_text_stays_readable"}


def test_reading_back_is_given_up_on_purpose_only() -> None:
    with pytest.raises(pytest.fail.Exception, match="declare `reads_back = False`"):
        LogSinkContract.delivered.__wrapped__(LogSinkContract())  # type: ignore[attr-defined]  # pytest's own wrapper
