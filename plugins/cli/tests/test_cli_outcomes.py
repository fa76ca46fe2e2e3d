"""Each outcome has its exit code, and a word where the bot itself says none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from botdock.model import Outcome
from botdock.model.limits import MIB
from botdock_cli.outcomes import brief


@pytest.mark.parametrize(
    ("outcome", "facts", "code"),
    [
        (Outcome.SUCCEEDED, {"exit_code": 0}, 0),
        (Outcome.FAILED, {"exit_code": 1}, 1),
        (Outcome.FAILED, {"exit_code": 7}, 7),
        (Outcome.FAILED, {"exit_code": 255}, 255),
        (Outcome.FAILED, {"exit_code": 0}, 1),
        (Outcome.FAILED, {"exit_code": None}, 1),
        (Outcome.FAILED, {"exit_code": 3221225477}, 1),
        (Outcome.SIGNALED, {"exit_code": 139}, 139),
        (Outcome.SIGNALED, {"exit_code": None, "evidence": {"signal": "SIGSEGV"}}, 139),
        (Outcome.SIGNALED, {"exit_code": None, "evidence": {"signal": "signal 63"}}, 1),
        (Outcome.TIMED_OUT, {"exit_code": None}, 124),
        (Outcome.OOM_KILLED, {"exit_code": 137}, 137),
        (Outcome.STOPPED, {"exit_code": 0}, 143),
        (Outcome.OUTPUT_LIMIT, {"exit_code": 137}, 1),
        (Outcome.INFRASTRUCTURE_ERROR, {"exit_code": None}, 125),
        (Outcome.LOST, {"exit_code": None}, 125),
    ],
)
def test_every_outcome_has_its_exit_code(
    cli: Callable[..., Any], fake_runner: Any, outcome: Outcome, facts: dict[str, Any], code: int
) -> None:
    fake_runner.ends(outcome, **facts)
    assert cli("run", "bot").code == code


@pytest.mark.parametrize(
    ("outcome", "bounds", "said"),
    [
        (Outcome.TIMED_OUT, {"timeout": {"value": 30}}, "timed out after 30s (wall time); raise it with --timeout"),
        (Outcome.TIMED_OUT, {"timeout": {"value": 0.25}}, "timed out after 250ms"),
        (Outcome.OOM_KILLED, {"memory": {"value": 64 * MIB}}, "more memory than 64 MiB; raise it with --memory"),
        (Outcome.OOM_KILLED, {}, "more memory than its limit; raise it with --memory"),
        (Outcome.OUTPUT_LIMIT, {}, "raise it with --set runtime.limits.output=SIZE"),
        (
            Outcome.OUTPUT_LIMIT,
            {"output": {"value": 64, "source": "manifest"}},
            "more than 64 B to stdout and stderr; raise it in its bot.toml",
        ),
        (Outcome.SIGNALED, {}, "the reason {in braces}, which botdock did not send"),
        (Outcome.INFRASTRUCTURE_ERROR, {}, "botdock could not do its part: the reason {in braces}"),
        (Outcome.LOST, {}, "how it ended is not known: the reason {in braces}"),
        (Outcome.FAILED, {}, "failed: the reason {in braces}"),
    ],
)
def test_an_end_that_the_bot_does_not_explain_is_explained_with_its_cure(
    cli: Callable[..., Any], fake_runner: Any, outcome: Outcome, bounds: dict[str, Any], said: str
) -> None:
    fake_runner.ends(outcome, exit_code=None, error="the reason {in braces}", evidence={"bounds": bounds})
    told = cli("run", "bot")
    assert told.err.startswith("botdock: ")
    assert said in told.err


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ("start", "timed out: it wrote nothing within 1m of its start; raise it with --start-timeout"),
        ("silence", "timed out: it wrote nothing for 30s; raise it with --silence-timeout"),
    ],
)
def test_a_timeout_names_its_own_option(cli: Callable[..., Any], fake_runner: Any, which: str, said: str) -> None:
    bounds = {"start_timeout": {"value": 60}, "silence_timeout": {"value": 30}}
    fake_runner.ends(Outcome.TIMED_OUT, evidence={"timeout": which, "bounds": bounds})
    assert said in cli("run", "bot").err


def test_what_a_bot_asks_for_in_vain_is_told_with_the_options_that_allow_it(
    cli: Callable[..., Any], fake_runner: Any
) -> None:
    bounds = {
        "memory": {"value": 512 * MIB, "source": "default", "asked": 2048 * MIB},
        "pids": {"value": 8, "source": "manifest"},
        "output": {"value": 64 * MIB, "source": "policy", "asked": 64 * MIB + 1},
    }
    fake_runner.ends(Outcome.SUCCEEDED, evidence={"bounds": bounds})
    assert cli("run", "bot").err == (
        "botdock: its bot.toml asks for memory 2GiB and gets 512MiB, output 67108865 and gets 64MiB; "
        "if you trust it, allow that with --memory 2GiB --set runtime.limits.output=67108865\n"
    )


@pytest.mark.parametrize(
    "facts", [{"value": {"status": "error"}}, {"evidence": {"value_problem": "$ is a set, which is not JSON"}}]
)
def test_a_failure_that_lies_in_the_value_is_told(
    cli: Callable[..., Any], fake_runner: Any, facts: dict[str, Any]
) -> None:
    fake_runner.ends(Outcome.FAILED, exit_code=1, error="of no use", **facts)
    assert cli("run", "bot").err == "botdock: failed: of no use\n  `botdock logs 01run` shows its log.\n"


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED, Outcome.STOPPED])
def test_an_end_that_speaks_for_itself_adds_nothing(
    cli: Callable[..., Any], fake_runner: Any, outcome: Outcome
) -> None:
    fake_runner.ends(outcome, exit_code=7, value={"pnl": 1})
    done = cli("run", "bot")
    assert (done.stdout, done.stderr) == (b"", b"")


def test_what_mends_an_error_is_one_harmless_line(cli: Callable[..., Any], fake_runner: Any) -> None:
    fake_runner.ends(Outcome.FAILED, exit_code=1, evidence={"hint": "`botdock pack --vendor` brings \x1b[2Jit"})
    assert cli("run", "bot").err == "botdock: `botdock pack --vendor` brings \\x1b[2Jit\n"


@given(st.none() | st.floats() | st.text() | st.lists(st.text(), max_size=9) | st.dictionaries(st.text(), st.floats()))
@example("x" * 10**6)
@example(["\x1b[2J\u202e", 1.5] * 10**4)
def test_a_value_of_any_kind_and_length_is_one_short_harmless_line(value: object) -> None:
    shown = brief(value)
    assert shown.isprintable()
    assert len(shown) <= 200


def test_a_short_value_is_shown_whole_and_a_long_one_is_marked() -> None:
    assert brief({"pnl": 1.5, "who": "Grüße"}) == '{"pnl": 1.5, "who": "Grüße"}'
    assert brief([0] * 99).endswith("0...")
