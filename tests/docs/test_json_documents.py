"""Each JSON document is as the reference describes it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.logging import disable
from botdock.model import Check, CheckStatus, GapReason, LogGap, Notification, NotificationKind, Stream
from botdock.orchestrator import Leftover
from botdock.pool import PoolReport, PoolStatus
from botdock.supervisor import Supervisor
from botdock_cli.commands import doctor
from botdock_cli.log_output import JsonPrinter
from botdock_cli.main import main

ROOT = Path(__file__).parents[2]
documents = import_module("documents")
fastjsonschema = import_module("fastjsonschema")
"""Without types; it needs none here."""

Command = Callable[..., Any]
HELLO = str(ROOT / "examples/hello-python")


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Run one command line in a state folder of its own, and return the documents that it printed."""
    monkeypatch.setenv("BOTDOCK_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("BOTDOCK_ENGINE", "process")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)

    def run(*words: str, code: int = 0) -> Any:
        capfd.readouterr()
        assert main([*words, "--json"]) == code, capfd.readouterr().err
        return json.loads(capfd.readouterr().out)

    yield run
    disable()


def valid(definition: str, document: Any) -> None:
    """Hold a document to its schema."""
    fastjsonschema.validate(documents.schema_of(definition), document)


def test_what_verbs_print_of_an_execution(printed: Command) -> None:
    valid("Result", printed("run", HELLO, "--id", "greeter"))
    (one,) = printed("ps", "-a")
    valid("Execution", one)
    valid("Execution", printed("wait", "greeter")[0])
    valid("Inspection", printed("inspect", "greeter"))
    valid("Value", printed("result", "greeter"))
    valid("Line", printed("logs", "greeter"))
    valid("LogCheck", printed("logs", "--verify", "greeter"))
    valid("Report", printed("report", "greeter"))
    valid("Removed", printed("gc", "--dry-run", "--older-than", "0.001s")[0])
    valid("Metrics", printed("metrics"))
    valid("Execution", printed("rm", "greeter")[0])
    valid("Error", printed("logs", "greeter", code=2))


def test_what_verbs_print_that_need_no_execution(printed: Command) -> None:
    valid("Explanation", printed("explain", HELLO))
    for plugin in printed("plugins"):
        valid("Plugin", plugin)
    valid("Created", printed("new", "bot", "mine"))
    Path("botdock.toml").write_text('engine = "process"\n')
    valid("Trust", printed("config", "trust"))
    valid("ConfigFiles", printed("config", "--path"))
    valid("Archive", printed("pack", HELLO, "-o", "hello.zip"))
    valid("Archive", printed("pack", HELLO, "--put", "hello.zip"))
    valid("Object", printed("storage", "stat", "hello.zip"))
    valid("Object", printed("storage", "ls")[0])
    valid("Fetched", printed("storage", "get", "hello.zip", "-o", "copy.zip"))
    valid("Object", printed("storage", "put", "copy.zip", "copy.zip"))
    valid("Deleted", printed("storage", "rm", "copy.zip"))


def test_what_doctor_prints(printed: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", lambda _: [Check(name="disk", status=CheckStatus.OK, detail="60 GiB free")])
    valid("Doctor", printed("doctor"))


class Left(Supervisor):
    """A supervisor that hands over at once."""

    def run(self, *, replace: bool = False, patience: float = 0.0) -> None:
        del replace, patience


def test_what_a_supervisor_prints_that_hands_over(printed: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botdock.supervisor.Supervisor", Left)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    valid("Handover", printed("supervise"))


def test_what_is_rarely_there() -> None:
    now = datetime.now(UTC)
    told = Notification(kind=NotificationKind.DISK_LOW, message="1 GiB free", at=now, home="/srv", free_bytes=1)
    valid("Notification", json.loads(json.dumps(told.to_json())))
    (shown,) = re.findall(
        r"^```json\n(.*?)```", (ROOT / "docs/how-to/keep-bots-running.md").read_text(), re.MULTILINE | re.DOTALL
    )
    valid("Notification", json.loads(shown))
    pool = PoolReport(runner="one", kinds=(PoolStatus(name="python311 bot", refill_seconds=(0.1,)),))
    valid("PoolReport", {"schema": 1, **json.loads(json.dumps(pool.document()))})
    stray = Leftover(kind="container", name="box", execution_id="", reason="none owns it", action="remove")
    valid("Leftover", {"schema": 1, **attrs.asdict(stray)})


class Kept:
    """An outlet that keeps what comes."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, _stream: Stream, data: bytes) -> None:
        self.data += data


def test_a_gap_of_a_log() -> None:
    outlet: Any = Kept()
    JsonPrinter(outlet).gap(LogGap(stream=Stream.STDOUT, reason=GapReason.LOST, size=None, since_ns=1))
    valid("Gap", json.loads(outlet.data))


def test_each_document_of_the_reference_was_tried() -> None:
    tried = set(re.findall(r'valid\("(\w+)"', Path(__file__).read_text()))
    held = re.findall(r"#/definitions/(\w+)", json.dumps([documents.DEFINITIONS[name] for name in tried]))
    assert set(documents.DEFINITIONS) == tried | set(held)
