"""`botdock report`, and what `botdock result` draws on a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
VALUE = {"metrics": {"sharpe": 1.5, "wrong": []}, "plots": [{"title": "Equity", "series": {"equity": [1, 2, 3]}}]}


@pytest.fixture
def ended(logged: Callable[..., Any]) -> Callable[..., str]:
    """Make an execution that returned something, and return its id."""

    def make(bot: str, value: Any = VALUE) -> str:
        execution = logged(bot=bot).says(b"one </pre> line\n").ends()
        (execution.directory / "result.json").write_text(json.dumps({"value": value}))
        execution.concludes(id=bot, outcome="succeeded", exit_code=0)
        name: str = execution.execution_id
        return name

    return make


def test_a_page_is_written_beside_and_what_is_wrong_is_told(cli: Cli, ended: Callable[..., str]) -> None:
    name = ended("sma")
    done = cli("report", "sma")
    assert (done.code, done.out) == (0, f"report-{name}.html\n")
    assert done.err == (
        f"botdock: execution {name}: metrics.wrong: is a list; write a number, a text, true, false or null\n"
    )
    page = Path(f"report-{name}.html").read_text()
    assert "sharpe" in page
    assert "one &lt;/pre&gt; line" in page


def test_several_are_compared_each_once_into_the_named_file(cli: Cli, ended: Callable[..., str]) -> None:
    first, second = ended("sma"), ended("rsi")
    assert cli("report", first, "rsi", "sma", "-o", "both.html").out == "both.html\n"
    assert "2 runs" in Path("both.html").read_text()
    assert cli("report", first, second).out == f"report-{first}-and-1-more.html\n"


def test_the_page_on_stdout_is_the_page(cli: Cli, ended: Callable[..., str]) -> None:
    ended("sma")
    done = cli("report", "sma", "-o", "-")
    assert done.out.startswith("<!DOCTYPE html>\n")
    assert done.out.endswith("</html>\n")


@pytest.mark.parametrize(("file", "reason"), [("/dev/full", "No space left on device"), (".", "Is a directory")])
def test_a_page_that_cannot_be_written_is_told_by_its_file(
    cli: Cli, ended: Callable[..., str], file: str, reason: str
) -> None:
    ended("sma", {})
    done = cli("report", "sma", "-o", file)
    assert (done.code, done.out) == (125, "")
    assert done.err.startswith(f"botdock: {file} cannot be written: {reason}")
    assert done.err.endswith("\n  Name another file: -o FILE.\n")


def test_with_json_it_says_what_is_wrong_where(cli: Cli, ended: Callable[..., str]) -> None:
    name = ended("sma")
    done = cli("report", "sma", "--json")
    hint = "write a number, a text, true, false or null"
    assert (json.loads(done.stdout), done.err) == (
        {
            "schema": 1,
            "file": f"report-{name}.html",
            "executions": [name],
            "faults": {name: [{"where": "metrics.wrong", "problem": "is a list", "hint": hint}]},
        },
        "",
    )


def test_many_wrong_parts_are_told_by_their_number(cli: Cli, ended: Callable[..., str]) -> None:
    ended("sma", {"metrics": {f"m{number}": [] for number in range(9)}})
    assert cli("report", "sma").err.splitlines()[-1].endswith(": 4 more; the page tells all")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nothing",), 2, "no execution 'nothing'"),
        (("sma", "-o", "nowhere/page.html"), 125, "nowhere/page.html cannot be written: No such file"),
        (("sma", "-o", "-", "--json"), 2, "--json: cannot be combined with --output -"),
    ],
)
def test_a_mistake_is_told(
    cli: Cli, ended: Callable[..., str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended("sma", {})
    done = cli("report", *arguments)
    assert done.code == code
    assert said in done.err


def test_result_draws_its_curves_on_a_terminal_alone(
    cli: Cli, ended: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended("sma")
    assert json.loads(cli("result", "sma").stdout) == VALUE
    monkeypatch.setattr("botdock_cli.commands.result.is_terminal", lambda _: True)
    done = cli("result", "sma")
    assert done.out.endswith("}\nEquity: equity  ▁▅█  1 … 3\n")
    assert "botdock: metrics.wrong: is a list" in done.err
    assert json.loads(cli("result", "sma", "--json").stdout)["value"] == VALUE
