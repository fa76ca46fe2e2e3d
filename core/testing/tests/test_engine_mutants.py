"""The contract of engines finds, for every promise in it, one engine that breaks it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.model import ContainerState, LogCursor
from botdock_testing import EngineContract, _engine_logs, _engine_support
from botdock_testing.engine import Asked, Program, _Workspaces
from botdock_testing.fake_engine import FakeEngine, Script
from testbed.engine_mutants import (
    SHORT,
    again,
    attach_the_first,
    chunks,
    close_stops_all,
    create_makes_its_folder,
    create_remembers,
    late,
    mutant,
    once,
    remove_wants_one,
    silent,
    start_says_nothing,
    started_with,
    status,
    stop_only_asks,
    stop_rewrites,
    stop_wants_a_start,
    stop_with,
    stream,
    wants_its_state,
)
from testbed.mutants import CAUGHT, call, unbroken

ValuesOf = Callable[[type[FakeEngine]], dict[str, Any]]


NOT_KNOWN = {
    operation: mutant(**{operation: lambda healthy, *_, **__: None})
    for operation in ("inspect", "wait", "start", "attach", "stop", "read_logs", "fetch_result")
}
MUTANTS: list[tuple[str, type[FakeEngine], dict[str, Any]]] = [
    ("test_the_exit_code_is_the_programs_own", status(exit_code=0), {"code": 7}),
    (
        "test_stop_lets_a_handler_of_sigterm_run",
        stop_with(grace=0),
        {},
    ),
    ("test_stop_kills_after_the_grace", mutant(stop=stop_only_asks), {}),
    (
        "test_stop_without_grace_kills_at_once",
        stop_with(grace=9),
        {},
    ),
    ("test_stop_leaves_one_that_has_ended_alone", mutant(stop=stop_rewrites), {}),
    ("test_stop_of_one_that_was_never_started_is_no_error", mutant(stop=stop_wants_a_start), {}),
    ("test_one_that_may_write_without_an_end_is_not_ended_for_it", status(output_limited=True), {}),
    ("test_wait_returns_none_while_it_runs", mutant(wait=lambda h, e, c, timeout: e.inspect(c, timeout=1)), {}),
    ("test_wait_returns_the_same_however_often_it_is_asked", status(finished_at=lambda _: datetime.now(UTC)), {}),
    ("test_events_tell_of_an_end_that_a_short_look_then_sees", mutant(wait=lambda h, *_, **__: None), {}),
    ("test_a_thread_that_waits_learns_of_the_end", mutant(wait=lambda h, *_, **__: None), {}),
    (
        "test_inspect_tells_where_a_container_is_in_its_life",
        mutant(inspect=lambda h, _, *a, **k: attrs.evolve(h(*a, **k), state=ContainerState.RUNNING)),
        {},
    ),
    (
        "test_times_are_in_order_and_know_their_zone",
        status(started_at=lambda true: true.started_at.replace(tzinfo=None)),
        {},
    ),
    (
        "test_a_second_container_of_a_name_is_refused",
        mutant(create=lambda h, _, t, run, **k: h(t, attrs.evolve(run, name=f"{run.name}-{time.monotonic_ns()}"), **k)),
        {},
    ),
    ("test_a_name_is_free_again_after_remove", mutant(create=create_remembers), {}),
    (
        "test_create_that_fails_leaves_nothing",
        mutant(create=create_makes_its_folder),
        {},
    ),
    ("test_a_program_that_is_not_there_is_an_error", mutant(start=start_says_nothing), {}),
    *(
        ("test_an_unknown_container_is_not_found", broken, {"operation": operation})
        for operation, broken in NOT_KNOWN.items()
    ),
    ("test_remove_of_one_that_is_not_there_is_no_error", mutant(remove=remove_wants_one), {}),
    ("test_remove_kills", mutant(remove=lambda *_, **__: None), {}),
    ("test_two_containers_at_once_do_not_mix", mutant(attach=attach_the_first), {}),
    (
        "test_list_finds_by_all_selectors_what_runs_and_what_does_not",
        mutant(list=lambda h, _, selectors, **k: h({}, **k)),
        {},
    ),
    (
        "test_list_tells_what_a_container_was_created_from",
        mutant(list=lambda h, _, *a, **k: [attrs.evolve(info, image="other") for info in h(*a, **k)]),
        {},
    ),
    ("test_containers_go_on_when_the_engine_is_closed", mutant(close=close_stops_all), {}),
    ("test_a_handle_from_disk_and_an_id_alone_find_it_again", mutant(wait=wants_its_state), {}),
    ("test_attach_delivers_exactly_what_was_written", chunks(lambda data: data.rstrip(b"\n")), {"output": b"hello\n"}),
    (
        "test_what_is_written_right_before_the_end_is_not_lost",
        chunks(lambda data: data[: data.rfind(b"\n") + 1]),
        {},
    ),
    (
        "test_read_logs_continues_from_a_cursor",
        mutant(read_logs=lambda h, _, c, cursor, **k: h(c, cursor=LogCursor(), **k)),
        {"stdout": 6, "stderr": 3},
    ),
    (
        "test_read_logs_has_every_byte",
        chunks(lambda data: data.decode(errors="replace").encode()),
        {"output": b"\xff\xfe\x00tail"},
    ),
    (
        "test_read_logs_of_a_running_container_returns_what_is_there",
        mutant(read_logs=lambda h, _, c, follow, **k: h(c, follow=True, **k)),
        {},
    ),
    ("test_read_logs_follows_to_the_end", mutant(read_logs=lambda h, _, c, follow, **k: h(c, follow=False, **k)), {}),
    ("test_a_stream_that_has_ended_returns_nothing", stream(read=again), {}),
    ("test_read_waits_no_longer_than_it_may", stream(read=late), {}),
    ("test_close_wakes_a_thread_that_reads", stream(close=lambda *_: None), {}),
    ("test_close_may_be_called_twice", stream(close=once), {}),
    ("test_the_descriptor_is_readable_when_there_is_something", stream(fileno=lambda *_: silent()[0]), {}),
    ("test_an_untouched_result_is_empty", mutant(fetch_result=lambda *_, **__: b"null"), {}),
    (
        "test_a_result_is_fetched_up_to_one_byte_over_the_limit",
        mutant(fetch_result=lambda h, _, c, limit, timeout: h(c, limit=limit, timeout=timeout)[:limit]),
        {"size": 1001},
    ),
    ("test_the_environment_is_what_was_given_and_nothing_of_the_hosts", started_with(SSH_AUTH_SOCK="/host"), {}),
    ("test_the_bots_user_has_a_name_and_its_text_is_utf_8", started_with(LANG="POSIX"), {}),
    ("test_a_folder_for_secrets_is_there_and_the_bots_to_fill", status(exit_code=1), {}),
    (
        "test_capabilities_account_for_every_feature",
        mutant(capabilities=lambda h, _: attrs.evolve(h(), enforced=frozenset())),
        {},
    ),
    (
        "test_an_image_that_is_there_is_named",
        mutant(ensure_image=lambda h, *a, **k: attrs.evolve(h(*a[1:], **k), reference="other")),
        {},
    ),
    ("test_it_behaves_like_its_model", mutant(list=lambda *_, **__: []), {}),
    ("test_an_absent_image_that_may_not_be_pulled_is_an_error", mutant(ensure_image=lambda h, *_, **__: None), {}),
]
SHOWN_BY_REAL_ENGINES = {
    "test_streams_that_come_as_one_hold_what_was_written_to_either",
    "test_what_waits_on_a_fifo_sees_what_is_written_after_its_start",
}
"""Skipped with the fake, which keeps the two streams apart, and whose scripts read no FIFO."""


@pytest.fixture
def values_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ValuesOf]:
    """Return what the tests of the contract take, for an engine of a class."""
    made: list[FakeEngine] = []

    def values(kind: type[FakeEngine]) -> dict[str, Any]:
        engine = kind(images=["botdock-contract"], check_mounts=True)
        made.append(engine)
        folder = tmp_path / str(len(made))
        folder.mkdir()
        workspaces = _Workspaces(root=folder, private=True)

        def make_spec(program: Program = Program(), /, **fields: Any) -> Asked:  # noqa: B008 - it is frozen
            spec = workspaces.spec(program, image="botdock-contract", **fields)
            engine.script(spec.run.name, Script.of(program))
            return spec

        return {
            "engine": engine,
            "reopened": engine.successor(),
            "capabilities": engine.capabilities(),
            "make_spec": make_spec,
            "image": "botdock-contract",
            "absent_image": "absent",
            "basic_environment": EngineContract.BASIC_ENVIRONMENT,
            "tmp_path": folder,
            "monkeypatch": monkeypatch,
        }

    yield values
    for engine in made:
        for container in list(engine.world.containers):
            engine.finish(container)


@pytest.mark.parametrize(("test", "broken", "parameters"), MUTANTS, ids=[mutant[0] for mutant in MUTANTS])
def test_what_breaks_a_promise_is_found(
    values_of: ValuesOf,
    monkeypatch: pytest.MonkeyPatch,
    test: str,
    broken: type[FakeEngine],
    parameters: dict[str, Any],
) -> None:
    call(EngineContract(), test, {**values_of(FakeEngine), **parameters})
    monkeypatch.setattr(EngineContract, "examples", 20)  # a walk may create nothing, but not all of them
    monkeypatch.setattr(_engine_support, "DEADLINE", SHORT)
    monkeypatch.setattr(_engine_logs, "DEADLINE", SHORT)
    with pytest.raises(CAUGHT):
        call(EngineContract(), test, {**values_of(broken), **parameters})


def test_every_promise_has_something_that_breaks_it() -> None:
    assert unbroken(EngineContract, [test for test, _, _ in MUTANTS]) == SHOWN_BY_REAL_ENGINES
