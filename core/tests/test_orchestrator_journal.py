"""The record on disk, and the clock of the phases."""

import errno
import json
import os
from pathlib import Path

import pytest

from botdock._boot_clock import seconds_since
from botdock.errors import BotdockError, CodeError
from botdock.executions._stops import StopRequest, read_stop, write_stop
from botdock.model import Executable, ExecutionResult, Outcome, Phase
from botdock.orchestrator.journal import Journal
from botdock.orchestrator.run import Run


def test_the_outcome_is_written_last_and_no_other_user_may_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "01")
    journal.open({"id": "bot"}, "runner")
    assert json.loads((journal.directory / "request.json").read_text()) == {"id": "bot"}
    assert journal.directory.stat().st_mode & 0o777 == 0o700
    journal.event("created", container_id="c")
    journal.finish(ExecutionResult(execution_id="01", id="bot", outcome=Outcome.SUCCEEDED, result_file_contents=b"[1]"))
    events = [json.loads(line) for line in (journal.directory / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["created", "finished"]
    assert all(event["monotonic_ns"] and event["time_ns"] for event in events)
    assert seconds_since(events[-1]) is not None, "so that a later process knows how long ago it ended"
    assert json.loads((journal.directory / "outcome.json").read_text())["outcome"] == "succeeded"
    assert json.loads((journal.directory / "result.json").read_text()) == {"value": [1]}
    (nothing := Journal(tmp_path, "02")).open({"id": "bot"}, "runner")
    nothing.finish(ExecutionResult(execution_id="02", id="bot", outcome=Outcome.SUCCEEDED))
    assert json.loads((nothing.directory / "result.json").read_text()) == {}, "nothing, which is not null"
    assert not list(journal.directory.glob("*.tmp"))


def test_events_before_and_after_are_ignored(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "01")
    journal.event("early")
    journal.open({}, "runner")
    journal.finish(ExecutionResult(execution_id="01", id="bot", outcome=Outcome.SUCCEEDED))
    journal.event("late")
    events = [json.loads(line)["event"] for line in (journal.directory / "events.jsonl").read_text().splitlines()]
    assert events == ["finished"]


def test_steps_are_added_in_order_while_their_list_is_at_hand_and_no_file_stays_open(tmp_path: Path) -> None:
    (journal := Journal(tmp_path, "01")).open({}, "runner")
    journal.event("before")
    with journal.at_hand():
        journal.event("within")
    opened = {os.path.realpath(descriptor) for descriptor in Path("/proc/self/fd").iterdir()}
    assert str(journal.directory / "events.jsonl") not in opened
    journal.event("after")
    events = [json.loads(line)["event"] for line in (journal.directory / "events.jsonl").read_text().splitlines()]
    assert events == ["before", "within", "after"]


def test_discarding_leaves_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "01")
    journal.open({}, "runner")
    journal.discard()
    assert list((tmp_path / "executions").iterdir()) == []


def test_a_state_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "executions").write_text("in the way")
    with pytest.raises(BotdockError, match="cannot write the state folder") as caught:
        Journal(tmp_path, "01").open({}, "runner")
    assert "BOTDOCK_HOME" in str(caught.value)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    journal = Journal(tmp_path, "01")
    journal.open({}, "runner")
    return Run(executable=Executable(id="bot"), engine="fake", storage="none", journal=journal)


def test_a_phase_is_timed_and_counts_on_when_entered_again(run: Run) -> None:
    for phase in (Phase.VALIDATE, Phase.FETCH, Phase.VALIDATE):
        with run.phase(phase):
            pass
    events = [json.loads(line) for line in (run.journal.directory / "events.jsonl").read_text().splitlines()]
    assert [event["phase"] for event in events] == ["validate", "fetch", "validate"]
    assert list(run.phases) == ["validate", "fetch"]


def test_an_error_names_the_phase_that_it_broke(run: Run) -> None:
    with pytest.raises(CodeError) as caught, run.phase(Phase.FETCH):
        raise CodeError("no", source="x")
    assert caught.value.phase == "fetch"
    assert "fetch" in run.phases


@pytest.mark.parametrize(("number", "hint"), [(errno.ENOSPC, "Free some space"), (errno.EIO, None)])
def test_an_error_of_the_machine_becomes_one_of_ours(run: Run, number: int, hint: str | None) -> None:
    with pytest.raises(BotdockError) as caught, run.phase(Phase.EXTRACT):
        raise OSError(number, "strange", "/some/file")
    assert caught.value.message == "extract: strange (/some/file)"
    assert (caught.value.hint or "").startswith(hint or "")
    assert caught.value.phase == "extract"


def test_a_stop_that_is_just_being_asked_for_outlives_the_taking_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, "01")
    journal.open({"id": "bot"}, "runner")
    whole = Path.replace

    def late(draft: Path, target: Path) -> Path:
        monkeypatch.undo()
        journal.reopen("another")
        return whole(draft, target)

    monkeypatch.setattr(Path, "replace", late)
    write_stop(journal.directory, 1.0)
    assert read_stop(journal.directory) == StopRequest(grace=1.0)


def test_drafts_that_a_locked_folder_had_kept_go_with_the_end(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "01")
    journal.open({"id": "bot"}, "runner")
    for name in ("concluded.tmp", "run.tmp", ".stop.json.1.2.tmp"):
        (journal.directory / name).touch()
    journal.finish(ExecutionResult(execution_id="01", id="bot", outcome=Outcome.SUCCEEDED))
    assert {path.name for path in journal.directory.glob("*.tmp")} == {".stop.json.1.2.tmp"}, "a stop's may be new"
