"""What the fake engine does beyond the contract: plays scripts, fails on request, remembers what it was asked."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

import pytest

from botdock.errors import ContainerError, EngineTimeoutError, EngineUnavailableError, ImageError
from botdock.model import (
    ContainerHandle,
    ContainerState,
    ContainerStatus,
    Engine,
    LogCursor,
    LogStream,
    PullPolicy,
    PullProgress,
    Stream,
)
from botdock_testing.engine import Asked, asked
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.faults import OPERATIONS
from botdock_testing.script import Script

CALL = 30.0
FOREVER = 1000.0
ONE = ContainerHandle(id="id")
LOUD = Script(output=(Script.out(b"one\n"), Script.err(b"uno\n"), Script.out(b"two")), exit_code=1)


def spec(name: str = "botdock-1") -> Asked:
    return asked(name=name)


def started(engine: Engine, name: str = "botdock-1") -> ContainerHandle:
    container = engine.create(*spec(name), timeout=CALL)
    engine.start(container, timeout=CALL)
    return container


def ended(engine: Engine, container: ContainerHandle) -> ContainerStatus:
    status = engine.wait(container, timeout=CALL)
    assert status is not None
    return status


def logs(
    engine: Engine, container: ContainerHandle, cursor: LogCursor | None = None, *, follow: bool = True
) -> LogStream:
    return engine.read_logs(container, cursor=cursor or LogCursor(), follow=follow, timeout=CALL)


def drained(stream: LogStream) -> dict[Stream, bytes]:
    written = dict.fromkeys(Stream, b"")
    while not stream.ended:
        for chunk in stream.read(CALL):
            written[chunk.stream] += chunk.data
    return written


def call_of(engine: Engine, operation: str) -> Callable[[], object]:
    calls: dict[str, Callable[[], object]] = {
        "attach": lambda: engine.attach(ONE, timeout=CALL),
        "capabilities": engine.capabilities,
        "close": engine.close,
        "create": lambda: engine.create(*spec("another"), timeout=CALL),
        "ensure_image": lambda: engine.ensure_image("image", policy=PullPolicy.MISSING, timeout=CALL),
        "events": lambda: engine.events({}, timeout=CALL),
        "fetch_result": lambda: engine.fetch_result(ONE, limit=1, timeout=CALL),
        "inspect": lambda: engine.inspect(ONE, timeout=CALL),
        "list": lambda: engine.list({}, timeout=CALL),
        "prepare": lambda: engine.prepare(spec()[0], 1, timeout=CALL),
        "read_logs": lambda: logs(engine, ONE),
        "remove": lambda: engine.remove(ONE, timeout=CALL),
        "remove_image": lambda: engine.remove_image("image", "", dry_run=True, timeout=CALL),
        "start": lambda: engine.start(ONE, timeout=CALL),
        "stop": lambda: engine.stop(ONE, grace=0.0, timeout=CALL),
        "wait": lambda: engine.wait(ONE, timeout=CALL),
    }
    return calls[operation]


class TestScripts:
    def test_output_pauses_and_ends_as_told(self) -> None:
        script = Script(output=(Script.out(b"a"), 0.001, Script.out(b"b")), exit_code=3, oom_killed=True, error="why")
        engine = FakeEngine(script)
        container = started(engine)
        status = ended(engine, container)
        assert (status.exit_code, status.oom_killed, status.error) == (3, True, "why")
        assert drained(logs(engine, container))[Stream.STDOUT] == b"ab"

    def test_an_exit_code_may_be_unknown(self) -> None:
        engine = FakeEngine(Script(exit_code=None, signal=11))
        status = ended(engine, started(engine))
        assert (status.exit_code, status.signal) == (None, 11)

    def test_a_behaviour_may_depend_on_the_spec_and_a_name_may_have_its_own(self) -> None:
        engine = FakeEngine(lambda _template, run: Script(exit_code=len(run.name)))
        engine.script("special", Script(exit_code=99))
        assert ended(engine, started(engine, "12345")).exit_code == 5
        assert ended(engine, started(engine, "special")).exit_code == 99

    def test_what_comes_after_a_stop_is_not_played(self) -> None:
        script = Script(output=(Script.out(b"a"), FOREVER, Script.out(b"never")), result=b"never")
        engine = FakeEngine(script)
        container = started(engine)
        with logs(engine, container) as stream:
            assert [chunk.data for chunk in stream.read(CALL)] == [b"a"]
            engine.stop(container, grace=5.0, timeout=CALL)
            assert drained(stream)[Stream.STDOUT] == b""
        assert ended(engine, container).exit_code == 143
        assert engine.fetch_result(container, limit=10, timeout=CALL) == b""

    def test_a_test_can_let_it_write_and_end(self) -> None:
        engine = FakeEngine(Script(forever=True))
        container = started(engine)
        with logs(engine, container) as stream:
            engine.emit(container.id, b"now", Stream.STDERR)
            assert [(chunk.stream, chunk.data) for chunk in stream.read(CALL)] == [(Stream.STDERR, b"now")]
            engine.finish(container.id, exit_code=137, oom_killed=True)
            drained(stream)
        assert ended(engine, container).oom_killed
        engine.finish(container.id, exit_code=0)
        assert ended(engine, container).exit_code == 137, "the first end is the end"


class TestFaults:
    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_every_operation_fails_when_told_to(self, operation: str) -> None:
        engine = FakeEngine()
        engine.fail(operation, EngineUnavailableError("gone"))
        with pytest.raises(EngineUnavailableError, match="gone"):
            call_of(engine, operation)()

    def test_failures_are_counted(self) -> None:
        engine = FakeEngine()
        engine.fail("inspect", ContainerError("first"), times=2, after=1)
        engine.fail("inspect", ContainerError("then"), times=None)
        container = engine.create(*spec(), timeout=CALL)
        seen = []
        for _ in range(6):
            try:
                engine.inspect(container, timeout=CALL)
            except ContainerError as error:
                seen.append(error.message)
            else:
                seen.append("fine")
        assert seen == ["fine", "first", "first", "then", "then", "then"]

    def test_a_call_may_be_late_but_not_beyond_its_timeout(self) -> None:
        engine = FakeEngine()
        engine.delay("list", 0.001)
        assert list(engine.list({}, timeout=CALL)) == []
        engine.delay("list", FOREVER)
        with pytest.raises(EngineTimeoutError, match=r"no answer within 0\.001 s") as caught:
            engine.list({}, timeout=0.001)
        assert caught.value.operation == "list"
        engine.delay("list", 0)
        assert list(engine.list({}, timeout=CALL)) == []

    def test_a_misspelt_operation_is_refused(self) -> None:
        engine = FakeEngine()
        with pytest.raises(ValueError, match="no operation 'begin'; it has any, stream, attach, "):
            engine.fail("begin", ContainerError("no"))
        with pytest.raises(ValueError, match="no operation 'begin'"):
            engine.delay("begin", 1)

    def test_calls_are_remembered_the_failed_ones_too(self) -> None:
        engine = FakeEngine()
        engine.fail("start", ContainerError("no"))
        container = engine.create(*spec(), timeout=CALL)
        with pytest.raises(ContainerError):
            engine.start(container, timeout=CALL)
        engine.stop(container, grace=2.5, timeout=CALL)
        assert engine.operations == ("create", "start", "stop")
        assert engine.calls[2].arguments == {"container_id": container.id, "grace": 2.5}

    def test_a_successor_has_the_containers_but_not_the_faults(self) -> None:
        engine = FakeEngine(Script(forever=True))
        container = started(engine)
        engine.fail("inspect", EngineUnavailableError("gone"), times=None)
        engine.close()
        other = engine.successor()
        assert other.inspect(container, timeout=CALL).state is ContainerState.RUNNING
        assert other.operations == ("inspect",)
        other.remove(container, timeout=CALL)


class TestBreakingStreams:
    @pytest.mark.parametrize("after", range(12))
    def test_a_broken_stream_is_continued_from_its_cursor(self, after: int) -> None:
        engine = FakeEngine(LOUD)
        container = started(engine)
        engine.break_stream(after)
        got = dict.fromkeys(Stream, b"")
        with logs(engine, container) as stream:
            broken = read_until_broken(stream, got)
        assert "broke" in str(broken)
        assert sum(map(len, got.values())) == min(after, 11)
        cursor = LogCursor(stdout=len(got[Stream.STDOUT]), stderr=len(got[Stream.STDERR]))
        rest = drained(logs(engine, container, cursor))
        assert got[Stream.STDOUT] + rest[Stream.STDOUT] == b"one\ntwo"
        assert got[Stream.STDERR] + rest[Stream.STDERR] == b"uno\n"

    def test_the_descriptor_says_that_a_stream_is_broken(self) -> None:
        engine = FakeEngine(Script(forever=True))
        engine.break_stream(0, times=2)
        container = engine.create(*spec(), timeout=CALL)
        for _ in range(2):
            with engine.attach(container, timeout=CALL) as stream:
                assert readable(stream, CALL)
                with pytest.raises(ContainerError):
                    stream.read(0.0)
        with engine.attach(container, timeout=CALL) as stream:
            assert not readable(stream, 0.0)


class TestDescriptors:
    def test_it_is_readable_exactly_while_there_is_something(self) -> None:
        engine = FakeEngine(Script(forever=True))
        container = started(engine)
        with logs(engine, container) as stream:
            assert not readable(stream, 0.0)
            engine.emit(container.id, b"a")
            engine.emit(container.id, b"b")
            assert readable(stream, CALL)
            assert b"".join(chunk.data for chunk in stream.read(0.0)) == b"ab"
            assert not readable(stream, 0.0)
            engine.finish(container.id)
            assert readable(stream, CALL)

    def test_there_may_be_none(self) -> None:
        engine = FakeEngine(has_fileno=False)
        with logs(engine, started(engine)) as stream:
            assert stream.fileno() is None
        assert stream.fileno() is None


class TestImages:
    def test_an_absent_image_is_pulled_where_it_can_be(self) -> None:
        engine = FakeEngine(images=["there"], pullable=["far"])
        reports: list[PullProgress] = []
        far = engine.ensure_image("far", policy=PullPolicy.MISSING, timeout=CALL, progress=reports.append)
        assert far.pulled
        assert far.digest.startswith("sha256:")
        assert [report.current for report in reports] == [0, reports[0].total]
        assert not engine.ensure_image("far", policy=PullPolicy.MISSING, timeout=CALL).pulled
        assert engine.ensure_image("far", policy=PullPolicy.ALWAYS, timeout=CALL).pulled

    @pytest.mark.parametrize(
        ("image", "policy"),
        [("absent", PullPolicy.MISSING), ("absent", PullPolicy.NEVER), ("there", PullPolicy.ALWAYS)],
    )
    def test_what_cannot_be_pulled_is_an_error(self, image: str, policy: PullPolicy) -> None:
        engine = FakeEngine(images=["there"])
        with pytest.raises(ImageError) as caught:
            engine.ensure_image(image, policy=policy, timeout=CALL)
        assert caught.value.image == image

    def test_every_image_is_there_unless_told_otherwise(self) -> None:
        info = FakeEngine().ensure_image("whatever", policy=PullPolicy.NEVER, timeout=CALL)
        assert not info.pulled


def read_until_broken(stream: LogStream, got: dict[Stream, bytes]) -> ContainerError | None:
    while not stream.ended:
        try:
            chunks = stream.read(CALL)
        except ContainerError as error:
            return error
        for chunk in chunks:
            got[chunk.stream] += chunk.data
    return None


def readable(stream: LogStream, timeout: float) -> bool:
    descriptor = stream.fileno()
    assert descriptor is not None
    found: Any = select.select([descriptor], [], [], timeout)
    return bool(found[0])
