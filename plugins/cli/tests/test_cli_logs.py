"""`botdock logs` of logs that a test wrote."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import LogError
from botdock.model import LogGap, Stream
from botdock.services.log_store import StoredLog

ERR = Stream.STDERR
SECOND = 1_000_000_000
NOON = 1_769_860_800 * SECOND
"""2026-01-31T12:00:00Z."""
BYTES = b"half \xff\x00\r and no newline"


@pytest.fixture
def three(logged: Callable[..., Any]) -> Any:
    """A log of three lines, a second apart, the middle one on stderr."""
    execution = logged().says(b"one\n", time_ns=NOON).says(b"two\n", ERR, time_ns=NOON + SECOND)
    return execution.says(b"three\n", time_ns=NOON + 2 * SECOND).ends().concludes(outcome="succeeded")


def test_each_stream_comes_out_where_it_was_written_byte_for_byte(
    cli: Callable[..., Any], logged: Callable[..., Any]
) -> None:
    logged().says(b"out\n").says(b"err\r\n", ERR).says(BYTES).ends()
    done = cli("logs", "sma")
    assert (done.code, done.stdout, done.stderr) == (0, b"out\n" + BYTES, b"err\r\n")


def test_an_execution_is_found_by_its_id_its_beginning_and_its_bot(
    cli: Callable[..., Any], logged: Callable[..., Any]
) -> None:
    other = logged(bot="other").says(b"other\n").ends()
    logged().says(b"older\n").ends()
    newest = logged().says(b"newest\n").ends()
    assert cli("logs", "sma").out == "newest\n"
    assert cli("logs", newest.execution_id).out == "newest\n"
    assert cli("logs", other.execution_id).out == cli("logs", "other").out == "other\n"


def test_one_that_is_not_there_is_code_2_and_the_nearest_is_named(cli: Callable[..., Any], three: Any) -> None:
    told = cli("logs", "smaa")
    assert (told.code, told.stdout) == (2, b"")
    assert "did you mean sma?" in told.err
    assert len(told.err.splitlines()) == 2


def test_nothing_but_the_state_folder_is_needed(
    cli: Callable[..., Any], three: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("no plugin is needed")

    monkeypatch.setattr("botdock.plugin_manager.PluginManager.load", refuse)
    monkeypatch.setenv("BOTDOCK_ENGINE", "no-such-engine")
    assert cli("logs", "sma").code == 0


@pytest.mark.parametrize(
    ("options", "out", "err"),
    [
        (["--tail", "1"], "three\n", ""),
        (["-n", "2"], "three\n", "two\n"),
        (["--tail", "0"], "", ""),
        (["--tail", "all"], "one\nthree\n", "two\n"),
        (["--stream", "stdout"], "one\nthree\n", ""),
        (["--stream", "stderr"], "", "two\n"),
        (["--stream", "stdout", "--tail", "2"], "one\nthree\n", ""),
        (["--since", "2026-01-31T12:00:01Z"], "three\n", "two\n"),
        (["--since", str(NOON // SECOND + 2)], "three\n", ""),
        (["--since", "1s"], "", ""),
        (["--until", "2026-01-31T12:00:00.9Z"], "one\n", ""),
        (["--since", "2026-01-31T12:00:00.5Z", "--until", "2026-01-31T12:00:01.5Z"], "", "two\n"),
        (["--raw"], "one\nthree\n", "two\n"),
        (["--raw", "--tail", "1"], "three\n", ""),
        (["-t", "--tail", "1"], "2026-01-31T12:00:02.000000000Z three\n", ""),
        (["-t", "--stream", "stderr"], "", "2026-01-31T12:00:01.000000000Z two\n"),
        (["--follow"], "one\nthree\n", "two\n"),
    ],
)
def test_each_option_chooses_its_lines(
    cli: Callable[..., Any], three: Any, options: list[str], out: str, err: str
) -> None:
    done = cli("logs", "sma", *options)
    assert (done.code, done.out, done.err) == (0, out, err)


def test_json_is_one_object_a_line(cli: Callable[..., Any], three: Any) -> None:
    done = cli("logs", "sma", "--json", "--tail", "2")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"time": "2026-01-31T12:00:01.000000000Z", "stream": "stderr", "text": "two", "complete": True},
        {"time": "2026-01-31T12:00:02.000000000Z", "stream": "stdout", "text": "three", "complete": True},
    ]
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--raw", "--json"], "--raw: cannot be combined with --json"),
        (["--raw", "--timestamps"], "--raw: cannot be combined with --timestamps"),
        (["--raw", "--json", "-t"], "--raw: cannot be combined with --json and --timestamps"),
        (["--json", "-t"], "--json: cannot be combined with --timestamps"),
        (["--verify", "-f", "--tail", "0"], "--verify: cannot be combined with --follow and --tail"),
        (["--verify", "--raw"], "--verify: cannot be combined with --raw"),
        (["--tail", "ten"], "--tail: 'ten' is not a number of lines\n  Write one such as 100, or 'all'."),
        (["--tail", "-1"], "--tail: '-1' is not a number of lines"),
        (["--since", "yesterday"], "--since: 'yesterday' is not a moment; write one such as 2026-01-31T09:30:00Z"),
        (["--until", "12:00"], "--until: '12:00' is not a moment"),
        (["--since", "1h", "--until", "2h"], "--until: is earlier than --since"),
        (["--stream", "stdin"], "stdout"),
        ([], "no execution"),
    ],
)
def test_wrong_usage_is_code_2_and_says_what_is_right(cli: Callable[..., Any], options: list[str], said: str) -> None:
    told = cli("logs", "sma", *options)
    assert told.code == 2
    assert bool(told.stdout) is ("--json" in options), "and nothing of the log"
    assert said in told.err
    assert len(told.err.splitlines()) <= 2


@pytest.fixture
def torn(logged: Callable[..., Any]) -> Any:
    """A log with a gap in it."""
    execution = logged().says(b"before\n", time_ns=NOON)
    execution.writer.note_gap(LogGap(stream=Stream.STDOUT, size=12345, since_ns=NOON))
    return execution.says(b"after\n", time_ns=NOON + SECOND).ends()


@pytest.mark.parametrize("options", [[], ["--timestamps"], ["--tail", "2"], ["--stream", "stdout"]])
def test_a_gap_is_told_on_stderr(cli: Callable[..., Any], torn: Any, options: list[str]) -> None:
    done = cli("logs", "sma", *options)
    assert done.code == 0
    assert done.err == "botdock: 12,345 bytes of stdout are missing here: rotated away by the engine\n"
    assert len(done.out.splitlines()) == 2


@pytest.mark.parametrize("options", [["--raw"], ["--stream", "stderr"]])
def test_a_gap_is_not_told_where_only_bytes_or_another_stream_are_wanted(
    cli: Callable[..., Any], torn: Any, options: list[str]
) -> None:
    assert cli("logs", "sma", *options).stderr == b""


class TestOnATerminal:
    @pytest.fixture(autouse=True)
    def terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr("botdock_cli.log_output.is_terminal", lambda stream: True)
        monkeypatch.setattr("botdock_cli.output.is_terminal", lambda stream: True)

    def test_what_would_move_the_cursor_is_shown_as_an_escape(
        self, cli: Callable[..., Any], logged: Callable[..., Any]
    ) -> None:
        logged().says(b"\x1b[2J\x1b[31mred\n").says(b"\x1b]0;title\x07\n", ERR).ends()
        done = cli("logs", "sma")
        assert (done.out, done.err) == ("\\x1b[2J\x1b[31mred\x1b[0m\n", "\\x1b]0;title\\x07\n")

    def test_without_colours_they_are_escapes_too(
        self, cli: Callable[..., Any], logged: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NO_COLOR", "1")
        logged().says(b"\x1b[31mred\n").ends()
        assert cli("logs", "sma").out == "\\x1b[31mred\n"

    def test_raw_is_exact_all_the_same(self, cli: Callable[..., Any], logged: Callable[..., Any]) -> None:
        logged().says(b"\x1b[2J").ends()
        assert cli("logs", "sma", "--raw").stdout == b"\x1b[2J"

    def test_what_is_told_stands_on_a_line_of_its_own(
        self, cli: Callable[..., Any], logged: Callable[..., Any]
    ) -> None:
        logged().says(b"no newline")
        done = cli("logs", "sma", "--follow")
        assert (done.code, done.out) == (125, "no newline")
        assert done.err.startswith("\nbotdock: the runner of execution ")


def test_a_gap_has_its_place_among_the_objects(cli: Callable[..., Any], torn: Any) -> None:
    kinds = [json.loads(line).get("gap", "line") for line in cli("logs", "sma", "--json").stdout.splitlines()]
    assert kinds == ["line", "lost", "line"]


def test_a_damaged_index_is_told_with_the_command_that_says_more(cli: Callable[..., Any], three: Any) -> None:
    index = three.directory / "logs" / "index.0"
    index.write_bytes(b"\xff" * index.stat().st_size)
    told = cli("logs", "sma")
    assert told.code == 125
    assert "--verify" in told.err


def test_a_full_disk_behind_stdout_is_told(
    three: Any, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        from botdock_cli.main import main

        assert main(["logs", "sma"]) == 125
    assert b"No space left on device: stdout" in capfdbinary.readouterr().err


def test_a_reader_that_is_gone_is_quiet(
    three: Any, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        from botdock_cli.main import main

        assert main(["logs", "sma", "--stream", "stdout"]) == 141
    assert capfdbinary.readouterr().err == b""


def test_ctrl_c_is_quiet(cli: Callable[..., Any], logged: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    logged().lives().says(b"out\n")
    real = StoredLog.entries

    def interrupted(*args: Any, **options: Any) -> Any:
        yield next(real(*args, **options))
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(StoredLog, "entries", interrupted)
    done = cli("logs", "sma", "-f")
    assert (done.code, done.out, done.err) == (130, "out\n", "")


def test_a_log_that_breaks_while_it_is_read_shows_what_came_before(
    cli: Callable[..., Any], logged: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged().says(b"out\n").ends()
    real = StoredLog.entries

    def broken(*args: Any, **options: Any) -> Any:
        yield from real(*args, **options)
        raise LogError("the disk is broken")

    monkeypatch.setattr(StoredLog, "entries", broken)
    done = cli("logs", "sma")
    assert (done.code, done.out, done.err) == (125, "out\n", "botdock: the disk is broken\n")
