"""An engine that is restarted, and one that forgets: what the fake does for those who must not lose a byte by it."""

from __future__ import annotations

import select

import pytest

from botdock.errors import ContainerError, EngineUnavailableError
from botdock.model import ContainerHandle, ContainerState, LogCursor, LogStream, Stream
from botdock_testing.engine import asked
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.script import Script

CALL = 30.0
SPEC = asked()


def started(engine: FakeEngine) -> ContainerHandle:
    container = engine.create(*SPEC, timeout=CALL)
    engine.start(container, timeout=CALL)
    return container


def logs(engine: FakeEngine, container: ContainerHandle, cursor: LogCursor | None = None) -> LogStream:
    return engine.read_logs(container, cursor=cursor or LogCursor(), follow=True, timeout=CALL)


def drained(stream: LogStream) -> dict[Stream, bytes]:
    written = dict.fromkeys(Stream, b"")
    while not stream.ended:
        for chunk in stream.read(CALL):
            written[chunk.stream] += chunk.data
    return written


class TestRestarts:
    def test_open_streams_break_and_some_calls_fail_but_containers_live(self) -> None:
        engine = FakeEngine(Script(output=(Script.out(b"a"),), forever=True))
        container = started(engine)
        with logs(engine, container) as stream:
            assert b"".join(chunk.data for chunk in stream.read(CALL)) == b"a"
            engine.restart(calls=2)
            descriptor = stream.fileno()
            assert descriptor is not None
            assert select.select([descriptor], [], [], CALL)[0]
            with pytest.raises(ContainerError, match="broke"):
                stream.read(0.0)
        for _ in range(2):
            with pytest.raises(EngineUnavailableError, match="does not answer"):
                engine.inspect(container, timeout=CALL)
        assert engine.inspect(container, timeout=CALL).state is ContainerState.RUNNING

    def test_a_stream_that_has_ended_has_nothing_to_break(self) -> None:
        engine = FakeEngine(Script(output=(Script.out(b"one\n"),)))
        with logs(engine, started(engine)) as stream:
            while not stream.ended:
                stream.read(CALL)
            engine.restart()
            assert list(stream.read(0.0)) == []


class TestForgetting:
    @pytest.mark.parametrize(
        ("size", "rest", "lost"), [(0, b"cdef", []), (2, b"cdef", []), (5, b"f", [3]), (9, b"", [4])]
    )
    def test_what_lies_behind_the_cursor_is_lost(self, size: int, rest: bytes, lost: list[int]) -> None:
        engine = FakeEngine(Script(output=(Script.out(b"abc"), Script.out(b"def"))))
        container = started(engine)
        engine.wait(container, timeout=CALL)
        engine.lose(container.id, Stream.STDOUT, size)
        with logs(engine, container, LogCursor(stdout=2)) as stream:
            assert drained(stream)[Stream.STDOUT] == rest
            assert [gap.size for gap in stream.lost] == lost

    def test_of_an_unknown_size_it_is_found_by_a_reader_that_has_not_read_over_it(self) -> None:
        engine = FakeEngine(Script(output=(Script.err(b"abcdef"),)))
        container = started(engine)
        engine.wait(container, timeout=CALL)
        engine.lose(container.id, Stream.STDERR, 4, known=False)
        for _ in range(2):
            with logs(engine, container, LogCursor(stderr=2)) as stream:
                assert drained(stream)[Stream.STDERR] == b"ef"
                assert [gap.size for gap in stream.lost] == [None]
        with logs(engine, container, LogCursor(stderr=3)) as stream:
            assert drained(stream)[Stream.STDERR] == b"f"
            assert list(stream.lost) == []
