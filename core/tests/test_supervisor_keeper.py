"""What a supervisor decides and tells about the ends of its bots; nothing runs here."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from botdock.config import Config, NotifyConfig, SupervisorConfig
from botdock.executions import Executions
from botdock.executions import _queue as queue
from botdock.executions._files import request_ids
from botdock.executions._requests import Request, Restart, read_request
from botdock.model import Executable, Notification, NotificationKind, new_execution_id
from botdock.supervisor import _succession
from botdock.supervisor._keeper import Keeper

SECRET = "s3cr3t-s3cr3t"


class Stage:
    """A keeper with a clock that a test moves, and what it has told."""

    def __init__(self, home: Path, **notify: Any) -> None:
        self.home = home
        self.now = 0.0
        self.told: list[Notification] = []
        config = Config(
            home=str(home),
            supervisor=SupervisorConfig(backoff=1.0, stable=600.0),
            notify=NotifyConfig(interval=0.0, **{"free_bytes": 0, **notify}),
        )
        self.keeper = Keeper(config, home=home, hook=self._hear, clock=lambda: self.now)

    def _hear(self, _hook: str, *, notification: Notification) -> None:
        self.told.append(notification)

    def ask(self, restart: Restart | None = None, *, policy: Any = None, code: bytes = b"") -> Request:
        executable = Executable(id="sma", file_path="/bots/sma", code=code, secrets={"KEY": SECRET}, restart=policy)
        request = Request(execution_id=new_execution_id(), executable=executable, restart=restart or Restart())
        queue.submit(self.home, request, most=9)
        return request

    def directory(self, request: Request) -> Path:
        return self.home / "executions" / request.execution_id

    def kinds(self) -> list[str]:
        self.keeper.close()
        return [one.kind.value for one in self.told]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def end(outcome: str = "failed", *, lasted: float = 1.0, **facts: Any) -> dict[str, Any]:
    evidence = {"bounds": {"restart": {"value": "always", "source": "caller"}}}
    document = {"outcome": outcome, "error": "exit code 3", "exit_code": 3, "duration_seconds": lasted}
    return {**document, "evidence": evidence, **facts}


LOOP = Restart(previous="x", restarts=5, in_a_row=5, failures=5, last_error="failed: exit code 3")


def test_the_policy_in_force_is_the_one_of_the_evidence(stage: Stage) -> None:
    request = stage.ask(policy="no")
    after = stage.keeper.follow(request, end())
    assert after is not None
    assert (after.policy, after.previous, after.restarts) == ("always", request.execution_id, 1)


def test_where_the_engine_was_away_what_its_caller_or_the_one_before_it_had_is_in_force(stage: Stage) -> None:
    broken = {**end("infrastructure_error"), "evidence": {}}
    asked, held, none = stage.ask(policy="always"), stage.ask(Restart(policy="always")), stage.ask()
    assert stage.keeper.follow(asked, broken) is not None
    assert stage.keeper.follow(held, broken) is not None
    assert stage.keeper.follow(none, broken) is None
    assert stage.keeper.follow(stage.ask(Restart(policy="damaged")), broken) is None


def test_what_is_refused_at_its_first_start_is_not_tried_again_and_later_it_is(stage: Stage) -> None:
    refused = end("infrastructure_error", evidence={"refused": True})
    assert stage.keeper.follow(stage.ask(policy="always"), refused) is None
    assert stage.keeper.follow(stage.ask(Restart(previous="x"), policy="always"), refused) is not None


@pytest.mark.parametrize("damaged", [{}, {"outcome": "fine"}, {**end(), "evidence": 5, "duration_seconds": "x"}])
def test_a_damaged_end_breaks_nothing(stage: Stage, damaged: dict[str, Any]) -> None:
    assert stage.keeper.follow(stage.ask(), damaged) is None


def test_an_end_is_told_with_what_follows(stage: Stage) -> None:
    stage.keeper.follow(stage.ask(), end())
    stage.keeper.follow(stage.ask(), end(evidence={}))
    stage.keeper.follow(stage.ask(), end("succeeded", error="", evidence={}))
    assert stage.kinds() == ["outcome", "outcome"]
    assert stage.told[0].message == "sma ended as failed: exit code 3; it is restarted (restart 1)"
    assert stage.told[1].message == "sma ended as failed: exit code 3"
    assert (stage.told[0].id, stage.told[0].exit_code, stage.told[0].outcome) == ("sma", 3, "failed")


def test_an_end_that_is_decided_on_again_is_told_once(stage: Stage) -> None:
    request = stage.ask()
    for _ in range(3):  # the disk takes no successor meanwhile
        assert stage.keeper.follow(request, end()) is not None
    assert stage.kinds() == ["outcome"]


def test_an_end_over_which_a_supervisor_dies_is_told_again_by_the_next_and_followed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Stage(tmp_path), Stage(tmp_path)
    name = first.ask(code=b"zip").execution_id
    with monkeypatch.context() as dying:
        dying.setattr(_succession, "forget_request", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            _succession.settle(tmp_path, name, end(), first.keeper.follow)
    _succession.settle(tmp_path, name, end(), second.keeper.follow)
    assert first.kinds() == second.kinds() == ["outcome"]
    assert [one.execution_id for one in (*first.told, *second.told)] == [name, name]
    (follower,) = request_ids(tmp_path)
    assert follower != name


def test_a_crash_loop_is_told_once_and_its_end_too(stage: Stage) -> None:
    restart = Restart()
    for _ in range(6):
        after = stage.keeper.follow(stage.ask(restart), end())
        assert after is not None
        restart = after
    stage.keeper.follow(stage.ask(restart), end(lasted=600.0))
    assert [kind for kind in stage.kinds() if kind != "outcome"] == ["crash_loop", "recovered"]
    (loop,) = (one for one in stage.told if one.kind is NotificationKind.CRASH_LOOP)
    assert loop.message == "sma is in a crash loop: 3 restarts in a row, the last end: failed: exit code 3"
    assert loop.restarts == 3


def test_a_bot_that_runs_again_for_long_is_told_once_and_is_in_no_crash_loop(stage: Stage) -> None:
    looping, well = stage.ask(LOOP), stage.ask(code=b"zip")
    executions = Executions(stage.home)
    assert executions.get(looping.execution_id).is_crash_loop
    running = [looping.execution_id, well.execution_id]
    for seconds in (0, 300, 600):
        stage.now += seconds
        stage.keeper.look(running)
    assert stage.told == []
    (stage.directory(looping) / "run.json").write_text('{"started_ns": 5}')
    for seconds in (10, 300, 299, 10, 10):
        stage.now += seconds
        stage.keeper.look(running)
    assert stage.kinds() == ["recovered"]
    assert not executions.get(looping.execution_id).is_crash_loop
    again = read_request(stage.home, looping.execution_id)
    assert again is not None
    assert (again.restart.in_a_row, again.restart.restarts) == (0, 5)
    assert again.executable.secrets == {"KEY": SECRET}
    assert SECRET not in (stage.directory(looping) / "request.json").read_text()


def test_another_code_than_before_is_another_generation(stage: Stage) -> None:
    request = stage.ask(Restart(previous="x", restarts=4, in_a_row=4, code="tree:1", last_error="failed"))
    ended = end()
    after = stage.keeper.follow(request, {**ended, "evidence": {**ended["evidence"], "code_digest": "tree:2"}})
    assert after is not None
    assert (after.generation, after.restarts, after.in_a_row, after.code) == (2, 1, 1, "tree:2")


def test_a_disk_that_is_full_soon_is_told_once_until_it_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, free = Stage(tmp_path, free_bytes=1000), [2000]
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free[0]))
    for free[0] in (2000, 999, 500, 1050, 900, 1100, 800):
        stage.now += 10
        stage.keeper.look([])
    assert stage.kinds() == ["disk_low", "disk_low"]
    assert [one.free_bytes for one in stage.told] == [999, 800]
    assert f"the disk of {tmp_path} has 999 B free, less than 1000 B" in stage.told[0].message
