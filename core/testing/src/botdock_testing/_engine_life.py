"""The engine contract: the life of a container."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from botdock.errors import ContainerConflictError, ContainerError, ContainerNotFoundError
from botdock.model import DEFAULT_LIMITS, ContainerHandle, ContainerState, ContainerStatus, Engine, LogCursor, Stream
from botdock_testing._engine_support import (
    CALL,
    OWNER,
    MakeSpec,
    assert_same,
    bounded,
    drain,
    ended,
    read_logs,
    run,
    started,
)
from botdock_testing.program import FAREWELL_EXIT_CODE, Program

KILLED = 128 + 9
"""The exit code of a program that SIGKILL ended, as shells and Docker have it."""

LEAST_OUTPUT = 100_000
"""Bytes."""
SMALL = attrs.evolve(DEFAULT_LIMITS, output=LEAST_OUTPUT)
LINGERS = Program(stdout=b"ready\n", forever=True)
"""It prints a line and goes on until it is stopped."""


class EndingTests:
    """How containers end."""

    @pytest.mark.parametrize("code", [0, 1, 7, 137, 143])
    def test_the_exit_code_is_the_programs_own(self, engine: Engine, make_spec: MakeSpec, code: int) -> None:
        status = run(engine, make_spec(Program(exit_code=code))).status
        assert (status.state, status.exit_code, status.signal or None) == (ContainerState.EXITED, code, None)
        assert not status.oom_killed

    def test_stop_lets_a_handler_of_sigterm_run(self, engine: Engine, make_spec: MakeSpec) -> None:
        program = Program(stdout=b"ready\n", forever=True, farewell=b"bye\n")
        container = started(engine, make_spec(program), shows=b"ready\n")
        engine.stop(container, grace=20.0, timeout=CALL)
        assert engine.inspect(container, timeout=CALL).exit_code == FAREWELL_EXIT_CODE
        assert read_logs(engine, container)[Stream.STDOUT] == b"ready\nbye\n"

    def test_stop_kills_after_the_grace(self, engine: Engine, make_spec: MakeSpec) -> None:
        program = Program(stdout=b"ready\n", forever=True, ignores_term=True)
        container = started(engine, make_spec(program), shows=b"ready\n")
        engine.stop(container, grace=1.0, timeout=CALL)
        assert_killed(engine.inspect(container, timeout=CALL))

    def test_stop_without_grace_kills_at_once(self, engine: Engine, make_spec: MakeSpec) -> None:
        program = Program(stdout=b"ready\n", forever=True, farewell=b"never written\n")
        container = started(engine, make_spec(program), shows=b"ready\n")
        engine.stop(container, grace=0.0, timeout=CALL)
        assert_killed(engine.inspect(container, timeout=CALL))
        assert read_logs(engine, container)[Stream.STDOUT] == b"ready\n"

    def test_stop_leaves_one_that_has_ended_alone(self, engine: Engine, make_spec: MakeSpec) -> None:
        ran = run(engine, make_spec(Program(exit_code=5)))
        engine.stop(ran.container, grace=1.0, timeout=CALL)
        assert engine.inspect(ran.container, timeout=CALL).exit_code == 5

    def test_stop_of_one_that_was_never_started_is_no_error(self, engine: Engine, make_spec: MakeSpec) -> None:
        container = engine.create(*make_spec(), timeout=CALL)
        engine.stop(container, grace=1.0, timeout=CALL)
        assert engine.inspect(container, timeout=CALL).state is not ContainerState.RUNNING

    def test_one_that_may_write_without_an_end_is_not_ended_for_it(self, engine: Engine, make_spec: MakeSpec) -> None:
        output = b"".join(b"%09d\n" % number for number in range(400_000))
        spec = make_spec(Program(stdout=output, exit_code=3), limits=SMALL, keeps_newest=True)
        container = engine.create(*spec, timeout=CALL)
        engine.start(container, timeout=CALL)
        status = bounded(lambda: ended(engine, container))
        assert (status.exit_code, status.output_limited) == (3, False)
        kept = read_logs(engine, container)[Stream.STDOUT]
        assert len(kept) >= (LEAST_OUTPUT if engine.capabilities().keeps_unfollowed_logs else 0)
        assert output.endswith(kept)

    def test_wait_returns_none_while_it_runs(self, engine: Engine, make_spec: MakeSpec) -> None:
        container = started(engine, make_spec(LINGERS))
        assert bounded(lambda: engine.wait(container, timeout=0.05)) is None
        assert bounded(lambda: engine.wait(container, timeout=0.0)) is None

    def test_wait_returns_the_same_however_often_it_is_asked(self, engine: Engine, make_spec: MakeSpec) -> None:
        ran = run(engine, make_spec(Program(exit_code=4)))
        assert engine.wait(ran.container, timeout=CALL) == engine.wait(ran.container, timeout=0.0) == ran.status
        assert engine.inspect(ran.container, timeout=CALL) == ran.status

    def test_events_tell_of_an_end_that_a_short_look_then_sees(self, engine: Engine, make_spec: MakeSpec) -> None:
        spec = make_spec(LINGERS)
        events = engine.events({OWNER: spec.run.selectors[OWNER]}, timeout=CALL)
        container = started(engine, spec, shows=b"ready\n")
        assert engine.wait(container, timeout=0.0) is None
        engine.stop(container, grace=0.0, timeout=CALL)
        if events is not None:
            with closing(events):
                told: set[str] = set()
                while container.id not in told:
                    news = events.read(CALL)
                    assert news, "the end is told in time"
                    told.update(news)
        status = engine.wait(container, timeout=0.0)
        assert status is not None, "it has ended"
        assert_killed(status)

    def test_a_thread_that_waits_learns_of_the_end(self, engine: Engine, make_spec: MakeSpec) -> None:
        container = started(engine, make_spec(LINGERS))
        engine.stop(container, grace=0.0, timeout=CALL)
        assert_killed(bounded(lambda: ended(engine, container)))


class LifeTests:
    """What there is before, after and beside the end."""

    def test_inspect_tells_where_a_container_is_in_its_life(self, engine: Engine, make_spec: MakeSpec) -> None:
        container = engine.create(*make_spec(LINGERS), timeout=CALL)
        created = engine.inspect(container, timeout=CALL)
        engine.start(container, timeout=CALL)
        running = engine.inspect(container, timeout=CALL)
        engine.stop(container, grace=0.0, timeout=CALL)
        exited = engine.inspect(container, timeout=CALL)
        states = [status.state for status in (created, running, exited)]
        assert states == [ContainerState.CREATED, ContainerState.RUNNING, ContainerState.EXITED]
        assert {status.container_id for status in (created, running, exited)} == {container.id}
        assert created.exit_code is None
        assert running.exit_code is None

    def test_times_are_in_order_and_know_their_zone(self, engine: Engine, make_spec: MakeSpec) -> None:
        status = run(engine, make_spec()).status
        assert status.started_at is not None
        assert status.finished_at is not None
        assert status.started_at.utcoffset() is not None
        assert status.started_at <= status.finished_at

    def test_a_second_container_of_a_name_is_refused(self, engine: Engine, make_spec: MakeSpec) -> None:
        spec = make_spec(Program(exit_code=6))
        container = engine.create(*spec, timeout=CALL)
        with pytest.raises(ContainerConflictError):
            engine.create(*spec, timeout=CALL)
        assert [info.container_id for info in engine.list(spec.run.selectors, timeout=CALL)] == [container.id]
        engine.start(container, timeout=CALL)
        assert ended(engine, container).exit_code == 6

    def test_a_name_is_free_again_after_remove(self, engine: Engine, make_spec: MakeSpec) -> None:
        spec = make_spec(Program(exit_code=6))
        engine.remove(run(engine, spec).container, timeout=CALL)
        assert run(engine, spec).status.exit_code == 6

    def test_create_that_fails_leaves_nothing(self, engine: Engine, make_spec: MakeSpec, tmp_path: Path) -> None:
        spec = make_spec(code=str(tmp_path / "absent"))
        with pytest.raises(ContainerError):
            engine.create(*spec, timeout=CALL)
        assert list(engine.list(spec.run.selectors, timeout=CALL)) == []
        assert not (tmp_path / "absent").exists()

    def test_a_program_that_is_not_there_is_an_error(self, engine: Engine, make_spec: MakeSpec) -> None:
        spec = make_spec(Program(missing=True))
        with pytest.raises(ContainerError):
            engine.start(engine.create(*spec, timeout=CALL), timeout=CALL)
        for info in engine.list(spec.run.selectors, timeout=CALL):
            assert info.state is not ContainerState.RUNNING

    @pytest.mark.parametrize("operation", ["inspect", "wait", "start", "attach", "stop", "read_logs", "fetch_result"])
    def test_an_unknown_container_is_not_found(self, engine: Engine, operation: str) -> None:
        calls: dict[str, Callable[[], object]] = {
            "inspect": lambda: engine.inspect(ContainerHandle(id="no-such"), timeout=CALL),
            "wait": lambda: engine.wait(ContainerHandle(id="no-such"), timeout=CALL),
            "start": lambda: engine.start(ContainerHandle(id="no-such"), timeout=CALL),
            "attach": lambda: engine.attach(ContainerHandle(id="no-such"), timeout=CALL),
            "stop": lambda: engine.stop(ContainerHandle(id="no-such"), grace=0.0, timeout=CALL),
            "read_logs": lambda: engine.read_logs(
                ContainerHandle(id="no-such"), cursor=LogCursor(), follow=False, timeout=CALL
            ),
            "fetch_result": lambda: engine.fetch_result(ContainerHandle(id="no-such"), limit=1, timeout=CALL),
        }
        with pytest.raises(ContainerNotFoundError):
            calls[operation]()

    def test_remove_of_one_that_is_not_there_is_no_error(self, engine: Engine, make_spec: MakeSpec) -> None:
        container = engine.create(*make_spec(), timeout=CALL)
        for _ in range(2):
            engine.remove(container, timeout=CALL)
        with pytest.raises(ContainerNotFoundError):
            engine.inspect(container, timeout=CALL)

    def test_remove_kills(self, engine: Engine, make_spec: MakeSpec) -> None:
        program = Program(stdout=b"ready\n", forever=True, ignores_term=True)
        spec = make_spec(program)
        container = engine.create(*spec, timeout=CALL)
        with engine.attach(container, timeout=CALL) as stream:
            engine.start(container, timeout=CALL)
            engine.remove(container, timeout=CALL)
            drain(stream)
        assert list(engine.list(spec.run.selectors, timeout=CALL)) == []

    def test_two_containers_at_once_do_not_mix(self, engine: Engine, make_spec: MakeSpec) -> None:
        specs = [make_spec(Program(stdout=bytes([number]) * 50_000, exit_code=number)) for number in (1, 2)]
        ids = [engine.create(*spec, timeout=CALL) for spec in specs]
        streams = [engine.attach(container, timeout=CALL) for container in ids]
        for container in ids:
            engine.start(container, timeout=CALL)
        for number, container, stream in zip((1, 2), ids, streams, strict=True):
            with stream:
                assert_same(drain(stream)[Stream.STDOUT], bytes([number]) * 50_000)
            assert ended(engine, container).exit_code == number

    def test_list_finds_by_all_selectors_what_runs_and_what_does_not(self, engine: Engine, make_spec: MakeSpec) -> None:
        spec = make_spec(LINGERS, selectors={"kind": "a", "run": "1"})
        sibling = make_spec(selectors={"kind": "a", "run": "2"})
        running, created = started(engine, spec), engine.create(*sibling, timeout=CALL)
        mine = {OWNER: spec.run.selectors[OWNER]}

        def found(**labels: str) -> set[str]:
            return {info.container_id for info in engine.list({**mine, **labels}, timeout=CALL)}

        assert found() == found(kind="a") == {running.id, created.id}
        assert found(kind="a", run="1") == {running.id}
        assert found(kind="a", run="3") == set()

    def test_list_tells_what_a_container_was_created_from(self, engine: Engine, make_spec: MakeSpec) -> None:
        spec = make_spec()
        container = engine.create(*spec, timeout=CALL)
        (info,) = engine.list(spec.run.selectors, timeout=CALL)
        assert (info.container_id, info.name, info.image) == (container.id, spec.run.name, spec.template.image)
        assert info.state is ContainerState.CREATED
        assert {**spec.run.selectors, **spec.run.annotations}.items() <= info.labels.items()
        assert info.created_at is None or info.created_at.utcoffset() is not None

    def test_containers_go_on_when_the_engine_is_closed(
        self, engine: Engine, reopened: Engine, make_spec: MakeSpec
    ) -> None:
        container = started(engine, make_spec(Program(stdout=b"ready\n", forever=True)), shows=b"ready\n")
        for _ in range(2):
            engine.close()
        assert reopened.inspect(container, timeout=CALL).state is ContainerState.RUNNING
        assert read_logs(reopened, container)[Stream.STDOUT] == b"ready\n"
        reopened.stop(container, grace=0.0, timeout=CALL)
        assert_killed(ended(reopened, container))

    def test_a_handle_from_disk_and_an_id_alone_find_it_again(
        self, engine: Engine, reopened: Engine, make_spec: MakeSpec
    ) -> None:
        container = run(engine, make_spec(Program(stdout=b"hi\n", result=b"7", exit_code=3))).container
        engine.close()
        document = json.loads(json.dumps(container.document))
        for found in (ContainerHandle.read(document), ContainerHandle(id=container.id)):
            assert ended(reopened, found).exit_code == reopened.inspect(found, timeout=CALL).exit_code == 3
            assert reopened.fetch_result(found, limit=9, timeout=CALL) == b"7"
            assert read_logs(reopened, found)[Stream.STDOUT] == b"hi\n"
            reopened.stop(found, grace=0.0, timeout=CALL)
        reopened.remove(ContainerHandle(id=container.id), timeout=CALL)
        with pytest.raises(ContainerNotFoundError):
            reopened.inspect(container, timeout=CALL)


def assert_killed(status: ContainerStatus) -> None:
    """Assert that SIGKILL ended it, as far as the engine knows."""
    assert status.state is ContainerState.EXITED
    assert status.exit_code in {KILLED, None}
