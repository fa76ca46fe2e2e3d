"""Whether an execution has a successor, and when: for all outcomes, policies and times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.config import SupervisorConfig
from botdock.executions._records import CRASH_LOOP
from botdock.executions._requests import Restart
from botdock.model import Outcome, RestartPolicy
from botdock.supervisor._succession import End, successor_of

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SETTINGS = SupervisorConfig(backoff=1.0, max_backoff=300.0, stable=600.0)
POLICIES = st.sampled_from(["no", "on-failure", "on-failure:1", "on-failure:4", "always"])
BOTS_FAULT = [Outcome.FAILED, Outcome.SIGNALED, Outcome.TIMED_OUT, Outcome.OOM_KILLED, Outcome.OUTPUT_LIMIT]
ENDS = st.builds(
    End,
    execution_id=st.just("01a"),
    outcome=st.sampled_from(Outcome),
    error=st.text(max_size=5),
    ran_for=st.floats(0, 2000),
    policy=POLICIES.map(RestartPolicy.parse),
    refused=st.booleans(),
)


def decide(end: End, restart: Restart, chance: float = 0.5) -> Restart | str:
    return successor_of(end, restart, SETTINGS, now=NOW, chance=chance)


def ended(outcome: Outcome, policy: str, **facts: Any) -> End:
    return End(execution_id="01a", outcome=outcome, policy=RestartPolicy.parse(policy), **facts)


def row(*ends: End) -> list[Restart | str]:
    """Return what follows each of several ends, one after another, until nothing does."""
    found: list[Restart | str] = []
    restart = Restart()
    for end in ends:
        after = decide(end, restart)
        found.append(after)
        if isinstance(after, str):
            return found
        restart = after
    return found


def pause_of(restart: Restart) -> float:
    assert restart.not_before is not None
    return (restart.not_before - NOW).total_seconds()


@given(st.lists(ENDS, max_size=12), st.floats(0, 1))
def test_whatever_happens_a_stopped_bot_stays_so_and_every_pause_is_bounded(ends: list[End], chance: float) -> None:
    restart = Restart()
    for end in ends:
        after = decide(end, restart, chance)
        if isinstance(after, str):
            assert after
            continue
        assert end.outcome is not Outcome.STOPPED
        assert not end.refused
        assert str(end.policy) != "no"
        assert end.policy == RestartPolicy.parse("always") or end.outcome is not Outcome.SUCCEEDED
        assert SETTINGS.backoff / 2 <= pause_of(after) <= SETTINGS.max_backoff
        assert 1 <= after.in_a_row <= after.restarts
        assert after.failures <= after.in_a_row
        assert end.policy.most is None or after.failures <= end.policy.most or end.outcome not in BOTS_FAULT
        assert (after.previous, after.policy) == ("01a", str(end.policy))
        assert (after.last_error == "") == (end.outcome is Outcome.SUCCEEDED)
        restart = after


@pytest.mark.parametrize("outcome", BOTS_FAULT)
@pytest.mark.parametrize("most", [1, 3])
def test_on_failure_restarts_so_often_and_then_says_why_no_more(outcome: Outcome, most: int) -> None:
    *restarts, reason = row(*[ended(outcome, f"on-failure:{most}", error="boom")] * 9)
    assert [isinstance(restart, Restart) and restart.failures for restart in restarts] == list(range(1, most + 1))
    assert reason == f"it has been restarted {most} times in a row, which 'on-failure:{most}' allows at most"


@pytest.mark.parametrize("outcome", [Outcome.INFRASTRUCTURE_ERROR, Outcome.LOST])
def test_what_the_bot_is_not_to_blame_for_is_restarted_with_pauses_and_not_counted(outcome: Outcome) -> None:
    found = row(*[ended(outcome, "on-failure:1")] * 20, *[ended(Outcome.FAILED, "on-failure:1")] * 2)
    assert [type(restart) for restart in found] == [Restart] * 21 + [str]
    assert isinstance(found[19], Restart)
    assert (found[19].failures, found[19].in_a_row) == (0, 20)


@pytest.mark.parametrize(
    ("outcome", "policy", "reason"),
    [
        (Outcome.STOPPED, "always", "it was stopped"),
        (Outcome.FAILED, "no", "its restart policy is 'no'"),
        (Outcome.SUCCEEDED, "on-failure", "it succeeded"),
        (Outcome.INFRASTRUCTURE_ERROR, "always", "it was refused, and would be again"),
    ],
)
def test_a_reason_is_given_where_nothing_follows(outcome: Outcome, policy: str, reason: str) -> None:
    assert decide(ended(outcome, policy, refused="refused" in reason), Restart()) == reason


@given(st.floats(0, 1))
def test_the_pause_doubles_up_to_its_bound_and_never_shrinks(chance: float) -> None:
    pauses, restart = [], Restart()
    for _ in range(200):
        after = decide(ended(Outcome.FAILED, "always"), restart, chance)
        assert isinstance(after, Restart)
        pauses.append(pause_of(after))
        restart = after
    assert all(earlier <= later + 1e-6 for earlier, later in pairwise(pauses))
    assert pauses[1] == pytest.approx(2 * pauses[0], abs=1e-5)
    assert pauses[-1] == pytest.approx(SETTINGS.max_backoff * (1 - chance / 2))


def test_those_that_failed_together_come_back_apart() -> None:
    end = ended(Outcome.FAILED, "always")
    pauses = {pause_of(after) for n in range(11) if isinstance(after := decide(end, Restart(), n / 10), Restart)}
    assert len(pauses) == 11


def test_a_stable_time_begins_the_pauses_and_the_count_anew_and_keeps_the_sum() -> None:
    crash, lived = ended(Outcome.FAILED, "on-failure:2"), ended(Outcome.FAILED, "on-failure:2", ran_for=600.0)
    found = row(crash, crash, lived, crash, crash)
    rows = [(restart.restarts, restart.in_a_row) for restart in found if isinstance(restart, Restart)]
    assert rows == [(1, 1), (2, 2), (3, 1), (4, 2)]
    assert isinstance(found[-1], str)


def test_another_code_is_a_new_generation_which_begins_anew() -> None:
    crash = ended(Outcome.FAILED, "on-failure:2")
    (*_, last) = row(crash, crash)
    assert isinstance(last, Restart)
    same = last.of_code("sha256:1")
    assert same == attrs.evolve(last, code="sha256:1")
    assert same.of_code("sha256:1") == same.of_code("") == same
    other = same.of_code("sha256:2")
    assert (other.generation, other.restarts, other.in_a_row, other.failures) == (2, 0, 0, 0)
    after = decide(crash, other)
    assert isinstance(after, Restart)
    assert (after.generation, after.restarts, after.code) == (2, 1, "sha256:2")


def test_a_crash_loop_is_failures_in_a_row() -> None:
    found = row(*[ended(Outcome.FAILED, "always", error="exit code 3")] * CRASH_LOOP)
    loops = [isinstance(restart, Restart) and restart.is_crash_loop for restart in found]
    assert loops == [False] * (CRASH_LOOP - 1) + [True]
    assert isinstance(found[-1], Restart)
    assert found[-1].last_error == "failed: exit code 3"
    often = row(*[ended(Outcome.SUCCEEDED, "always")] * CRASH_LOOP)
    assert not any(isinstance(restart, Restart) and restart.is_crash_loop for restart in often)


def test_a_restart_is_never_before_the_end() -> None:
    after = decide(ended(Outcome.FAILED, "always"), Restart(not_before=NOW - timedelta(days=9)), chance=1.0)
    assert isinstance(after, Restart)
    assert pause_of(after) == 0.5
