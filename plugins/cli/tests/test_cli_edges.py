"""Moments that are hard to hit: no stderr, a signal in the very moment of the start, botdock's own log."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from botdock._log import logger
from botdock.logging import disable
from botdock.model import LogChunk, Stream
from botdock_cli import main as command_line
from botdock_cli.commands.run import Relay
from botdock_cli.interrupts import Interrupts
from botdock_cli.report import say
from botdock_cli.session import Session, is_terminal
from botdock_cli.store import TargetError, check_target


@pytest.fixture(autouse=True)
def own_sigint() -> Iterator[None]:
    """Give SIGINT back to the tests that come later: `run` leaves it as it is when a process ends."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


SHOW_LOG = Session.show_log
"""Before a fixture replaces it."""


def test_botdock_s_own_log_shows_warnings_with_their_data(capfd: pytest.CaptureFixture[str]) -> None:
    SHOW_LOG(Session())
    try:
        named = logger.patch(lambda record: record.__setitem__("name", "botdock.services"))
        named.bind(path="/x\x1b").warning("not stored")
        named.info("all is well")
    finally:
        logger.remove()
        disable()
    assert capfd.readouterr().err == "botdock: warning: not stored (path=/x\\x1b)\n"


@pytest.mark.parametrize("stderr", [None, io.StringIO()])
def test_a_message_without_a_reader_is_no_error(monkeypatch: pytest.MonkeyPatch, stderr: io.StringIO | None) -> None:
    if stderr is not None:
        stderr.close()
    monkeypatch.setattr(sys, "stderr", stderr)
    say("this is not heard")
    assert not is_terminal(stderr)


def test_a_bot_that_writes_to_a_closed_stdout_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    relay = Relay(stdout_to_stderr=False)
    stops: list[str] = []
    relay.copy([LogChunk(Stream.STDOUT, b"a"), LogChunk(Stream.STDOUT, b"b")], on_broken=lambda: stops.append("stop"))
    assert (relay.broken, relay.failure, stops) == (True, None, ["stop"])


def test_a_signal_in_the_very_moment_of_the_start_leaves_no_bot_running(
    cli: Callable[..., Any], fake_runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Interrupts, execution: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Interrupts, "adopt", interrupted)
    told = cli("run", "bot")
    assert told.code == 130
    assert fake_runner.execution.killed.is_set()


def test_ctrl_c_during_any_other_verb_ends_quietly(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(session: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("botdock_cli.commands.config.as_text", interrupted)
    told = cli("config")
    assert told.code == 130
    assert "Traceback" not in told.err


def test_the_process_ends_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["botdock", "rnu"])
    with pytest.raises(SystemExit) as ended:
        command_line.run()
    assert ended.value.code == 2


@pytest.mark.parametrize("interrupt", ["KeyboardInterrupt", "RuntimeError('in __set_name__') from KeyboardInterrupt()"])
def test_ctrl_c_while_python_still_imports_is_one_line(
    newcomer: dict[str, str], tmp_path: Path, interrupt: str
) -> None:
    (tmp_path / "click.py").write_text(f"raise {interrupt}\n")
    command = [sys.executable, "-m", "botdock_cli", "--help"]
    environment = newcomer | {"PYTHONPATH": str(tmp_path)}
    told = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (told.returncode, told.stdout, told.stderr) == (130, b"", b"botdock: interrupted\n")


def test_ctrl_c_before_there_is_anything_to_say_it_with_is_quiet(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(args: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "main", interrupted)
    with pytest.raises(SystemExit) as ended:
        command_line.run()
    assert ended.value.code == 130
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, click.Abort])
def test_ctrl_c_before_anything_has_begun_is_one_line(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, interrupt: type[BaseException]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise interrupt

    monkeypatch.setattr("botdock_cli.app.app.main", interrupted)
    told = cli("doctor")
    assert (told.code, told.err) == (130, "botdock: interrupted\n")


def test_run_restarts_nothing_and_says_what_does(cli: Callable[..., Any], fake_runner: Any) -> None:
    refused = cli("run", "bots/hello", "--restart", "always")
    assert refused.code == 2
    assert "--restart: `run` runs it once" in refused.err
    assert "botdock start bots/hello --restart always" in refused.err
    assert "did you mean 'on-failure'?" in cli("run", "bots/hello", "--restart", "on_failure").err
    assert not fake_runner.closed  # for it was never opened
    assert cli("run", "bots/hello", "--restart", "no").code == 0


@pytest.mark.parametrize(
    "line",
    [
        ("new", "bot", "sma", "-o", "locked/sma"),
        ("pack", "bot", "-o", "locked/x.zip"),
        ("storage", "get", "k", "-o", "locked/k"),
    ],
)
def test_a_folder_that_this_user_may_not_write_into_is_a_mistake_that_is_told(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...]
) -> None:
    Path("bot").mkdir()
    Path("locked").mkdir()
    monkeypatch.setattr("os.access", lambda *_, **__: False)  # root, as which tests run, may write anywhere
    told = cli(*line)
    assert (told.code, told.out) == (2, "")
    assert told.err == "botdock: locked cannot be written by this user\n  Name another place: -o\n"


def test_a_target_that_cannot_be_looked_at_is_a_mistake_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", refuse)
    with pytest.raises(TargetError, match="cannot be written: Permission denied"):
        check_target(Path("locked/k"), force=False, name="k")
