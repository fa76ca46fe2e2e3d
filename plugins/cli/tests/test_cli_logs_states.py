"""`botdock logs` of an execution that runs, was never closed, or never began."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def test_a_log_without_its_end_says_so(cli: Callable[..., Any], logged: Callable[..., Any]) -> None:
    logged().says(b"out\n").ends(complete=False)
    done = cli("logs", "sma")
    assert (done.code, done.out) == (0, "out\n")
    assert "is not complete: its end could not be read" in done.err
    assert cli("logs", "sma", "--raw").stderr == b""
    assert cli("logs", "sma", "--until", "1s").stderr == b"", "its end was not asked for"


def test_a_log_that_was_never_closed_says_so(cli: Callable[..., Any], logged: Callable[..., Any]) -> None:
    logged().says(b"out\n").concludes(outcome="lost")
    done = cli("logs", "sma", "--follow")
    assert (done.code, done.out) == (0, "out\n")
    assert "is not complete: it was never closed" in done.err


def test_a_bot_that_runs_is_shown_as_far_as_it_is(cli: Callable[..., Any], logged: Callable[..., Any]) -> None:
    logged().lives().says(b"half a li")
    done = cli("logs", "sma")
    assert (done.code, done.out, done.err) == (0, "half a li", "")


def test_a_dead_runner_is_told_with_what_mends_it(cli: Callable[..., Any], logged: Callable[..., Any]) -> None:
    execution = logged().says(b"out\n")
    said = f"botdock: the runner of execution {execution.execution_id} died before the log's end\n  `botdock recover`"
    for options, code in (([], 0), (["--follow"], 125), (["--follow", "--raw"], 125), (["--follow", "--json"], 125)):
        done = cli("logs", "sma", *options)
        assert (done.code, done.err.startswith(said)) == (code, True), options
        assert done.out.endswith("\n")


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ({"error": "no such image 'x:1'"}, "has no log: no such image 'x:1'"),
        ({"error": ""}, "has no log: its bot was never started"),
    ],
)
def test_an_execution_that_never_began_says_why(
    cli: Callable[..., Any], logged: Callable[..., Any], outcome: dict[str, str], said: str
) -> None:
    logged().concludes(**outcome)
    done = cli("logs", "sma")
    assert (done.code, done.stdout) == (0, b"")
    assert said in done.err


def test_an_execution_that_is_being_prepared_says_so(cli: Callable[..., Any], logged: Callable[..., Any]) -> None:
    logged().lives()
    done = cli("logs", "sma")
    assert (done.code, done.stdout) == (0, b"")
    assert "has no log yet: it is being prepared" in done.err


def test_a_runner_that_died_while_it_prepared_is_told(cli: Callable[..., Any], logged: Callable[..., Any]) -> None:
    logged()
    told = cli("logs", "sma", "-f")
    assert told.code == 125
    assert "died before there was a log\n  `botdock recover`" in told.err
