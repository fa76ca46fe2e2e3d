"""`botdock logs` in a process of its own, of bots that really run in another one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from botdock.executions._files import execution_ids

PATIENCE = 30.0
"""Seconds after which something has gone wrong."""
ENGINE = ("--engine", "process")
BASH = (*ENGINE, "--runtime", "bash", "--script", "bot.sh", "--id", "sma")
STEPS = """
for n in 1 2 3; do
    echo "line $n"
    for try in {1..1500}; do [ -e "$GATES/$n" ] && break; sleep 0.02; done
done
printf "no newline"
"""


@pytest.fixture
def bot(tmp_path: Path) -> Callable[[str], str]:
    """Write a bash bot and return its folder."""

    def write(script: str) -> str:
        folder = tmp_path / "bots" / "sma"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bot.sh").write_text(script)
        return str(folder)

    return write


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    """Where a test lets the bot go on: it writes a line, and waits for a file."""
    folder = tmp_path / "gates"
    folder.mkdir()
    return folder


@pytest.fixture
def started(newcomer: dict[str, str]) -> Iterator[Callable[..., Any]]:
    """Start a command line, and make sure that it has ended."""

    @contextmanager
    def start(*args: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "botdock_cli", *args]
        process = subprocess.Popen(command, env=newcomer, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        pipes.enter_context(process)  # what it has written can be read after its end, too
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        try:
            yield process
            process.wait()
        finally:
            process.kill()
            process.wait()
            watchdog.cancel()

    with ExitStack() as pipes:
        yield start


@pytest.fixture
def stepping(started: Callable[..., Any], bot: Callable[[str], str], gates: Path) -> Callable[[], Any]:
    """Run the bot that goes on when it is let."""
    return lambda: started("run", bot(STEPS), *BASH, "--env", f"GATES={gates}")


def newest(home: Path) -> str:
    return execution_ids(home)[-1]


@pytest.mark.parametrize("options", [[], ["--tail", "all"]])
def test_another_process_shows_each_line_as_it_comes(
    stepping: Callable[[], Any], started: Callable[..., Any], gates: Path, options: list[str]
) -> None:
    with stepping() as run:
        assert run.stdout.readline() == b"line 1\n"
        with started("logs", "-f", "sma", *options) as logs:
            for number in (1, 2, 3):
                assert logs.stdout.readline() == b"line %d\n" % number
                assert run.poll() is logs.poll() is None
                (gates / str(number)).touch()
            assert logs.stdout.read() == b"no newline"
        assert (logs.returncode, logs.stderr.read()) == (0, b"")
    assert run.returncode == 0


def test_each_object_is_out_before_the_next_line(
    stepping: Callable[[], Any], started: Callable[..., Any], gates: Path
) -> None:
    with stepping() as run, started("logs", "-f", "--json", newest_bot(run)) as logs:
        for number in (1, 2, 3):
            assert json.loads(logs.stdout.readline())["text"] == f"line {number}"
            (gates / str(number)).touch()
        (last,) = map(json.loads, logs.stdout.read().splitlines())
    assert (last["text"], last["complete"]) == ("no newline", False)


def newest_bot(run: subprocess.Popen[bytes]) -> str:
    """Return the bot's id, once it runs."""
    assert run.stdout is not None
    assert run.stdout.readline() == b"line 1\n"
    return "sma"


def test_it_is_all_there_when_the_bot_has_ended(botdock: Callable[..., Any], bot: Callable[[str], str]) -> None:
    ran = botdock("run", bot("echo out; echo err >&2; printf 'the \\xff end'\n"), *BASH)
    for shown in (botdock("logs", "sma"), botdock("logs", "sma", "-f"), botdock("logs", "sma", "--raw")):
        assert (shown.code, shown.stdout, shown.stderr) == (0, ran.stdout, b"err\n")


def test_ctrl_c_ends_the_showing_and_leaves_the_bot_alone(
    stepping: Callable[[], Any], started: Callable[..., Any], gates: Path
) -> None:
    with stepping() as run:
        with started("logs", "-f", newest_bot(run)) as logs:
            assert logs.stdout.readline() == b"line 1\n"
            logs.send_signal(signal.SIGINT)
        assert (logs.returncode, logs.stderr.read()) == (130, b"")
        assert run.poll() is None
        for number in (1, 2, 3):
            (gates / str(number)).touch()
    assert run.returncode == 0


def test_a_reader_that_goes_away_is_noticed_while_nothing_comes(
    stepping: Callable[[], Any], started: Callable[..., Any], gates: Path
) -> None:
    with stepping() as run:
        with started("logs", "-f", newest_bot(run)) as logs:
            assert logs.stdout.readline() == b"line 1\n"
            logs.stdout.close()
            assert logs.wait(PATIENCE) == 141
            assert logs.stderr.read() == b""
        for number in (1, 2, 3):
            (gates / str(number)).touch()


def test_head_is_quiet(botdock: Callable[..., Any], bot: Callable[[str], str], newcomer: dict[str, str]) -> None:
    assert botdock("run", bot("for n in $(seq 200000); do echo line $n; done\n"), *BASH).code == 0
    command = f"set -o pipefail; {sys.executable} -m botdock_cli logs sma | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, env=newcomer, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (141, b"line 1\n", b"")


def test_a_bot_that_outlives_its_runner_is_recovered_with_its_whole_log_though_docker_is_absent(
    stepping: Callable[[], Any],
    started: Callable[..., Any],
    botdock: Callable[..., Any],
    gates: Path,
    newcomer: dict[str, str],
) -> None:
    newcomer["DOCKER_HOST"] = "unix:///run/no-docker.sock"
    newcomer["BOTDOCK_OPTIONS__OCI__RUNTIME"] = "/nosuch/crun"
    with stepping() as run:
        assert newest_bot(run)
        run.kill()
    with started("logs", "-f", "sma") as logs:
        assert logs.stdout.readline() == b"line 1\n"
    assert logs.returncode == 125
    assert b"`botdock recover` takes over" in logs.stderr.read()
    foreseen = botdock("recover", "--dry-run")
    assert (foreseen.code, foreseen.out.count("adopt it, for it still runs")) == (0, 1)
    with started("recover") as recover:
        assert b"adopted; it still runs" in recover.stdout.readline()
        for number in (1, 2, 3):
            (gates / str(number)).touch()
        assert b"succeeded after" in recover.stdout.read()
        assert b"containers of no execution were not looked for: no engine to run on" in recover.stderr.read()
    assert recover.returncode == 0
    shown = botdock("logs", "sma")
    assert (shown.code, shown.out, shown.err) == (0, "line 1\nline 2\nline 3\nno newline", "")
    assert botdock("logs", "sma", "--verify").code == 0
    assert "nothing to recover" in botdock("recover", *ENGINE).err
    assert botdock("recover").code == 0, "none is named, and none has anything to recover"


@pytest.fixture
def ran(botdock: Callable[..., Any], bot: Callable[[str], str], own_home: Path) -> Path:
    """The log of a bot that was run, its log persisted."""
    done = botdock("run", bot("echo hello; echo oops >&2\n"), *BASH, "--persist")
    assert done.code == 0, done.err
    return own_home / "executions" / newest(own_home) / "logs"


def damage(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def test_verify_says_what_it_checked(botdock: Callable[..., Any], ran: Path) -> None:
    done = botdock("logs", "sma", "--verify")
    assert done.code == 0, done.out
    assert "1 segment, 11 bytes, 2 lines" in done.out
    assert "it has ended, and is complete" in done.out
    assert "storage local-fs: " in done.out
    document = json.loads(botdock("logs", "sma", "--verify", "--json").stdout)
    assert document["ok"]
    assert document["storage"]["objects"] >= 3
    assert document["streams"]["stdout"]["bytes"] == 6


def test_verify_names_the_byte_that_was_damaged_here(botdock: Callable[..., Any], ran: Path) -> None:
    damage(ran / "stdout.0", 3)
    done = botdock("logs", "sma", "--verify")
    assert done.code == 1
    assert "stdout.0" in done.out
    document = json.loads(botdock("logs", "sma", "--verify", "--json").stdout)
    (finding, *_) = document["findings"]
    assert (document["ok"], finding["file"]) == (False, "stdout.0")
    assert finding["offset"] <= 3 < finding["offset"] + finding["length"]


def test_verify_names_what_was_damaged_in_the_storage(botdock: Callable[..., Any], ran: Path, own_home: Path) -> None:
    (copy,) = (own_home / "storage" / "logs").glob("logs/sma/*/stdout.0")
    copy.chmod(0o600)
    damage(copy, 3)
    done = botdock("logs", "sma", "--verify")
    assert done.code == 1
    assert "different: storage local-fs: " in done.out
    (finding,) = json.loads(botdock("logs", "sma", "--verify", "--json").stdout)["storage"]["findings"]
    assert finding["file"] == "stdout.0"
