"""What newcomers type: the words of other tools, and options where they do not stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from botdock_cli.commands import SUMMARIES
from botdock_cli.habits import OPTIONS, VERBS


@pytest.mark.parametrize(
    ("line", "mend"),
    [
        ("list", "`botdock ps` is what comes near it."),
        ("kill sma", "`botdock stop` is what comes near it."),
        ("help", "`botdock --help` shows it."),
        ("help run", "`botdock run --help` shows it."),
        ("version", "`botdock --version` shows it."),
        ("--engine process run bot", "It stands behind the verb: `botdock run --engine`."),
        ("--engine=process run bot", "It stands behind the verb: `botdock run --engine`."),
        ("-a ps", "It stands behind the verb: `botdock ps -a`."),
        ("--json ps", "It stands behind the verb: `botdock ps --json`."),
        ("run bot -d", "`botdock start` lets it run in the background."),
        ("run bot -it", "A bot has no stdin"),
        ("run bot -e A=1", "It is --env here."),
        ("start bot --name sma", "It is --id here."),
        ("run bot -v /data:/data", "A bot sees no folder of yours"),
        ("run bot arg", "A bot takes no arguments; --config, --env and --secret"),
        ("run bot -- arg", "A bot takes no arguments"),
        ("nosuch", "`botdock --help` shows what there is."),
        ("rnu bot", "Did you mean 'run'?"),
        ("--nosuch ps", "`botdock --help` shows what there is."),
        ("storage lst", "Did you mean 'ls'?"),
        ("run bot --nosuch", "`botdock run --help` shows what there is."),
        ("ps extra", "`botdock ps --help` shows what there is."),
    ],
)
def test_a_mistake_is_told_with_what_mends_it(cli: Callable[..., Any], line: str, mend: str) -> None:
    told = cli(*line.split())
    assert (told.code, told.out if "--json" not in line else "") == (2, "")
    assert mend in told.err
    assert len(told.err.splitlines()) == 2


def test_what_is_named_is_there_and_what_is_there_is_not_taken() -> None:
    assert set(VERBS.values()) <= set(SUMMARIES)
    assert not set(VERBS) & set(SUMMARIES)


def test_no_option_of_another_tool_is_one_of_run(cli: Callable[..., Any]) -> None:
    for option in OPTIONS:
        assert "No such option" in cli("run", "bot", option).err


def test_a_size_out_of_bounds_is_told_in_sizes(cli: Callable[..., Any]) -> None:
    assert cli("run", "bot", "--memory", "1").err == "botdock: --memory: 1 bytes must be 6 MiB to 64 TiB\n"
