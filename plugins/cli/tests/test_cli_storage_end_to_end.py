"""Code that goes into the storage and runs from there, as a user types it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 30.0
"""Seconds after which something has gone wrong."""
BASH = ("--engine", "process", "--runtime", "bash", "--script", "bot.sh")
MIB = 1024 * 1024


@pytest.fixture
def bot() -> str:
    folder = Path("source")
    folder.mkdir()
    (folder / "bot.sh").write_text('echo "$BOT_ID from the storage"\n')
    return str(folder)


@pytest.mark.parametrize("options", [(), ("--storage", "local-fs")])
def test_what_pack_puts_runs_by_its_key(botdock: Callable[..., Any], bot: str, options: tuple[str, ...]) -> None:
    packed = botdock("pack", bot, "--put", "bots/hello.zip", *options)
    assert packed.code == 0, packed.err
    done = botdock("run", "bots/hello.zip", *BASH, *options)
    assert (done.code, done.out) == (0, "hello from the storage\n"), done.err


def test_what_put_stores_runs_by_its_key_and_comes_back(botdock: Callable[..., Any], bot: str) -> None:
    assert botdock("pack", bot, "-o", "bot.tar.xz").code == 0
    archive = Path("bot.tar.xz").read_bytes()
    put = botdock("storage", "put", "-", "bots/hello.tar.xz", "--json", stdin=archive)
    assert json.loads(put.out)["size"] == len(archive)
    assert botdock("run", "bots/hello.tar.xz", *BASH).out == "hello from the storage\n"
    assert botdock("storage", "get", "bots/hello.tar.xz", "-o", "-").stdout == archive
    assert botdock("storage", "rm", "bots/hello.tar.xz").out == "1 object deleted\n"
    told = botdock("run", "bots/hello.tar.xz", *BASH)
    assert (told.code, told.stdout) == (2, b"")


def test_a_key_that_is_nearly_right_is_told_by_run_too(botdock: Callable[..., Any], bot: str) -> None:
    botdock("pack", bot, "--put", "bots/hello.zip")
    told = botdock("run", "bots/helo.zip", *BASH)
    assert (told.code, told.stdout) == (2, b"")
    assert "Did you mean bots/hello.zip?" in told.err


def test_what_a_backtest_returns_is_found_in_the_results(botdock: Callable[..., Any]) -> None:
    Path("sma").mkdir()
    Path("sma/backtest.py").write_text(
        "def main(id, config):\n    print('at work')\n    return {'return': 1.5, 'id': id}\n"
    )
    botdock("pack", "sma", "--put", "code/sma.zip")
    done = json.loads(botdock("run", "code/sma.zip", "--entrypoint", "backtest", "--engine", "process", "--json").out)
    assert done["value"] == {"return": 1.5, "id": "sma"}
    analysis = botdock("storage", "get", "sma/analysis.json", "--area", "results", "-o", "-")
    assert json.loads(analysis.out) == done["value"]
    listed = json.loads(botdock("storage", "ls", "--area", "results", "--json").out)
    assert f"executions/{done['execution_id']}/result.json" in [item["key"] for item in listed]
    (log,) = [
        line.split()[-1] for line in botdock("storage", "ls", "--area", "logs").out.splitlines() if "stdout" in line
    ]
    assert botdock("storage", "get", log, "--area", "logs", "-o", "-").out == "at work\n"


def test_ctrl_c_during_put_leaves_no_object_and_no_draft(newcomer: dict[str, str], own_home: Path) -> None:
    command = [sys.executable, "-m", "botdock_cli", "storage", "put", "-", "big"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=newcomer, **pipes) as process:
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        process.stdin.write(bytes(3 * MIB))  # type: ignore[union-attr] # a pipe was asked for
        process.stdin.flush()  # type: ignore[union-attr] # the same
        drafts = own_home / "storage" / ".drafts"
        until = time.monotonic() + PATIENCE
        while not any(path.stat().st_size >= MIB for path in drafts.glob("*")) and time.monotonic() < until:
            threading.Event().wait(0.01)  # between two looks; nothing depends on how long it is
        process.send_signal(signal.SIGINT)
        process.wait()
        watchdog.cancel()
        told = process.stderr.read()  # type: ignore[union-attr] # the same
    assert (process.returncode, told) == (130, b"botdock: interrupted; no partial file or object is left\n")
    assert not [path for path in (own_home / "storage").rglob("*") if path.is_file()]


def test_head_ends_a_get_quietly(botdock: Callable[..., Any], newcomer: dict[str, str]) -> None:
    botdock("storage", "put", "-", "big", stdin=bytes(5 * MIB))
    command = [sys.executable, "-m", "botdock_cli", "storage", "get", "big", "-o", "-"]
    with subprocess.Popen(command, env=newcomer, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1) == b"\0"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def on_a_terminal(environment: dict[str, str], *args: str) -> tuple[int, bytes, str]:
    """Run a command line whose stderr is a terminal; return its code, stdout, and what the terminal got."""
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    done = subprocess.run(
        [sys.executable, "-m", "botdock_cli", *args],
        env=environment | {"TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=terminal,
        timeout=PATIENCE,
        check=False,
    )
    os.set_blocking(master, False)
    shown = os.read(master, 1 * MIB)
    os.close(terminal)
    os.close(master)
    return done.returncode, done.stdout, shown.decode()


def test_a_terminal_shows_how_far_a_transfer_is(newcomer: dict[str, str]) -> None:
    Path("big").write_bytes(bytes(2 * MIB))
    code, out, shown = on_a_terminal(newcomer, "storage", "put", "big", "bots/big", "--json")
    assert (code, json.loads(out)["size"]) == (0, 2 * MIB)
    assert "storing bots/big" in shown
    code, out, shown = on_a_terminal(newcomer, "storage", "get", "bots/big", "-o", "-")
    assert (code, out) == (0, bytes(2 * MIB))
    assert "fetching bots/big" in shown


@pytest.mark.parametrize("args", [["storage", "put", "big", "big"], ["storage", "ls"], ["pack", ".", "--put", "big"]])
def test_without_a_terminal_rich_and_docker_are_not_imported(args: list[str], newcomer: dict[str, str]) -> None:
    Path("big").write_bytes(os.urandom(2 * MIB))
    program = (
        f"import sys; from botdock_cli.main import main; code = main({args!r}); print(*sys.modules); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=newcomer, check=True)
    loaded = set(done.stdout.split())
    assert "botdock_cli.store" in loaded
    assert not loaded & {"rich", "docker", "minio", "botdock_engine_docker.engine"}
