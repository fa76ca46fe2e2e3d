"""The front door: help, version, completion, and what becomes of unexpected errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any

import click
import pytest

from botdock.archive import ArchiveFormat
from botdock.errors import BotdockError
from botdock.model import ENTRYPOINTS, PullPolicy, StorageArea, Stream
from botdock_cli.commands import SUMMARIES, logs, pack, run, storage
from botdock_cli.report import printable

HEAVY = {"docker", "minio", "rich", "loguru", "pluggy", "botdock_engine_docker"}
"""What no help needs."""


def test_help_names_every_verb_the_exit_codes_and_the_documentation(cli: Callable[..., Any]) -> None:
    shown = cli("--help")
    assert shown.code == 0
    assert all(f"\n  {verb} " in shown.out for verb in SUMMARIES)
    assert "Exit codes:" in shown.out
    assert "Documentation:" in shown.out
    assert "botdock run examples/hello-python" in shown.out


def test_no_arguments_at_all_are_a_call_for_help(cli: Callable[..., Any]) -> None:
    assert cli() == cli("--help")


@pytest.mark.parametrize("verb", SUMMARIES)
def test_each_verb_teaches_its_options_and_exit_codes(cli: Callable[..., Any], verb: str) -> None:
    shown = cli(verb, "--help")
    assert shown.code == 0
    assert "Exit codes:" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 116


def test_version_names_both_distributions(cli: Callable[..., Any]) -> None:
    shown = cli("--version")
    assert (shown.code, shown.out) == (0, f"botdock {version('botdock')} (command line {version('botdock-cli')})\n")


@pytest.mark.parametrize(
    ("lines", "forbidden"),
    [
        ([["--help"], ["--version"], ["ps", "--help"], ["wait", "-h"]], {*HEAVY, "attr", "botdock.errors"}),
        ([[verb, "--help"] for verb in SUMMARIES] + [["storage"], ["storage", "get", "-h"]], HEAVY),
    ],
)
def test_help_imports_nothing_that_it_does_not_need(
    newcomer: dict[str, str], lines: list[list[str]], forbidden: set[str]
) -> None:
    program = (
        "import sys; from botdock_cli.main import main; "
        f"assert not any(main(line) for line in {lines!r}); print('MODULES', *sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=newcomer, check=True)
    loaded = set(done.stdout.rpartition("MODULES")[2].split())
    assert "click" in loaded
    assert not loaded & forbidden


@pytest.mark.parametrize(
    ("lines", "forbidden"),
    [
        ([["ps"], ["ps", "-a", "-n", "20"], ["ps", "--json"]], {"asyncio", "secrets", "botdock.archive"}),
        ([[verb, "sma"] for verb in ("logs", "result", "inspect", "wait", "stop", "rm")], set()),
    ],
)
def test_what_asks_the_state_folder_alone_imports_neither_plugins_nor_the_log(
    newcomer: dict[str, str], logged: Callable[..., Any], lines: list[list[str]], forbidden: set[str]
) -> None:
    logged(bot="sma").says(b"one\n").ends().concludes(outcome="succeeded")
    program = f"import sys; from botdock_cli.main import main; [*map(main, {lines!r})]; print('MODULES', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=newcomer, check=True)
    loaded = set(done.stdout.rpartition("MODULES")[2].split())
    assert not loaded & {"docker", "minio", "rich", "loguru", "pluggy", "botdock.config.rules", *forbidden}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["rnu"], "Did you mean 'run'"),
        (["run", "bot", "--timeot", "3"], "--timeout"),
        (["--versoin"], "--version"),
        (["run"], "CODE"),
        (["run", "bot", "--cpus", "many"], "--cpus"),
        (["run", "bot", "--entrypoint", "bott"], "backtest"),
        (["run", "bot", "--pull", "sometimes"], "missing"),
        (["run", "bot", "extra"], "extra"),
    ],
)
def test_wrong_usage_is_two_lines_and_code_2(cli: Callable[..., Any], args: list[str], said: str) -> None:
    told = cli(*args)
    assert told.code == 2
    assert told.stdout == b""
    assert said in told.err
    assert told.err.startswith("botdock: ")
    assert len(told.err.splitlines()) <= 3


def test_an_unexpected_error_is_one_clear_message_without_a_traceback(
    cli: Callable[..., Any], fake_runner: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_runner, "error", ZeroDivisionError("division by zero"))
    told = cli("run", "bot")
    assert told.code == 125
    assert "unexpected ZeroDivisionError: division by zero" in told.err
    assert "BOTDOCK_DEBUG=1" in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize("how", ["option", "variable"])
def test_debug_shows_the_traceback(
    cli: Callable[..., Any], fake_runner: object, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(fake_runner, "error", ZeroDivisionError("division by zero"))
    if how == "variable":
        monkeypatch.setenv("BOTDOCK_DEBUG", "1")
    told = cli(*(["--debug"] if how == "option" else []), "run", "bot")
    assert told.code == 125
    assert "Traceback" in told.err


def test_an_error_of_the_machine_names_the_file(
    cli: Callable[..., Any], fake_runner: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_runner, "error", PermissionError(13, "Permission denied", "/secret/place"))
    told = cli("run", "bot")
    assert (told.code, told.err.splitlines()[0]) == (125, "botdock: Permission denied: /secret/place")


def test_what_a_terminal_would_obey_is_escaped(
    cli: Callable[..., Any], fake_runner: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_runner, "error", BotdockError("entry '\x1b[2Jx\r' is refused"))
    told = cli("run", "bot")
    assert b"\x1b" not in told.stderr
    assert "\\x1b[2Jx\\r" in told.err


def test_printable_keeps_text_as_people_write_it() -> None:
    assert printable("Grüße, 世界\nça va") == "Grüße, 世界\nça va"


def test_the_front_door_imports_nothing_at_all(newcomer: dict[str, str]) -> None:
    program = "import sys; before = set(sys.modules); import botdock_cli.main; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=newcomer, check=True)
    assert set(done.stdout.split()) == {"botdock_cli", "botdock_cli.main"}


@pytest.mark.parametrize(
    ("command", "option", "kinds"),
    [
        (logs.command, "--stream", Stream),
        (pack.command, "--format", ArchiveFormat),
        (run.command, "--pull", PullPolicy),
        (run.command, "--entrypoint", ENTRYPOINTS),
        (storage.command.commands["ls"], "--area", StorageArea),
    ],
)
def test_what_an_option_may_be_is_what_there_is(command: click.Command, option: str, kinds: Iterable[str]) -> None:
    (kind,) = (one.type for one in command.params if option in one.opts)
    assert isinstance(kind, click.Choice)
    assert list(kind.choices) == list(kinds)
