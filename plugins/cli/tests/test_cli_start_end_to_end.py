"""`botdock start` where no supervisor lives: one comes, runs what is asked for, and goes."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from botdock._locks import locked_at_once
from testbed.waiting import until

PATIENCE = 120.0
SECRET = "s3cr3t-s3cr3t"
BOT = """
trap 'echo bye; exit 3' TERM
echo "ready with $TOKEN"
while :; do sleep 0.05; done
"""


@pytest.fixture
def on_demand(own_home: Path) -> Iterator[Path]:
    """Give the state folder of a supervisor on demand, which is ended at the latest with the test."""
    yield own_home
    with suppress(FileNotFoundError):
        for pid in re.findall(r"'pid': (\d+)", (own_home / "supervisor.log").read_text()):
            with suppress(ProcessLookupError):
                if str(own_home).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(int(pid), signal.SIGTERM)


def test_a_supervisor_comes_for_a_bot_and_goes_when_it_is_over(botdock: Callable[..., Any], on_demand: Path) -> None:
    Path("sma").mkdir()
    Path("sma/bot.sh").write_text(BOT)
    started = botdock("start", "sma", "--engine", "process", "--long-running", "--restart", "always",
                      "--script", "bot.sh", "--secret", f"TOKEN={SECRET}")  # fmt: skip
    assert (started.code, started.err) == (0, "")
    execution_id = started.out.strip()
    until(lambda: botdock("logs", "sma").out == f"ready with {'*' * len(SECRET)}\n", timeout=PATIENCE)
    assert botdock("ps", "-q").out == started.out
    assert botdock("wait", "sma", "--timeout", "0").code == 124
    assert (on_demand / f"requests/{execution_id}.json").stat().st_mode & 0o777 == 0o600
    removed = botdock("rm", "-f", "sma")
    assert (removed.code, removed.out) == (0, started.out)
    assert botdock("ps", "-aq").out == "", "what is stopped is not started again"
    until(lambda: is_free(on_demand), timeout=PATIENCE)
    assert [path.name for path in (on_demand / "requests").iterdir()] == [".lock"]
    told = (on_demand / "supervisor.log").read_text()
    assert f"'execution_id': '{execution_id}'" in told
    assert SECRET not in told


def test_a_wrong_manifest_is_refused_at_once(botdock: Callable[..., Any], own_home: Path) -> None:
    Path("sma").mkdir()
    Path("sma/bot.sh").write_text(BOT)
    Path("sma/bot.toml").write_text('restart = "sometimes"\n')
    refused = botdock("start", "sma", "--engine", "process")
    assert (refused.code, refused.out) == (2, "")
    assert "bot.toml: restart: 'sometimes' is not a restart policy" in refused.err
    assert not (own_home / "supervisor.log").exists()
    assert botdock("ps", "-aq").out == ""


def is_free(home: Path) -> bool:
    with locked_at_once(home / "supervisor.lock") as free:
        return free
