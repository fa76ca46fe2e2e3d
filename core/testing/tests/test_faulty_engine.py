"""An engine that fails as a script of faults says, over any other engine, with the effects of the real thing."""

from __future__ import annotations

import re
import select
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import ContainerError, ContainerNotFoundError, EngineTimeoutError, EngineUnavailableError
from botdock.model import ContainerHandle, ContainerState, Engine, LogCursor, LogStream, Stream
from botdock_testing.engine import asked
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.faults import Call, Fault, FaultKind
from botdock_testing.faulty_engine import FaultyEngine
from botdock_testing.script import Script

CALL = 30.0
TALKS = Script(output=(Script.out(b"one\n"), Script.err(b"two\n")), forever=True)


@pytest.fixture(params=[True, False], ids=["with descriptors", "without"])
def fake(request: pytest.FixtureRequest) -> FakeEngine:
    return FakeEngine(TALKS, has_fileno=request.param, has_events=True)


def created(engine: Engine) -> ContainerHandle:
    return engine.create(*asked(selectors={"a": "b"}), timeout=CALL)


def started(engine: Engine) -> ContainerHandle:
    container = created(engine)
    engine.start(container, timeout=CALL)
    return container


def state(engine: Engine, container: ContainerHandle) -> ContainerState:
    return engine.inspect(container, timeout=CALL).state


def read(stream: LogStream, size: int) -> bytes:
    got = b""
    while len(got) < size:
        got += b"".join(chunk.data for chunk in stream.read(CALL))
    return got


def test_the_example_of_the_readme_does_what_it_says() -> None:
    readme = Path(__file__).parents[1].joinpath("README.md").read_text()
    (example,) = re.findall(
        r"^```python\n(.*?FakeEngine.*?)^```$", readme.rpartition("`FaultyEngine` wraps")[2], re.MULTILINE | re.DOTALL
    )
    names: dict[str, Any] = {}
    exec(example, names)
    engine = names["engine"]
    with pytest.raises(EngineUnavailableError):
        engine.create(*asked(), timeout=CALL)
    with pytest.raises(EngineUnavailableError):
        engine.create(*asked(name="other"), timeout=CALL)
    with pytest.raises(EngineTimeoutError):
        engine.list({}, timeout=0.001)


class TestCalls:
    def test_an_error_after_success_leaves_the_effect(self, fake: FakeEngine) -> None:
        faults = [Fault(operation=name, kind=FaultKind.FAIL_AFTER) for name in ("create", "start", "stop", "remove")]
        engine = FaultyEngine(fake, *faults)
        with pytest.raises(EngineUnavailableError):
            created(engine)
        (info,) = engine.list({"a": "b"}, timeout=CALL)
        container = ContainerHandle(id=info.container_id)
        with pytest.raises(EngineUnavailableError):
            engine.start(container, timeout=CALL)
        assert state(engine, container) is ContainerState.RUNNING
        with pytest.raises(EngineUnavailableError):
            engine.stop(container, grace=0, timeout=CALL)
        assert state(engine, container) is ContainerState.EXITED
        with pytest.raises(EngineUnavailableError):
            engine.remove(container, timeout=CALL)
        with pytest.raises(ContainerNotFoundError):
            engine.inspect(container, timeout=CALL)

    @pytest.mark.parametrize("operation", ["attach", "read_logs", "events"])
    def test_what_was_opened_for_an_answer_that_is_lost_is_closed(self, fake: FakeEngine, operation: str) -> None:
        container = created(fake)
        listeners, watchers = set(fake.world.listeners), set(fake.world.watchers)
        engine = FaultyEngine(fake, Fault(operation=operation, kind=FaultKind.FAIL_AFTER))
        calls: dict[str, Callable[[], object]] = {
            "attach": lambda: engine.attach(container, timeout=CALL),
            "read_logs": lambda: engine.read_logs(container, cursor=LogCursor(), follow=True, timeout=CALL),
            "events": lambda: engine.events({}, timeout=CALL),
        }
        with pytest.raises(EngineUnavailableError):
            calls[operation]()
        assert (fake.world.listeners, fake.world.watchers) == (listeners, watchers)

    def test_one_that_hangs_ends_at_its_timeout_without_an_effect(self, fake: FakeEngine) -> None:
        container = created(fake)
        engine = FaultyEngine(fake, Fault(operation="start", kind=FaultKind.SLOW))
        with pytest.raises(EngineTimeoutError, match=r"no answer within 0\.01 s"):
            engine.start(container, timeout=0.01)
        assert state(engine, container) is ContainerState.CREATED

    def test_closing_wakes_one_that_hangs(self, fake: FakeEngine) -> None:
        engine, raised = FaultyEngine(fake, Fault(operation="capabilities", kind=FaultKind.SLOW)), []
        entered = threading.Event()
        engine = FaultyEngine(engine, before=lambda _call: entered.set())

        def ask() -> None:
            try:
                engine.capabilities()
            except EngineTimeoutError as error:
                raised.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        assert entered.wait(CALL)
        engine.close()
        thread.join(CALL)
        assert raised

    def test_a_call_may_be_late_and_fail_and_others_are_spared(self, fake: FakeEngine) -> None:
        slow = Fault(operation="list", kind=FaultKind.SLOW, seconds=0.001, times=None)
        engine = FaultyEngine(fake, slow, Fault(operation="any", after=1), Fault(operation="list", after=1))
        said = []
        for _ in range(4):
            try:
                said.append(len(engine.list({}, timeout=CALL)))
            except EngineUnavailableError:
                said.append(-1)
        assert said == [0, -1, -1, 0], "a spared call of any counts for the list too, one that was hit does not"

    def test_a_test_may_watch_and_hold_each_call_also_of_what_is_open(self, fake: FakeEngine) -> None:
        calls: list[Call] = []
        engine = FaultyEngine(fake, before=calls.append)
        container = started(engine)
        with engine.attach(container, timeout=CALL) as stream:
            stream.read(0)
        assert [call.operation for call in calls] == ["create", "start", "attach", "read"]
        assert calls[-1].arguments == {"container_id": container.id}


class TestContainers:
    @pytest.mark.parametrize(("kind", "memory"), [(FaultKind.KILL, False), (FaultKind.OOM, True)])
    def test_one_that_is_killed_behind_our_back_shows_why(
        self, fake: FakeEngine, kind: FaultKind, memory: bool
    ) -> None:
        container = started(fake)
        engine = FaultyEngine(fake, Fault(operation="wait", kind=kind))
        status = engine.wait(container, timeout=CALL)
        assert status == engine.inspect(container, timeout=CALL)
        assert status is not None
        assert (status.exit_code, status.signal, status.oom_killed) == (137, 9, memory)

    def test_one_that_has_ended_is_not_killed(self, fake: FakeEngine) -> None:
        container = started(fake)
        fake.finish(container.id, exit_code=7)
        engine = FaultyEngine(fake)
        engine.kill(container.id, oom=True)
        status = engine.inspect(container, timeout=CALL)
        assert (status.exit_code, status.oom_killed) == (7, False)

    @pytest.mark.parametrize("operation", ["create", "start", "wait"])
    def test_one_that_vanishes_is_not_found(self, fake: FakeEngine, operation: str) -> None:
        engine = FaultyEngine(fake, Fault(operation=operation, kind=FaultKind.VANISH))
        container = created(engine)
        with suppress(ContainerNotFoundError):
            engine.start(container, timeout=CALL)
        with pytest.raises(ContainerNotFoundError):
            engine.wait(container, timeout=0)

    @pytest.mark.parametrize("ends", [False, True])
    def test_a_restart_breaks_all_that_is_open_and_containers_may_end(self, fake: FakeEngine, ends: bool) -> None:
        kind = FaultKind.END_ALL if ends else FaultKind.RESTART
        engine = FaultyEngine(fake, Fault(operation="list", kind=kind))
        container, never_started = started(engine), engine.create(*asked(name="other"), timeout=CALL)
        events = engine.events({}, timeout=CALL)
        assert events is not None
        with closing(events), engine.attach(container, timeout=CALL) as stream:
            assert read(stream, 8) == b"one\ntwo\n"
            with pytest.raises(EngineUnavailableError):
                engine.list({}, timeout=CALL)
            with pytest.raises(ContainerError, match="broke"):
                stream.read(CALL)
            with pytest.raises(EngineUnavailableError):
                events.read(CALL)
        assert state(engine, container) is (ContainerState.EXITED if ends else ContainerState.RUNNING)
        assert state(engine, never_started) is ContainerState.CREATED


class TestWhatIsOpen:
    @pytest.mark.parametrize("size", range(9))
    def test_a_log_breaks_after_so_many_bytes_and_its_descriptor_says_so(self, fake: FakeEngine, size: int) -> None:
        engine = FaultyEngine(fake, Fault(operation="stream", kind=FaultKind.CUT, size=size))
        with engine.attach(started(engine), timeout=CALL) as stream:
            descriptor = stream.fileno()
            got = read(stream, size)
            assert got == b"one\ntwo\n"[:size]
            if descriptor is not None:
                assert select.select([descriptor], [], [], CALL)[0]
            with pytest.raises(ContainerError, match="broke"):
                stream.read(CALL)
            assert not stream.ended

    def test_a_reader_that_waits_is_woken_by_a_break_and_by_close(self, fake: FakeEngine) -> None:
        engine = FaultyEngine(fake)
        container = created(engine)
        for wake in (engine.restart, None):
            stream, ended = engine.attach(container, timeout=CALL), threading.Event()

            def wait(stream: LogStream = stream, ended: threading.Event = ended) -> None:
                with suppress(ContainerError):
                    stream.read(CALL)
                ended.set()

            threading.Thread(target=wait, daemon=True).start()
            (wake or stream.close)()
            assert ended.wait(CALL)
            stream.close()

    def test_the_end_of_a_log_is_its_end(self, fake: FakeEngine) -> None:
        engine = FaultyEngine(fake, Fault(operation="stream", kind=FaultKind.CUT, size=9))
        container = started(engine)
        with engine.read_logs(container, cursor=LogCursor(), follow=True, timeout=CALL) as stream:
            assert read(stream, 8)
            fake.finish(container.id)
            while not stream.ended:
                stream.read(CALL)
            engine.restart()
            assert list(stream.read(0)) == []

    def test_events_may_break_and_may_not_tell_all(self, fake: FakeEngine) -> None:
        told: list[Sequence[str]] = []
        engine = FaultyEngine(
            fake,
            Fault(operation="events", kind=FaultKind.LOSE, size=1),
            Fault(operation="events", kind=FaultKind.CUT, size=1),
        )
        for _ in range(2):
            events = engine.events({"a": "b"}, timeout=CALL)
            assert events is not None
            with closing(events):
                for _ in range(2):
                    container = started(engine)
                    engine.kill(container.id)
                    try:
                        told.append(events.read(0.0))
                    except EngineUnavailableError:
                        told.append("cut")
                    engine.remove(container, timeout=CALL)
        assert [one if one == "cut" else len(one) for one in told] == [0, 1, 1, "cut"]

    def test_the_descriptors_are_given_back(self, fake: FakeEngine) -> None:
        engine = FaultyEngine(fake)
        with engine.attach(started(engine), timeout=CALL) as stream:
            stream.fileno()
        assert stream.fileno() is None
        assert list(stream.read(CALL)) == []
        assert engine._shared.open == set()
        assert {chunk.stream for chunk in [*stream.read(0)]} <= set(Stream)
