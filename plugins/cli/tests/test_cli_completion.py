"""What the shell completes, asked as the scripts ask that `botdock --show-completion` prints."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Completed = Callable[..., list[str]]
BIN = Path(sys.executable).parent


@pytest.fixture
def completed(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Give what a shell offers for the last of some words."""

    def complete(*words: str) -> list[str]:
        monkeypatch.setenv("_BOTDOCK_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(("botdock", *words)))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        try:
            offered = cli()
        finally:
            monkeypatch.delenv("_BOTDOCK_COMPLETE")
        assert (offered.code, offered.err) == (0, "")
        return [line.partition(",")[2] for line in offered.out.splitlines() if line]

    return complete


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_show_completion_prints_the_script_of_the_shell_that_is_named(botdock: Callable[..., Any], shell: str) -> None:
    shown = botdock("--show-completion", shell)
    assert shown.code == 0
    assert "_BOTDOCK_COMPLETE" in shown.out


def test_an_unknown_shell_is_refused_without_a_traceback(botdock: Callable[..., Any]) -> None:
    told = botdock("--show-completion", "tcsh")
    assert told.code != 0
    assert "Traceback" not in told.err


def test_the_shell_is_answered_by_a_process_of_its_own(botdock: Callable[..., Any]) -> None:
    asked = botdock(_BOTDOCK_COMPLETE="bash_complete", COMP_WORDS="botdock ru", COMP_CWORD="1")
    assert asked.out.split() == ["plain,run"]


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
        (("run", "./bo"), ["./bo"]),
    ],
)
def test_the_shell_completes_verbs_options_and_the_names_of_plugins(
    completed: Callable[..., list[str]], words: tuple[str, ...], expected: list[str]
) -> None:
    assert completed(*words) == expected


def test_files_complete_after_the_at_sign_and_nothing_where_there_is_no_file(
    completed: Callable[..., list[str]],
) -> None:
    Path("one.json").touch()
    Path("two.json").touch()
    Path("sub").mkdir()
    Path("sub/on[e].json").touch()
    assert completed("run", "--config", "@o") == ["@one.json"]
    assert completed("run", "--config", "@sub/") == ["@sub/on[e].json"]
    assert [completed("run", "--config", nothing) for nothing in ("", "{", "@no/such/folder/")] == [[], [], []]


def test_a_broken_configuration_completes_nothing_and_says_nothing(completed: Completed) -> None:
    Path("botdock.toml").write_text("this is = = no TOML")
    assert completed("run", "--runtime", "") == completed("logs", "") == []


def test_executions_and_their_bots_complete_the_newest_first(
    completed: Completed, logged: Callable[..., Any], own_home: Path
) -> None:
    older, newer = logged().execution_id, logged(bot="hello").execution_id
    (own_home / "executions" / "no-execution").mkdir()
    assert completed("logs", "") == ["hello", "sma", newer, older]
    assert completed("logs", newer) == [newer]
    assert completed("inspect", older[:8])[-1] == older
    assert completed("result", "s") == completed("ps", "--bot", "s") == ["sma"]
    assert completed("logs", "zz") == []


def test_what_runs_alone_completes_for_stop_and_wait(completed: Completed, logged: Callable[..., Any]) -> None:
    logged(bot="ended").says(b"x\n").ends().concludes(outcome="succeeded")
    running = logged(bot="running").lives()
    assert completed("stop", "") == completed("wait", "") == ["running", running.execution_id]


def test_settings_complete_those_of_plugins_too(completed: Completed) -> None:
    assert completed("run", "--set", "runtime.limits.m") == ["runtime.limits.memory="]
    assert "options.oci.runtime=" in completed("start", "--set", "options.")
    assert completed("run", "--set", "nosuch") == []


@pytest.mark.parametrize(
    ("shell", "asked", "expected"),
    [
        ("zsh", {"COMP_WORDS": "botdock run --engine pro", "COMP_CWORD": "3"}, ["plain", "process", "_"]),
        ("fish", {"COMP_WORDS": "botdock run --engine pro", "COMP_CWORD": "pro"}, ["plain,process"]),
    ],
)
def test_every_shell_is_answered_in_its_own_form(
    cli: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    shell: str,
    asked: dict[str, str],
    expected: list[str],
) -> None:
    for name, value in {"_BOTDOCK_COMPLETE": f"{shell}_complete", **asked}.items():
        monkeypatch.setenv(name, value)
    offered = cli()
    assert (offered.code, offered.err) == (0, "")
    assert offered.out.split() == expected


def test_a_configuration_that_is_not_read_is_not_told(completed: Completed) -> None:
    Path("botdock.toml").write_text("engine = 'process'")
    Path("botdock.toml").chmod(0o666)
    assert "process" in completed("run", "--engine", "")


def test_a_state_folder_that_cannot_be_read_completes_nothing(completed: Completed, own_home: Path) -> None:
    own_home.write_text("not a folder")
    assert completed("logs", "") == completed("stop", "") == completed("ps", "--bot", "") == []


def test_completing_imports_no_engine_and_no_storage(newcomer: dict[str, str]) -> None:
    program = """
import os, sys
from botdock_cli.main import main
os.environ["_BOTDOCK_COMPLETE"] = "bash_complete"
for line in ("run --set ", "run --engine ", "run --runtime ", "run --storage ", "logs ", "stop "):
    os.environ.update(COMP_WORDS=f"botdock {line}", COMP_CWORD=str(len(line.split()) + 1))
    try:
        main([])
    except SystemExit:
        pass
print("MODULES", *sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=newcomer, check=True)
    loaded = set(done.stdout.rpartition("MODULES")[2].split())
    assert "plain,process" in done.stdout
    assert not loaded & {"docker", "minio", "rich", "botdock_engine_oci.engine", "botdock_engine_docker.engine"}


BASH = """
eval "$(botdock --show-completion bash)"
complete -p botdock
compopt() { echo compopt "$@"; }   # outside of a completion bash has nothing to set
ask() { COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=(); _botdock_completion botdock; echo "${COMPREPLY[*]}"; }
ask botdock sup
ask botdock run --engine proc
ask botdock run --set runtime.gra
ask botdock run ./bo
"""


def test_a_real_bash_completes(newcomer: dict[str, str]) -> None:
    bash = shutil.which("bash")
    assert bash is not None, "the testbed has one: bots are run with it"
    environment = newcomer | {"PATH": f"{BIN}{os.pathsep}{newcomer['PATH']}"}
    done = subprocess.run([bash, "--norc", "-c", BASH], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "complete -o nosort -F _botdock_completion botdock",
        "supervise",
        "process",
        "compopt -o nospace",
        "runtime.grace=",
        "compopt -o default",
        "",
    ]
