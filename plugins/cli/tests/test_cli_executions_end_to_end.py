"""A bot that one terminal runs, seen and ended from a second one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from testbed.waiting import until

BOT = """
trap 'echo bye; exit 3' TERM
echo ready
while :; do sleep 0.05; done
"""


def test_a_second_terminal_sees_stops_and_removes_what_the_first_one_runs(
    botdock: Callable[..., Any], newcomer: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "sma"
    folder.mkdir()
    (folder / "bot.sh").write_text(BOT)
    command = [sys.executable, "-m", "botdock_cli", "run", str(folder), "--engine", "process", "--script", "bot.sh"]
    with subprocess.Popen(command, env=newcomer, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        try:
            assert run.stdout is not None
            assert run.stdout.readline() == b"ready\n"
            until(lambda: "running" in botdock("ps").out)
            execution_id = botdock("ps", "-q").out.strip()
            assert "has not ended: it is running" in botdock("rm", "sma").err
            assert botdock("wait", "sma", "--timeout", "0").code == 124
            stopped = botdock("stop", "sma", "--grace", "20")
            assert (stopped.code, stopped.out, stopped.err) == (0, f"{execution_id}\n", "")
            assert run.wait(20) == 143
        finally:
            run.kill()
    assert botdock("wait", execution_id).out == f"{execution_id}  stopped  3\n"
    (record,) = json.loads(botdock("ps", "-a", "--json").stdout)
    assert (record["id"], record["outcome"], record["runtime"]) == ("sma", "stopped", "bash")
    assert record["started_at"] < record["finished_at"]
    assert json.loads(botdock("inspect", "sma").stdout)["end"]["exit_code"] == 3
    assert botdock("logs", "sma").out == "ready\nbye\n"
    assert botdock("rm", "sma").code == 0
    assert botdock("ps", "-aq").out == ""
