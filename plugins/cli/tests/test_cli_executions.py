"""`botdock ps`, `wait`, `stop`, `rm`, `result`, `inspect` and `gc` over a state folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock_cli.commands import stop

Cli = Callable[..., Any]


@pytest.fixture
def ended(logged: Callable[..., Any]) -> Any:
    """An execution that failed with exit code 3, and returned something."""
    execution = logged(bot="sma").says(b"one\n").ends()
    (execution.directory / "result.json").write_text('{"value": {"pnl": 1.5}}')
    return execution.concludes(
        id="sma",
        outcome="failed",
        exit_code=3,
        runtime="bash",
        engine="process",
        error="exit code 3",
        started_at="2026-01-01T00:00:00+00:00",
        finished_at="2026-01-01T00:00:02+00:00",
    )


def test_ps_lists_what_is_under_way_and_with_a_what_ended_too(cli: Cli, ended: Any, logged: Callable[..., Any]) -> None:
    running = logged(bot="live\x1b[2J").lives()
    shown = cli("ps").out
    assert "live\\x1b[2J" in shown
    assert running.execution_id in shown
    assert ended.execution_id not in shown
    assert cli("ps", "-aq").out.split() == [running.execution_id, ended.execution_id]
    (row,) = [line.split() for line in cli("ps", "-a", "--bot", "sma").out.splitlines()[1:]]
    assert row[:5] == [ended.execution_id, "sma", "bash", "process", "failed"]
    assert row[-1] == "2s"
    (document,) = json.loads(cli("ps", "--json", "--outcome", "failed", "--since", "1h").stdout)
    assert (document["schema"], document["exit_code"], document["state"]) == (1, 3, "ended")


def test_ps_shows_a_crash_loop_with_its_last_error(cli: Cli, logged: Callable[..., Any]) -> None:
    looping, well = logged(bot="loop").lives(), logged(bot="well").lives()
    restart = {"previous": "x", "restarts": 7, "in_a_row": 5, "last_error": "failed: boom\x1b[2J"}
    (looping.directory / "request.json").write_text(json.dumps({"id": "loop", "restart": restart}))
    heading, *rows = cli("ps").out.splitlines()
    assert heading.endswith("WHY")
    (row,) = (row for row in rows if looping.execution_id in row)
    assert "starting (5), crash loop" in row
    assert row.endswith("failed: boom\\x1b[2J")
    documents = {one["id"]: one for one in json.loads(cli("ps", "--json").stdout)}
    assert (documents["loop"]["crash_loop"], documents["loop"]["restarts"]) == (True, 7)
    assert documents["well"]["crash_loop"] is False
    looping.dies()
    assert "WHY" not in cli("ps", "--bot", "well").out
    assert well.execution_id in cli("ps", "-q").out


def test_ps_shows_what_a_start_waits_for_until_it_goes_on(cli: Cli, logged: Callable[..., Any]) -> None:
    waiting = logged(bot="late").lives()
    events = waiting.directory / "events.jsonl"
    with events.open("a") as steps:
        steps.write('{"event": "waiting", "why": "Unschedulable: 0/1 nodes\\u001b[2J"}\n')
    heading, row = cli("ps").out.splitlines()
    assert heading.endswith("WHY")
    assert row.endswith("Unschedulable: 0/1 nodes\\x1b[2J")
    assert json.loads(cli("ps", "--json").stdout)[0]["waits_for"].startswith("Unschedulable")
    with events.open("a") as steps:
        steps.write('{"event": "phase", "phase": "wait"}\n')
    assert "WHY" not in cli("ps").out


@pytest.mark.parametrize("verb", ["ps", "logs", "result", "inspect", "wait", "stop", "rm"])
def test_what_asks_the_state_folder_alone_refuses_a_broken_configuration_as_all_others_do(
    cli: Cli, ended: Any, verb: str
) -> None:
    Path("mine.toml").write_text('[retention]\nkep = 5\n[policy]\nmax_timeout = "soon"\n')
    told = cli(verb, *([ended.execution_id] if verb != "ps" else []), "--config-file", "mine.toml")
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith("botdock: mine.toml: retention.kep: unknown; did you mean keep?\n")
    assert "\nbotdock: mine.toml: policy.max_timeout: 'soon' is not a duration" in told.err
    assert ended.directory.is_dir()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ps", "--outcome", "faild"), "--outcome: 'faild' is not an outcome\n  Did you mean failed?"),
        (("ps", "--since", "soon"), "--since: 'soon' is not a moment"),
        (("stop", "x", "--grace", "soon"), "--grace: 'soon' is not a duration"),
        (("gc", "--caches", "much"), "--caches: 'much' is not a duration"),
        (("gc", "--bytes", "much"), "--bytes: 'much' is not a size"),
        (("result", "nothing"), "no execution 'nothing'"),
        (("rm", "nothing"), "no execution 'nothing'"),
    ],
)
def test_a_mistake_is_told_with_its_mend(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    told = cli(*arguments)
    assert told.code == 2
    assert said in told.err


def test_wait_says_how_it_ended_and_exits_as_the_run_did(cli: Cli, ended: Any, logged: Callable[..., Any]) -> None:
    done = cli("wait", "sma")
    assert (done.code, done.out) == (3, f"{ended.execution_id}  failed  3\n")
    logged(bot="live").lives()
    assert cli("wait", "live", "--timeout", "0").code == 124
    (document,) = json.loads(cli("wait", "sma", "--json").stdout)
    assert document["outcome"] == "failed"


def test_result_is_the_value_and_inspect_is_all_that_is_known(cli: Cli, ended: Any) -> None:
    assert json.loads(cli("result", "sma").stdout) == {"pnl": 1.5}
    document = json.loads(cli("result", "sma", "--json").stdout)
    assert document == {
        "schema": 1,
        "execution_id": ended.execution_id,
        "id": "sma",
        "outcome": "failed",
        "value": {"pnl": 1.5},
    }
    known = json.loads(cli("inspect", "sma").stdout)
    assert (known["request"]["id"], known["end"]["exit_code"], known["error"]) == ("sma", 3, "exit code 3")


def test_result_and_inspect_take_several_ids_and_answer_with_a_list_or_nothing(cli: Cli, ended: Any) -> None:
    assert json.loads(cli("result", "sma", ended.execution_id).stdout) == [{"pnl": 1.5}] * 2
    assert [one["id"] for one in json.loads(cli("result", "sma", "sma", "--json").stdout)] == ["sma"] * 2
    assert [one["id"] for one in json.loads(cli("inspect", "sma", "sma").stdout)] == ["sma"] * 2
    for verb in ("result", "inspect"):
        assert (cli(verb, "sma", "nothing").code, cli(verb, "sma", "nothing").stdout) == (2, b"")


def test_no_value_is_not_null(cli: Cli, ended: Any) -> None:
    result = ended.directory / "result.json"
    result.write_text('{"value": null}')
    assert (cli("result", "sma").code, cli("result", "sma").out) == (0, "null\n")
    result.write_text("{}")
    told = cli("result", "sma", "sma")
    assert (told.code, told.out) == (2, "")
    assert told.err == f"botdock: execution {ended.execution_id} returned no value: it ended as failed\n" * 2
    told = cli("result", "sma", "--json")
    assert (told.code, json.loads(told.out)["value"]) == (2, None)


def test_a_result_that_is_still_to_come_is_told(cli: Cli, logged: Callable[..., Any]) -> None:
    logged(bot="live").lives()
    told = cli("result", "live")
    assert told.code == 2
    assert "has no result yet: it is starting" in told.err


def test_stop_leaves_alone_what_has_ended_and_says_whose_runner_is_dead(
    cli: Cli, ended: Any, logged: Callable[..., Any]
) -> None:
    assert (cli("stop", "sma").code, cli("stop", "sma").out) == (0, f"{ended.execution_id}\n")
    dead = logged(bot="dead")
    told = cli("stop", "sma", "dead")
    assert told.code == 125
    assert (
        f"{dead.execution_id} has not stopped: it is abandoned\n  Its runner is dead; `botdock recover` stops"
        in told.err
    )
    assert (dead.directory / "stop.json").exists()


def test_stop_does_not_wait_for_ever_for_a_runner_that_does_not_obey(
    cli: Cli, logged: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop, "PATIENCE", 0.1)
    live = logged(bot="live").lives()
    told = cli("stop", "live", "--grace", "0")
    assert told.code == 125
    assert "has not stopped: it is" in told.err
    assert "has not obeyed in time; the request stays" in told.err
    assert (live.directory / "stop.json").exists()


def test_rm_removes_all_or_none(cli: Cli, ended: Any, logged: Callable[..., Any]) -> None:
    live = logged(bot="live").lives()
    told = cli("rm", "sma", "live")
    assert told.code == 2
    assert f"execution {live.execution_id} has not ended: it is starting" in told.err
    assert ended.directory.exists()
    assert cli("rm", "-f", "sma").out == f"{ended.execution_id}\n"
    assert not ended.directory.exists()


def test_gc_without_an_option_and_without_a_bound_says_so(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("gc").out == "0 removed, 0 B\n"
    monkeypatch.setenv("BOTDOCK_RETENTION__CACHES", "0")
    told = cli("gc")
    assert (told.code, "gc: nothing says what to remove" in told.err) == (2, True)


def test_gc_removes_what_the_options_or_the_configuration_say(
    cli: Cli, ended: Any, logged: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = logged(bot="newer").concludes(outcome="succeeded", id="newer")
    told = cli("gc", "--keep", "1", "--dry-run")
    line, total = told.out.splitlines()
    assert line.split() == ["execution", ended.execution_id, *line.split()[2:4], "sma", "failed"]
    assert total == f"1 would be removed, {' '.join(line.split()[2:4])}"
    assert json.loads(cli("gc", "--older-than", "365d", "--json").stdout) == []
    monkeypatch.setenv("BOTDOCK_RETENTION__KEEP", "1")
    assert json.loads(cli("gc", "--json").stdout)[0]["name"] == ended.execution_id
    assert newer.directory.exists()
    assert not ended.directory.exists()
