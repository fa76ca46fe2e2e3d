"""A canary in a secret that a supervisor is given, and a look everywhere that it must not be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from testbed.waiting import until

KEY = "canary-of-the-supervised"
BOT = """
echo "$API_KEY"
[ "$(< "$BOTDOCK_SECRETS_DIR/API_KEY")" = "$API_KEY" ] && echo waiting
until [ -e "$GO" ]; do sleep 0.02; done
printf '{"status": "error", "message": "https://%s@h"}' "$API_KEY" >"$BOTDOCK_RESULT_FILE"
exit 1
"""
Botdock = Callable[..., str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def botdock(home: Path, tmp_path: Path, clean_environment: dict[str, str]) -> Botdock:
    """Return a function that runs the command with the secret in its environment, and returns all that it writes."""
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot/main.sh").write_text(BOT)

    def call(*arguments: str) -> str:
        environment = {**clean_environment, "BOTDOCK_HOME": str(home), "API_KEY": KEY, "GO": str(tmp_path / "go")}
        done = subprocess.run(
            [Path(sys.executable).with_name("botdock"), *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    return call


@pytest.fixture
def started(botdock: Botdock, home: Path, tmp_path: Path) -> Iterator[str]:
    """An execution that waits, of a supervisor that was started for it; both have ended afterwards."""
    told = botdock("start", "bot", "--engine", "process", "--secret", "API_KEY", "--env", "GO", "--json")
    yield str(json.loads(told)["execution_id"])
    (tmp_path / "go").touch()
    until(lambda: not supervisors(home), timeout=60)


def supervisors(home: Path) -> list[Path]:
    """Return the processes of the supervisor of that folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes().split(b"\0")
            if b"botdock.supervisor" in command and str(home).encode() in command:
                found.append(process)
    return found


def holding(home: Path) -> set[Path]:
    """Return the files of the state folder that hold the secret."""
    found = set()
    for root, _, names in os.walk(home):
        for path in (Path(root, name) for name in names):
            with suppress(OSError):  # it is gone
                if path.is_file() and KEY.encode() in path.read_bytes():
                    found.add(path)
    return found


def test_while_it_is_queued_only_the_one_request_holds_it(
    home: Path, botdock: Botdock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botdock import Executable
    from botdock.supervisor import submit

    monkeypatch.setenv("BOTDOCK_HOME", str(home))
    bot = Executable(id="bot", file_path=str(tmp_path / "bot"), secrets={"API_KEY": KEY})
    record = submit(bot, overrides={"engine": "process"}, spawn=False)
    request = home / "requests" / f"{record.execution_id}.json"
    assert holding(home) == {request}
    assert request.stat().st_mode & 0o777 == 0o600
    for arguments in (["ps"], ["ps", "--json"], ["inspect", record.execution_id], ["--debug", "ps", "-a"]):
        assert KEY not in botdock(*arguments)
    botdock("stop", record.execution_id)
    botdock("rm", "-f", record.execution_id)
    assert not holding(home)


def test_while_it_runs_and_afterwards_nothing_tells_it(
    home: Path, botdock: Botdock, started: str, tmp_path: Path
) -> None:
    until(lambda: "waiting" in botdock("logs", started), timeout=60)
    context, engines_own = home / "executions" / started / "workspace/context", home / "process"
    bots_own = {context / name for name in ("context.json", "environment", "secrets/API_KEY")}
    until(lambda: {path for path in holding(home) if engines_own not in path.parents} == bots_own, timeout=60)
    for process in supervisors(home):
        assert KEY.encode() not in (process / "environ").read_bytes(), "it outlives the shell that it was started from"
        assert KEY.encode() not in (process / "cmdline").read_bytes()
    seen = looked_at(botdock, started)
    (tmp_path / "go").touch()
    seen += [botdock("wait", started), botdock("result", started), *looked_at(botdock, started)]
    assert [text for text in seen if KEY in text] == []
    assert any("*" * len(KEY) in text for text in seen)
    until(lambda: not holding(home), timeout=60)


def looked_at(botdock: Botdock, execution: str) -> list[str]:
    """Return what the command tells of an execution, in all ways."""
    commands: list[list[Any]] = [
        *(["ps", "-a", *json_too] for json_too in ([], ["--json"])),
        ["inspect", execution],
        ["logs", execution],
        ["logs", execution, "--json"],
        ["--debug", "logs", execution, "--verify"],
        ["metrics"],
        ["--debug", "explain", "bot", "--engine", "process", "--secret", "API_KEY"],
        ["explain", "bot", "--engine", "process", "--secret", "API_KEY", "--json"],
        ["--debug", "recover", "--engine", "process", "--dry-run"],
    ]
    return [botdock(*command) for command in commands]
