"""The command as a user types it: a process of its own, bots that really run, by the engine that needs no daemon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 30.0
"""Seconds after which something has gone wrong."""
BASH = ("--engine", "process", "--runtime", "bash", "--script", "bot.sh")


@pytest.fixture
def bot(tmp_path: Path) -> Callable[[str], str]:
    """Write a bash bot and return its folder."""

    def write(script: str) -> str:
        folder = tmp_path / "bots" / "hello"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bot.sh").write_text(script)
        return str(folder)

    return write


@pytest.fixture
def started(newcomer: dict[str, str]) -> Callable[..., Any]:
    """Start a command line, and make sure that it has ended."""

    @contextmanager
    def start(*args: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "botdock_cli", *args]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        with subprocess.Popen(command, env=newcomer, **pipes) as process:
            watchdog = threading.Timer(PATIENCE, process.kill)
            watchdog.start()
            try:
                yield process
            finally:
                process.wait()
                watchdog.cancel()

    return start


def nothing_is_left(home: Path) -> bool:
    """Whether no workspace and no container's folder is there any more."""
    return not list(home.glob("executions/*/workspace")) and not list(home.glob("**/containers/*"))


@pytest.mark.parametrize("code", [0, 1, 7])
def test_output_and_exit_code_are_the_bot_s_own(
    botdock: Callable[..., Any], bot: Callable[[str], str], own_home: Path, code: int
) -> None:
    script = f"printf 'out \\xff\\x00 without newline'\nprintf 'err\\n' >&2\nexit {code}\n"
    done = botdock("run", bot(script), *BASH)
    assert (done.code, done.stdout) == (code, b"out \xff\x00 without newline")
    assert [line for line in done.stderr.splitlines() if not line.startswith(b"botdock: ")] == [b"err"]
    assert nothing_is_left(own_home)


def test_json_is_one_document_about_the_run(botdock: Callable[..., Any], bot: Callable[[str], str]) -> None:
    done = botdock("run", bot("echo hello; echo $BOT_ID\n"), *BASH, "--json", "--id", "mine")
    document = json.loads(done.stdout)
    assert done.code == 0
    assert (document["id"], document["runtime"], document["engine"]) == ("mine", "bash", "process")
    assert (document["outcome"], document["exit_code"]) == ("succeeded", 0)
    assert (document["log"]["bytes"], document["log"]["lines"], document["log"]["gaps"]) == (11, 2, 0)
    assert document["phases"].keys() >= {"validate", "create", "start", "wait"}
    assert b"hello\nmine\n" in done.stderr


def test_config_variables_and_secrets_reach_the_bot(botdock: Callable[..., Any], bot: Callable[[str], str]) -> None:
    code = bot('printf "%s|%s|%s|%s" "$BOT_CONFIG" "$A" "$FROM_HERE" "$KEY"\n')
    options = ("--config", "@-", "--env", "A=1=2", "--env", "FROM_HERE", "--secret", "KEY")
    done = botdock("run", code, *BASH, *options, stdin=b'{"x": "y"}', FROM_HERE="here", KEY="hidden", OTHER="never")
    assert done.code == 0, done.err
    config, *rest = done.out.split("|")
    assert json.loads(config) == {"x": "y"}
    assert rest == ["1=2", "here", "*" * len("hidden")], "a secret that the bot prints is masked"


def test_a_bot_that_takes_too_long_ends_with_124_and_the_cure(
    botdock: Callable[..., Any], bot: Callable[[str], str], own_home: Path
) -> None:
    done = botdock("run", bot("echo begun; sleep 600\n"), *BASH, "--timeout", "500ms", "--set", "runtime.grace=1s")
    assert (done.code, done.out) == (124, "begun\n")
    assert "timed out after 500ms (wall time); raise it with --timeout" in done.err
    assert nothing_is_left(own_home)


def test_a_line_is_shown_while_the_bot_still_runs(started: Callable[..., Any], bot: Callable[[str], str]) -> None:
    code = bot('echo first; until [ -e "$GATE" ]; do sleep 0.05; done; echo second\n')
    gate = Path(code).parent / "gate"
    with started("run", code, *BASH, "--env", f"GATE={gate}") as process:
        assert process.stdout.readline() == b"first\n"
        assert process.poll() is None
        gate.touch()
        assert process.stdout.read() == b"second\n"
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_bot_say_goodbye(
    started: Callable[..., Any], bot: Callable[[str], str], own_home: Path, number: int
) -> None:
    code = bot("trap 'echo goodbye; exit 0' TERM\necho ready\nwhile :; do sleep 0.05; done\n")
    with started("run", code, *BASH) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.stdout.read() == b"goodbye\n"
        assert b"stopping the bot; once more kills it" in process.stderr.read()
    assert process.returncode == 143
    assert nothing_is_left(own_home)


def test_a_second_signal_kills_a_bot_that_will_not_end(
    started: Callable[..., Any], bot: Callable[[str], str], own_home: Path
) -> None:
    code = bot("trap 'echo no' TERM\necho ready\nwhile :; do sleep 0.05; done\n")
    with started("run", code, *BASH, "--set", "runtime.grace=10m") as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"no\n"
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert b"Traceback" not in process.stderr.read()
    assert process.returncode == 143
    assert nothing_is_left(own_home)


def test_a_reader_that_goes_away_ends_the_bot_quietly(
    started: Callable[..., Any], bot: Callable[[str], str], own_home: Path
) -> None:
    with started("run", bot("while :; do echo again; sleep 0.05; done\n"), *BASH) as process:
        assert process.stdout.readline() == b"again\n"
        process.stdout.close()
        told = process.stderr.read()
    assert process.returncode == 141
    assert b"Traceback" not in told
    assert b"Exception ignored" not in told
    assert nothing_is_left(own_home)


@pytest.mark.parametrize("line", ["plugins", "--help", "run --help", "--version"])
def test_help_and_listings_are_quiet_in_a_closed_pipe_and_name_a_stdout_that_is_full(
    newcomer: dict[str, str], line: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "botdock_cli", *line.split()]
    with os.fdopen(writing, "wb") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, env=newcomer, check=False)
    assert (done.returncode, done.stderr) == (141, b"")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=newcomer, check=False)
    assert (done.returncode, done.stderr.split(b"\n")[0]) == (125, b"botdock: No space left on device: stdout")


def test_an_archive_made_by_pack_runs(botdock: Callable[..., Any], bot: Callable[[str], str]) -> None:
    assert botdock("pack", bot("echo from an archive\n"), "-o", "hello.tar.xz").code == 0
    done = botdock("run", "hello.tar.xz", *BASH)
    assert (done.code, done.out) == (0, "from an archive\n")


def test_an_engine_that_does_not_answer_is_told_with_what_mends_it(
    botdock: Callable[..., Any], bot: Callable[[str], str], own_home: Path
) -> None:
    where = ("--engine", "docker", "--set", "docker.host=unix:///no/such.sock")
    told = botdock("run", bot("echo never\n"), *BASH, *where)
    assert (told.code, told.stdout) == (125, b"")
    assert "/no/such.sock" in told.err
    assert "docker.host" in told.err
    assert "Traceback" not in told.err
    assert nothing_is_left(own_home)


def hostile(tmp_path: Path) -> str:
    path = tmp_path / "hostile.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bot.sh", "echo never")
        archive.writestr("../../evil.sh", "echo evil")
    return str(path)


BAD_INPUT = [
    (["--runtime", "pythn"], {2}, "python"),
    (["--engine", "proces"], {2}, "process"),
    (["--storage", "local-f"], {2}, "local-fs"),
    (["--entrypoint", "bott"], {2}, "bot"),
    (["--script", "absent.sh"], {2}, "absent.sh"),
    (["--script", "../bot.sh"], {2}, "../bot.sh"),
    (["--script", "/etc/passwd"], {2}, "/etc/passwd"),
    (["--config", "{"], {2}, "--config is not JSON"),
    (["--config", "[]"], {2}, "must be a JSON object"),
    (["--config", "@absent.json"], {2}, "absent.json"),
    (["--timeout", "0"], {2}, "--timeout"),
    (["--memory", "-1"], {2}, "--memory"),
    (["--memory", "1"], {2}, "--memory"),
    (["--cpus", "-1"], {2}, "--cpus"),
    (["--pids", "0"], {2}, "--pids"),
    (["--id", "a/b"], {2}, "--id"),
    (["--id", "a\nb"], {2}, "--id"),
    (["--id", "x" * 10_000], {2}, "10000 characters"),
    (["--network", "bridge"], {2}, "policy.networks"),
    (["--set", "runtime.timout=3"], {2}, "timeout"),
    (["--set", "runtime.limits.pids=many"], {2}, "runtime.limits.pids"),
    (["--env", "NOT_SET_HERE"], {2}, "NOT_SET_HERE"),
    (["--set", "home=/proc/no"], {125}, "/proc/no"),
]


@pytest.mark.parametrize(("options", "codes", "said"), BAD_INPUT, ids=[" ".join(row[0])[:40] for row in BAD_INPUT])
def test_bad_input_is_one_clear_error(
    cli: Callable[..., Any],
    bot: Callable[[str], str],
    own_home: Path,
    options: list[str],
    codes: set[int],
    said: str,
) -> None:
    told = cli("run", bot("echo never\n"), *BASH, *options)
    assert told.code in codes, told.err
    assert said in told.err
    assert "Traceback" not in told.err
    assert told.stdout == b""
    assert nothing_is_left(own_home)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("absent", None, "absent"),
        ("text.zip", b"this is not an archive", "text.zip"),
        ("empty.zip", b"", "empty.zip"),
        ("cut.zip", b"PK\x03\x04\x14\x00\x00\x00", "cut.zip"),
    ],
)
def test_code_that_is_none_is_refused(
    cli: Callable[..., Any], own_home: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    told = cli("run", name, *BASH)
    assert told.code == 2, told.err
    assert said in told.err
    assert "Traceback" not in told.err
    assert nothing_is_left(own_home)


def test_a_hostile_archive_is_refused_with_its_entry(
    botdock: Callable[..., Any], tmp_path: Path, own_home: Path
) -> None:
    told = botdock("run", hostile(tmp_path), *BASH, "--json")
    assert told.code == 2
    assert "../../evil.sh" in told.err
    assert json.loads(told.stdout)["outcome"] == "infrastructure_error"
    assert nothing_is_left(own_home)
    assert not list(tmp_path.rglob("evil.sh"))
