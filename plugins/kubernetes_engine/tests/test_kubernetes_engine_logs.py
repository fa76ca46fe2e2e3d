"""A pod's log as a stream: every byte once, or an error after which another reader goes on, or a gap."""

from __future__ import annotations

import select
import threading
import time
from typing import TYPE_CHECKING

import pytest

from botdock.errors import ContainerError
from botdock.model import LogCursor
from botdock_engine_kubernetes import flow, handover, logs
from botdock_engine_kubernetes.answers import CROWDED
from testbed.kubernetes_logs import BEGIN, CUT, GONE, JOB, SECOND, Answer, World, body, pod

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 60.0


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def drain(stream: logs.PodLog) -> bytes:
    """Return what comes until the end."""
    data, until = b"", time.monotonic() + DEADLINE
    while not stream.ended:
        assert time.monotonic() < until, "the log did not end"
        data += b"".join(chunk.data for chunk in stream.read(1.0))
    return data


def wait_readable(stream: logs.PodLog) -> None:
    descriptor = stream.fileno()
    assert descriptor is not None
    assert select.select([descriptor], [], [], DEADLINE)[0]


def test_it_may_be_opened_before_there_is_a_pod_and_its_end_is_read_once_more(world: World) -> None:
    world.answers = [Answer(body("one\n", "two\n"), ends_bot=True), Answer(body("one\n", "two\n", "tail"))]
    with world.open() as stream:
        assert stream.read(0.0) == []
        world.pods.tell(pod("waiting"))
        assert stream.read(0.0) == []
        world.pods.tell(pod("running"))
        assert drain(stream) == b"one\ntwo\ntail"
        assert list(stream.read(DEADLINE)) == []
        assert not stream.lost
    first, second = world.asked
    assert first == {"container": "bot", "timestamps": "true", "follow": "true"}
    assert second.keys() == {"container", "timestamps", "sinceTime"}


def test_what_is_there_of_one_that_runs_is_read_without_following(world: World) -> None:
    world.pods.tell(pod("running"))
    world.answers = [Answer(body("one\n", "two"))]
    with world.open(cursor=LogCursor(stdout=2), follow=False) as stream:
        assert drain(stream) == b"e\ntwo"


@pytest.mark.parametrize("state", [None, "waiting", "never"])
def test_of_one_that_has_not_begun_there_is_nothing(world: World, state: str | None) -> None:
    if state:
        world.pods.tell(pod(state))
    with world.open(follow=state == "never") as stream:
        assert drain(stream) == b""
    assert world.asked == []


def test_of_a_job_that_has_ended_without_a_pod_nothing_is_waited_for(world: World) -> None:
    world.job_conditions = [{"type": "Failed", "status": "True"}]
    with world.open() as stream:
        assert drain(stream) == b""


def test_a_connection_that_is_cut_raises_after_what_came(world: World) -> None:
    world.pods.tell(pod("running"))
    world.answers = [Answer((body("one\n", "tw"), CUT))]
    with world.open() as stream:
        data = b""
        with pytest.raises(ContainerError):  # noqa: PT012 - what comes first counts
            while True:
                data += b"".join(chunk.data for chunk in stream.read(DEADLINE))
        assert data == b"one\n"  # half a line comes whole from the next reader
        assert not stream.ended


def test_a_log_that_ends_while_the_bot_runs_is_not_at_its_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "END_TOLD", 0.05)
    world.pods.tell(pod("running"))
    world.answers = [Answer(body("one\n"))]
    with world.open() as stream, pytest.raises(ContainerError, match="while the container runs"):
        drain(stream)


def test_an_error_of_the_api_server_is_told_in_its_words(world: World) -> None:
    world.pods.tell(pod("running"))
    world.answers = [Answer(status=403, words="pods is forbidden: cannot get resource pods/log")]
    with world.open() as stream, pytest.raises(ContainerError, match="pods/log"):
        drain(stream)


@pytest.mark.parametrize("gone", [Answer(status=404, words="pods not found"), Answer(GONE)])
def test_a_log_that_is_gone_has_ended_and_what_was_not_read_is_a_gap(world: World, gone: Answer) -> None:
    world.pods.tell(pod("ended"))
    world.answers = [gone, gone]
    cursor = LogCursor(stdout=9, first_ns=BEGIN, last_ns=BEGIN + SECOND, stdout_tail=b"stored\n")
    with world.open(cursor=cursor) as stream:
        assert drain(stream) == b""
        (gap,) = stream.lost
        assert (gap.size, gap.since_ns) == (None, cursor.last_ns)


@pytest.mark.parametrize("lines", [("one\n", "two\n"), ()])
def test_a_log_that_is_gone_after_it_was_followed_to_its_end_lost_nothing(world: World, lines: tuple[str, ...]) -> None:
    world.pods.tell(pod("running"))
    world.answers = [Answer(body(*lines), ends_bot=True), Answer(GONE)]
    with world.open() as stream:
        assert drain(stream).decode() == "".join(lines)
        assert not stream.lost


@pytest.mark.parametrize(("state", "gaps"), [("ended", 1), ("never", 0)])
def test_of_a_pod_that_is_gone_the_log_is_lost_if_there_was_one(world: World, state: str, gaps: int) -> None:
    world.pods.gone[JOB] = pod(state)
    with world.open() as stream:
        assert drain(stream) == b""
        assert len(stream.lost) == gaps


def test_a_log_that_went_while_it_was_read_is_left_to_the_next_reader(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "QUIET", 0.05)
    world.pods.tell(pod("running"))
    world.answers = [Answer(body("one\n"), ends_bot=True, waits=True), Answer(GONE)]
    with world.open() as stream, pytest.raises(ContainerError, match="removed"):
        drain(stream)


def test_a_reader_goes_on_behind_the_mark_and_asks_for_no_more_than_it_needs(world: World) -> None:
    world.pods.tell(pod("ended"))
    world.answers = [Answer(body("tick\n", "tick\n", "tick\n", "tick\n"))]
    cursor = LogCursor(stdout=10, first_ns=BEGIN, last_ns=BEGIN + SECOND, stdout_tail=b"tick\ntick\n")
    with world.open(cursor=cursor) as stream:
        assert drain(stream) == b"tick\ntick\n"
        assert stream.activity > 0
    assert [asked["sinceTime"] for asked in world.asked] == ["2026-01-02T03:04:05Z"]


def test_a_mark_that_is_not_certain_is_counted_from_the_first_byte_instead(world: World) -> None:
    world.pods.tell(pod("ended"))
    world.answers = [Answer(body("one\n", "two\n", "three\n"))] * 2
    cursor = LogCursor(stdout=6, first_ns=BEGIN, last_ns=BEGIN + SECOND, stdout_tail=b"one\ntw")
    with world.open(cursor=cursor) as stream:
        assert drain(stream) == b"o\nthree\n"
    assert ["sinceTime" in asked for asked in world.asked] == [True, False]


def test_what_was_rotated_away_is_a_gap(world: World) -> None:
    world.pods.tell(pod("ended"))
    world.answers = [Answer(body("new\n", first=7))] * 2
    cursor = LogCursor(stdout=10, first_ns=BEGIN, last_ns=BEGIN + SECOND, stdout_tail=b"old\n")
    with world.open(cursor=cursor) as stream:
        assert drain(stream) == b"new\n"
        (gap,) = stream.lost
        assert (gap.size, gap.since_ns, gap.until_ns) == (None, BEGIN + SECOND, BEGIN + 7 * SECOND)


def test_a_follower_that_was_leapt_over_is_not_believed(world: World) -> None:
    world.pods.tell(pod("running"))
    world.answers = [Answer((body("one\n"), body("ten\n", first=10)))]
    with world.open() as stream, pytest.raises(ContainerError, match="rotated"):
        drain(stream)


def test_a_follower_that_gives_a_file_twice_is_not_believed(world: World) -> None:
    world.pods.tell(pod("running"))
    world.answers = [Answer((body("one\n", "two\n"), body("one\n")))]
    with world.open() as stream, pytest.raises(ContainerError, match="rotated"):
        drain(stream)


def test_a_file_that_was_rotated_after_the_end_was_followed_is_no_gap_unless_it_was_late(world: World) -> None:
    world.pods.tell(pod("running"))
    world.answers = [Answer(body("one\n"), ends_bot=True), Answer(b"")]
    with world.open() as stream:
        assert drain(stream) == b"one\n"
    world.pods.tell(pod("running"))
    world.answers = [Answer(body("one\n"), date=60, ends_bot=True), Answer(b"")]
    with world.open() as late, pytest.raises(ContainerError, match="rotated"):
        drain(late)


def test_a_follower_that_may_wait_in_a_file_that_was_rotated_is_asked_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "QUIET", 0.05)
    world.pods.tell(pod("running"))
    line = "x" * (flow.LONG + 1) + "\n"
    world.answers = [
        Answer(body(line), waits=True),
        Answer(body(line, "two\n"), ends_bot=True),
        Answer(body(line, "two\n")),
    ]
    with world.open() as stream:
        assert drain(stream).decode() == f"{line}two\n"
    assert [asked.get("follow") for asked in world.asked] == ["true", "true", None]


@pytest.mark.parametrize("rest", [b"", body("tw", first=1)])
def test_where_too_many_are_followed_the_log_is_asked_for_again(
    world: World, monkeypatch: pytest.MonkeyPatch, rest: bytes
) -> None:
    monkeypatch.setattr(logs, "CROWDED_PAUSE", 0.01)
    world.pods.tell(pod("running"))
    world.answers = [
        Answer(CROWDED),
        Answer(body("one\n") + rest + CROWDED),
        Answer(body("one\n") + CROWDED),
        Answer(body("one\n", "two\n"), ends_bot=True),
        Answer(body("one\n", "two\n", CROWDED.decode())),
    ]
    with world.open() as stream:
        assert drain(stream) == b"one\ntwo\n" + CROWDED  # this time the bot says so


def test_a_dead_connection_is_given_up_when_the_bot_has_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "QUIET", 0.05)
    world.pods.tell(pod("running"))
    world.answers = [Answer(body("one\n"), waits=True), Answer(body("one\n", "two\n"))]
    with world.open() as stream:
        until = time.monotonic() + DEADLINE
        while not (chunks := stream.read(1.0)):
            assert time.monotonic() < until
        assert b"".join(chunk.data for chunk in chunks) == b"one\n"
        world.pods.tell(pod("ended"))
        assert drain(stream) == b"two\n"


def test_close_wakes_a_thread_that_reads_and_lets_go_of_the_connection(world: World) -> None:
    world.pods.tell(pod("running"))
    world.answers = [Answer(waits=True)]
    stream = world.open()
    reader = threading.Thread(target=stream.read, args=(10 * DEADLINE,))
    reader.start()
    world.wait_asked(1)
    stream.close()
    stream.close()
    reader.join(DEADLINE)
    assert not reader.is_alive()
    assert stream.fileno() is None
    assert world.left.wait(DEADLINE)


def test_the_descriptor_tells_of_what_is_there(world: World) -> None:
    world.pods.tell(pod("running"))
    world.answers = [Answer(body("one\n"), ends_bot=True), Answer(body("one\n"))]
    with world.open() as stream:
        while not stream.ended:
            wait_readable(stream)
            stream.read(0.0)
        wait_readable(stream)


def test_what_is_not_taken_is_not_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "ROOM", 1000)
    world.pods.tell(pod("running"))
    pieces = [body("x" * 400 + "\n", first=number) for number in range(50)]
    world.answers = [Answer(tuple(pieces), ends_bot=True), Answer(b"".join(pieces))]
    with world.open() as stream:
        wait_readable(stream)
        world.settle()
        assert world.sent < 10
        assert drain(stream) == b"".join(b"x" * 400 + b"\n" for _ in pieces)


def test_a_closed_engine_ends_its_streams(world: World) -> None:
    world.pods.tell(pod("running"))
    world.answers = [Answer(waits=True)]
    with world.open() as stream:
        world.wait_asked(1)
        world.close()
        with pytest.raises(ContainerError, match="closed"):
            drain(stream)
