"""Moments that are hard to hit: no stderr, a signal in the very moment of the start, botdock's own log."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest

from botdock._log import logger
from botdock.model import LogChunk, Stream
from botdock_cli import main as command_line
from botdock_cli.diagnostics import show_log
from botdock_cli.interrupts import Interrupts
from botdock_cli.relay import Relay
from botdock_cli.report import say
from botdock_cli.session import is_terminal


def test_botdock_s_own_log_shows_warnings_with_their_data(capfd: pytest.CaptureFixture[str]) -> None:
    show_log(everything=False)
    try:
        named = logger.patch(lambda record: record.__setitem__("name", "botdock.services"))
        named.bind(path="/x\x1b").warning("not stored")
        named.info("all is well")
    finally:
        logger.remove()
        logger.disable("botdock")
    assert capfd.readouterr().err == "botdock: warning: not stored (path=/x\\x1b)\n"


@pytest.mark.parametrize("stderr", [None, io.StringIO()])
def test_a_message_without_a_reader_is_no_error(monkeypatch: pytest.MonkeyPatch, stderr: io.StringIO | None) -> None:
    if stderr is not None:
        stderr.close()
    monkeypatch.setattr(sys, "stderr", stderr)
    say("nobody hears this")
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

    monkeypatch.setattr("botdock_cli.settings.as_text", interrupted)
    told = cli("config")
    assert told.code == 130
    assert "Traceback" not in told.err


def test_the_process_ends_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["botdock", "rnu"])
    with pytest.raises(SystemExit) as ended:
        command_line.run()
    assert ended.value.code == 2


def test_ctrl_c_before_anything_has_begun_is_one_line(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(app: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("typer.main.get_command", interrupted)
    told = cli("doctor")
    assert (told.code, told.err) == (130, "botdock: interrupted\n")
