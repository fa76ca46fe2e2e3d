"""An engine that is restarted, and one that forgets: what the fake does for those who must not lose a byte by it."""

from __future__ import annotations

import select

import pytest

from botdock.errors import ContainerError, EngineUnavailableError
from botdock.model import DEFAULT_LIMITS, ContainerSpec, ContainerState, LogCursor, LogStream, Mount, Stream
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.script import Script

CALL = 30.0
HERE = Mount(source="/nowhere", target="/bot")
SPEC = ContainerSpec(
    name="botdock-1",
    image="image",
    command=("run",),
    environment={},
    labels={},
    working_dir="/bot",
    code=HERE,
    files=HERE,
    result=HERE,
    limits=DEFAULT_LIMITS,
)


def started(engine: FakeEngine) -> str:
    container_id = engine.create(SPEC, timeout=CALL)
    engine.start(container_id, timeout=CALL)
    return container_id


def logs(engine: FakeEngine, container_id: str, cursor: LogCursor | None = None) -> LogStream:
    return engine.read_logs(container_id, cursor=cursor or LogCursor(), follow=True, timeout=CALL)


def drained(stream: LogStream) -> dict[Stream, bytes]:
    written = dict.fromkeys(Stream, b"")
    while not stream.ended:
        for chunk in stream.read(CALL):
            written[chunk.stream] += chunk.data
    return written


class TestRestarts:
    def test_open_streams_break_and_some_calls_fail_but_containers_live(self) -> None:
        engine = FakeEngine(Script(output=(Script.out(b"a"),), forever=True))
        container_id = started(engine)
        with logs(engine, container_id) as stream:
            assert b"".join(chunk.data for chunk in stream.read(CALL)) == b"a"
            engine.restart(calls=2)
            descriptor = stream.fileno()
            assert descriptor is not None
            assert select.select([descriptor], [], [], CALL)[0]
            with pytest.raises(ContainerError, match="broke"):
                stream.read(0.0)
        for _ in range(2):
            with pytest.raises(EngineUnavailableError, match="does not answer"):
                engine.inspect(container_id, timeout=CALL)
        assert engine.inspect(container_id, timeout=CALL).state is ContainerState.RUNNING

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
        container_id = started(engine)
        engine.wait(container_id, timeout=CALL)
        engine.lose(container_id, Stream.STDOUT, size)
        with logs(engine, container_id, LogCursor(stdout=2)) as stream:
            assert drained(stream)[Stream.STDOUT] == rest
            assert [gap.size for gap in stream.lost] == lost

    def test_of_an_unknown_size_it_is_found_by_whoever_has_not_read_over_it(self) -> None:
        engine = FakeEngine(Script(output=(Script.err(b"abcdef"),)))
        container_id = started(engine)
        engine.wait(container_id, timeout=CALL)
        engine.lose(container_id, Stream.STDERR, 4, known=False)
        for _ in range(2):
            with logs(engine, container_id, LogCursor(stderr=2)) as stream:
                assert drained(stream)[Stream.STDERR] == b"ef"
                assert [gap.size for gap in stream.lost] == [None]
        with logs(engine, container_id, LogCursor(stderr=3)) as stream:
            assert drained(stream)[Stream.STDERR] == b"f"
            assert list(stream.lost) == []
