"""What a report shows of an execution comes from the state folder alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import UserError
from botdock.executions import Executions
from botdock.model import LogChunk, Stream
from botdock.services.log_store import LogWriter
from botdock_reports import run_of

ENDED = {
    "id": "sma",
    "outcome": "failed",
    "exit_code": 3,
    "error": "exit code 3",
    "runtime": "bash",
    "engine": "process",
    "image": "debian:12",
    "started_at": "2026-01-01T00:00:00+00:00",
    "finished_at": "2026-01-01T00:00:02+00:00",
    "duration_seconds": 2.0,
}
CONFIG = {"fast": 10, "api_key": "hidden", "nested": {"secret": 1}}
NAME = "01jzzzzzzzzzzzzzzzzzzzzzzz"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "executions" / NAME
    made.mkdir(parents=True)
    request = {"id": "sma", "execution_id": NAME, "config": CONFIG, "entrypoint": "backtest", "file_path": "sma.zip"}
    (made / "request.json").write_text(json.dumps(request))
    return made


@pytest.fixture
def conclude(folder: Path) -> Callable[..., None]:
    def write(value: Any) -> None:
        (folder / "result.json").write_text(json.dumps({"value": value}))
        (folder / "outcome.json").write_text(json.dumps(ENDED))

    return write


def test_facts_value_and_the_end_of_the_log(tmp_path: Path, folder: Path, conclude: Callable[..., None]) -> None:
    conclude({"metrics": {"a": 1}})
    writer = LogWriter(folder / "logs", segment_bytes=1 << 20)
    for number in range(300):
        writer.append(LogChunk(Stream.STDOUT, f"\x1b[31mline {number}\x1b[0m\n".encode(), number + 1))
    writer.finish(complete=True)
    writer.close()
    run = run_of(Executions(tmp_path), "sma")
    assert (run.name, run.execution_id, run.value) == ("sma", NAME, {"metrics": {"a": 1}})
    assert run.facts == {
        "Outcome": "failed",
        "Error": "exit code 3",
        "Exit code": "3",
        "Entrypoint": "backtest",
        "Runtime": "bash",
        "Engine": "process",
        "Image": "debian:12",
        "Code": "sma.zip",
        "Started": "2026-01-01 00:00:00 UTC",
        "Duration": "2.0 s",
        "Execution": NAME,
        "config fast": "10",
        "config api_key": "***",
    }
    assert run.log == [f"line {number}" for number in range(100, 300)]


@pytest.mark.usefixtures("folder")
def test_one_that_has_not_ended_has_no_value_and_maybe_no_log(tmp_path: Path) -> None:
    run = run_of(Executions(tmp_path), NAME)
    assert (run.value, run.log) == (None, [])
    assert run.facts["Outcome"]


def test_one_that_there_is_not_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no execution 'nothing'"):
        run_of(Executions(tmp_path), "nothing")
