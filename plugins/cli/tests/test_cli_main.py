"""The front door: help, version, completion, and what becomes of errors nobody expected."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from botdock.errors import BotdockError
from botdock_cli.commands import VERBS
from botdock_cli.main import main
from botdock_cli.report import printable

FORBIDDEN = {"docker", "minio", "rich", "loguru", "attr", "cattrs", "pluggy", "botdock_engine_docker", "botdock.errors"}


def test_help_names_every_verb_the_exit_codes_and_the_documentation(cli: Callable[..., Any]) -> None:
    shown = cli("--help")
    assert shown.code == 0
    assert all(f"\n  {verb.NAME} " in shown.out for verb in VERBS)
    assert "Exit codes:" in shown.out
    assert "Documentation:" in shown.out
    assert "botdock run examples/hello-python" in shown.out


def test_no_arguments_at_all_are_a_call_for_help(cli: Callable[..., Any]) -> None:
    assert cli() == cli("--help")


@pytest.mark.parametrize("verb", [verb.NAME for verb in VERBS])
def test_each_verb_teaches_its_options_and_exit_codes(cli: Callable[..., Any], verb: str) -> None:
    shown = cli(verb, "--help")
    assert shown.code == 0
    assert "Exit codes:" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 116


def test_version_names_both_distributions(cli: Callable[..., Any]) -> None:
    shown = cli("--version")
    assert (shown.code, shown.out) == (0, "botdock 0.1.0 (command line 0.1.0)\n")


def test_help_imports_nothing_that_it_does_not_need(newcomer: dict[str, str]) -> None:
    lines = [["--help"], ["--version"], ["run", "--help"], ["doctor", "-h"], ["storage"], ["storage", "get", "-h"]]
    program = (
        "import sys; from botdock_cli.main import main; "
        f"assert not any(main(line) for line in {lines!r}); print('MODULES', *sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=newcomer, check=True)
    loaded = set(done.stdout.rpartition("MODULES")[2].split())
    assert "typer" in loaded
    assert not loaded & FORBIDDEN


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


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_show_completion_prints_the_script_of_the_shell_that_is_named(botdock: Callable[..., Any], shell: str) -> None:
    shown = botdock("--show-completion", shell)
    assert shown.code == 0
    assert "_BOTDOCK_COMPLETE" in shown.out


def test_an_unknown_shell_is_refused_without_a_traceback(botdock: Callable[..., Any]) -> None:
    told = botdock("--show-completion", "tcsh")
    assert told.code != 0
    assert "Traceback" not in told.err


def test_the_front_door_imports_nothing_at_all(newcomer: dict[str, str]) -> None:
    program = "import sys; before = set(sys.modules); import botdock_cli.main; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=newcomer, check=True)
    assert set(done.stdout.split()) == {"botdock_cli", "botdock_cli.main"}


def test_the_shell_is_answered_by_a_process_of_its_own(botdock: Callable[..., Any]) -> None:
    asked = botdock(_BOTDOCK_COMPLETE="complete_bash", COMP_WORDS="botdock ru", COMP_CWORD="1")
    assert asked.out.split() == ["run"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("ru",), ["run"]),
        (("log",), ["logs"]),
        (("logs", "--st"), ["--stream"]),
        (("run", "--time"), ["--timeout"]),
        (("run", "--entrypoint", "b"), ["bot", "backtest"]),
        (("run", "--runtime", "ba"), ["bash"]),
        (("run", "--engine", "pr"), ["process"]),
        (("run", "--storage", "lo"), ["local-fs"]),
        (("storage", "s"), ["stat"]),
        (("storage", "ls", "--storage", "lo"), ["local-fs"]),
        (("storage", "rm", "--area", "r"), ["results"]),
        (("pack", "bot", "--storage", "lo"), ["local-fs"]),
    ],
)
def test_the_shell_completes_verbs_options_and_the_names_of_plugins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], expected: list[str]
) -> None:
    monkeypatch.setenv("_BOTDOCK_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(("botdock", *words)))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().out.split() == expected
