"""`botdock run` over a facade that does what the test says."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.errors import ArchiveError, ConfigError, ImageError, NotFoundError, PolicyError
from botdock.model import LogChunk, LogSummary, Outcome, Phase, Progress, Stream

PATIENCE = 10.0
DOCUMENT_KEYS = {
    "execution_id", "id", "runtime", "engine", "outcome", "exit_code", "value", "error", "evidence",
    "duration_seconds", "phases", "container_id", "image", "image_digest", "log", "schema", "started_at", "finished_at",
}  # fmt: skip


def test_both_streams_come_out_as_they_are(cli: Callable[..., Any], fake_runner: Any) -> None:
    fake_runner.says(b"no newline, \xff\xfe and \0")
    fake_runner.says(b"error\r\n", Stream.STDERR)
    fake_runner.says(b" - the end")
    done = cli("run", "bot")
    assert (done.code, done.stdout, done.stderr) == (0, b"no newline, \xff\xfe and \0 - the end", b"error\r\n")


def test_each_chunk_is_out_before_the_next_one_is_asked_for(
    cli: Callable[..., Any], fake_runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    seen: list[bytes] = []

    def stream() -> Iterator[LogChunk]:
        for line in (b"one\n", b"two\n"):
            yield LogChunk(Stream.STDOUT, line)
            seen.append(os.read(reading, 100))

    fake_runner.stream = stream
    with os.fdopen(reading, "rb"), os.fdopen(writing, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        from botdock_cli.main import main

        assert main(["run", "bot"]) == 0
    assert seen == [b"one\n", b"two\n"]


def test_json_is_one_document_on_stdout_and_the_log_on_stderr(cli: Callable[..., Any], fake_runner: Any) -> None:
    fake_runner.says(b"out\n")
    fake_runner.says(b"err\n", Stream.STDERR)
    fake_runner.ends(Outcome.SUCCEEDED, value={"pnl": math.nan}, runtime="bash", engine="process")
    done = cli("run", "bot", "--json")
    document = json.loads(done.stdout)
    assert document.keys() >= DOCUMENT_KEYS
    assert document["outcome"] == "succeeded"
    assert document["value"] == {"pnl": None}
    assert document["log"].keys() >= {"bytes", "lines", "sha256", "gaps"}
    assert done.stderr == b"out\nerr\n"


def test_json_of_a_failed_run_keeps_its_exit_code(cli: Callable[..., Any], fake_runner: Any) -> None:
    fake_runner.ends(Outcome.TIMED_OUT, exit_code=None)
    done = cli("run", "bot", "--json")
    assert (done.code, json.loads(done.stdout)["exit_code"]) == (124, None)


def test_json_of_our_own_failure_is_a_document_too(cli: Callable[..., Any], fake_runner: Any) -> None:
    error = ImageError("no such image 'x:1'", image="x:1", hint="docker pull x:1")
    fake_runner.fails(error, execution_id="01run", phase="pull")
    done = cli("run", "bot", "--json", "--runtime", "bash")
    document = json.loads(done.stdout)
    assert done.code == 125
    assert document.keys() >= DOCUMENT_KEYS
    assert (document["outcome"], document["execution_id"], document["id"]) == ("infrastructure_error", "01run", "bot")
    assert document["evidence"] == {"phase": "pull", "hint": "docker pull x:1"}
    assert done.err == "botdock: no such image 'x:1' (phase: pull, execution: 01run)\n  docker pull x:1\n"


def test_a_failure_before_there_is_an_execution_is_a_document_of_its_own(
    cli: Callable[..., Any], fake_runner: Any
) -> None:
    fake_runner.fails(NotFoundError("runtime", "pythn", ["python311", "bash"]))
    done = cli("run", "bot", "--json")
    document = json.loads(done.out)
    assert (done.code, document["exit_code"], document["error_class"]) == (2, 2, "NotFoundError")
    assert "did you mean python311?" in done.err
    assert "did you mean python311?" in document["error"]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (NotFoundError("engine", "dokcer", ["docker"]), 2, "did you mean docker?"),
        (PolicyError("network 'x' is not allowed", setting="policy.networks"), 2, "policy.networks in botdock.toml"),
        (ArchiveError("entry '../x' leaves the tree", entry="../x", limit="traversal"), 2, "'../x' leaves the tree"),
        (ConfigError(["a: b: wrong", "a: c: worse"]), 2, "botdock: a: b: wrong\nbotdock: a: c: worse\n"),
    ],
)
def test_an_error_of_botdock_is_told_with_its_hint(
    cli: Callable[..., Any], fake_runner: Any, error: Any, code: int, said: str
) -> None:
    fake_runner.fails(error)
    told = cli("run", "bot")
    assert told.code == code
    assert said in told.err
    assert "Traceback" not in told.err


def test_options_reach_the_configuration_and_the_executable(cli: Callable[..., Any], fake_runner: Any) -> None:
    done = cli(
        "run", "bots/a.zip", "--engine", "process", "--pull", "never", "--set", "runtime.grace=3s", "--pids", "9"
    )
    assert done.code == 0
    assert fake_runner.config.engine == "process"
    assert fake_runner.config.containers.pull == "never"
    assert fake_runner.config.runtime.grace == 3.0
    assert (fake_runner.executable.id, fake_runner.executable.limits.pids) == ("a", 9)
    assert fake_runner.closed


@pytest.mark.parametrize("before", [True, False])
def test_the_configuration_file_may_be_named_before_or_after_the_verb(
    cli: Callable[..., Any], fake_runner: Any, tmp_path: Any, *, before: bool
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('engine = "process"\n')
    named = ["--config-file", str(path)]
    done = cli(*named, "run", "bot") if before else cli("run", "bot", *named)
    assert done.code == 0
    assert fake_runner.config.engine == "process"


def test_an_unknown_configuration_key_is_refused_with_the_nearest(cli: Callable[..., Any], fake_runner: Any) -> None:
    told = cli("run", "bot", "--set", "runtime.timout=3")
    assert told.code == 2
    assert "timeout" in told.err
    assert fake_runner.executable is None


def test_a_broken_pipe_stops_the_bot_and_ends_like_any_unix_program(
    fake_runner: Any, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    def stream() -> Iterator[LogChunk]:
        yield LogChunk(Stream.STDOUT, b"this is not read\n")
        assert fake_runner.execution.stopped.wait(PATIENCE)
        yield LogChunk(Stream.STDOUT, b"nor this\n")

    fake_runner.stream = stream
    fake_runner.ends(Outcome.STOPPED)
    with os.fdopen(writing, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        from botdock_cli.main import main

        assert main(["run", "bot"]) == 141
    assert capfdbinary.readouterr().err == b""


def test_a_full_disk_behind_stdout_is_told(
    fake_runner: Any, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_runner.says(b"x" * 100)
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        from botdock_cli.main import main

        assert main(["run", "bot"]) == 125
    assert b"could not be written: No space left on device" in capfdbinary.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_during_the_preparation_is_one_line(
    cli: Callable[..., Any], fake_runner: Any, number: int, code: int
) -> None:
    fake_runner.on_start = lambda: os.kill(os.getpid(), number)
    told = cli("run", "bot")
    assert (told.code, told.err) == (code, "botdock: interrupted; nothing is left running\n")
    assert fake_runner.closed


def test_an_interrupt_that_could_not_remove_all_says_so(
    cli: Callable[..., Any], fake_runner: Any, logged: Callable[..., Any]
) -> None:
    owed = logged()
    (owed.directory / "concluded.json").write_text("{}")
    fake_runner.error = KeyboardInterrupt()
    told = cli("run", "bot").err
    assert told.startswith(f"botdock: interrupted; not all of {owed.execution_id} is removed yet\n  `botdock recover`")


def test_what_could_not_be_removed_is_told_unless_the_runner_removed_it_as_it_closed(
    cli: Callable[..., Any], fake_runner: Any
) -> None:
    fake_runner.ends(Outcome.SUCCEEDED, evidence={"left_behind": ["container: connection refused"]})
    done = cli("run", "bot", "--json")
    assert "not all of it could be removed: container: connection refused\n  `botdock recover`" in done.err
    assert json.loads(done.stdout)["evidence"]["left_behind"] == ["container: connection refused"]

    def paid() -> Iterator[LogChunk]:
        fake_runner.execution.result = attrs.evolve(fake_runner.result, evidence={"removed_later": ["container"]})
        yield from ()

    fake_runner.stream = paid
    assert cli("run", "bot").err == ""


def test_ctrl_c_stops_a_running_bot_and_shows_its_last_words(cli: Callable[..., Any], fake_runner: Any) -> None:
    def stream() -> Iterator[LogChunk]:
        yield LogChunk(Stream.STDOUT, b"working\n")
        os.kill(os.getpid(), signal.SIGINT)
        assert fake_runner.execution.stopped.wait(PATIENCE)
        yield LogChunk(Stream.STDOUT, b"goodbye\n")

    fake_runner.stream = stream
    fake_runner.ends(Outcome.STOPPED)
    done = cli("run", "bot")
    assert (done.code, done.out) == (143, "working\ngoodbye\n")
    assert done.err == "botdock: stopping the bot; once more kills it\n"


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (
            LogSummary(gaps=1, gap_bytes=12345, complete=True),
            "12,345 bytes of its log are missing, in 1 place; `botdock ",
        ),
        (LogSummary(gaps=2, gap_seconds=3.0, complete=True), "bytes that could not be counted of its log are missing"),
        (LogSummary(bytes=1), "its log is not complete: "),
    ],
)
def test_what_is_lost_of_the_log_is_told_even_where_nobody_watches(
    cli: Callable[..., Any], fake_runner: Any, log: LogSummary, said: str
) -> None:
    fake_runner.ends(Outcome.SUCCEEDED, log=log)
    done = cli("run", "bot", "--quiet")
    assert done.code == 0
    assert done.err.startswith(f"botdock: {said}")


def test_secrets_that_were_masked_are_no_loss(cli: Callable[..., Any], fake_runner: Any) -> None:
    fake_runner.ends(Outcome.SUCCEEDED, log=LogSummary(bytes=9, masked=3, complete=True))
    assert cli("run", "bot").stderr == b""


def test_an_execution_without_an_end_is_our_fault(cli: Callable[..., Any], fake_runner: Any) -> None:
    fake_runner.result = attrs.evolve(fake_runner.result, outcome=None)
    told = cli("run", "bot")
    assert told.code == 125
    assert "01run has no end" in told.err


def test_no_progress_is_shown_where_there_is_no_terminal(cli: Callable[..., Any], fake_runner: Any) -> None:
    fake_runner.reports = [Progress(phase=Phase.PULL, what="python:3.11", current=1, total=2)]
    assert cli("run", "bot").stderr == b""


class TestOnATerminal:
    @pytest.fixture(autouse=True)
    def terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr("botdock_cli.commands.run.is_terminal", lambda stream: True)

    def test_a_summary_follows_the_output_on_a_line_of_its_own(self, cli: Callable[..., Any], fake_runner: Any) -> None:
        fake_runner.says(b"no newline")
        fake_runner.ends(Outcome.SUCCEEDED, duration=1.25, value=3)
        done = cli("run", "bot")
        assert done.out == "no newline"
        assert done.err == (
            "\nbotdock: succeeded after 1.25s, and returned 3; "
            "`botdock logs 01run` shows its log again, `botdock result 01run` all that it returned\n"
        )

    def test_secrets_that_were_masked_are_counted(self, cli: Callable[..., Any], fake_runner: Any) -> None:
        fake_runner.ends(Outcome.SUCCEEDED, log=LogSummary(masked=1, complete=True))
        assert "botdock: 1 secret masked in its log\n" in cli("run", "bot").err

    def test_the_command_that_shows_the_log_is_told_once(self, cli: Callable[..., Any], fake_runner: Any) -> None:
        fake_runner.ends(Outcome.TIMED_OUT)
        assert cli("run", "bot").err.count("botdock logs 01run") == 1

    def test_quiet_leaves_it_out(self, cli: Callable[..., Any], fake_runner: Any) -> None:
        fake_runner.says(b"no newline")
        assert cli("run", "bot", "--quiet").stderr == b""

    def test_progress_is_shown_and_gone_before_the_first_byte(self, cli: Callable[..., Any], fake_runner: Any) -> None:
        fake_runner.reports = [Progress(phase=Phase.PULL, what="python:3.11", current=1, total=2)]
        fake_runner.says(b"hello\n")
        done = cli("run", "bot")
        assert done.out == "hello\n"
        assert "botdock: succeeded" in done.err
