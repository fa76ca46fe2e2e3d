"""What `botdock doctor` says of the state folder: what is not finished, belongs to nothing, or waits for a storage."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from botdock.config import Config
from botdock.errors import EngineUnavailableError, ImageError
from botdock.executions import _queue as queue
from botdock.executions._lease import Lease
from botdock.executions._requests import Request, Restart
from botdock.model import (
    Check,
    CheckStatus,
    ContainerInfo,
    ContainerState,
    EngineCapabilities,
    EnginePlugin,
    Executable,
    Feature,
    StorageArea,
    new_execution_id,
)
from botdock.model.container import LABEL_EXECUTION
from botdock.services.outbox import Message
from botdock.services.outbox.queue import MessageQueue
from botdock.supervisor._seat import seated
from botdock_cli import check_machine
from botdock_cli.check_machine import check_executions, check_outboxes, check_runners, check_state, check_strays
from botdock_cli.commands.doctor import check_engines, check_images


@pytest.fixture
def config(own_home: Path) -> Config:
    return Config(home=str(own_home))


def test_executions_that_are_not_finished_are_told_with_what_finishes_them(
    config: Config, logged: Callable[..., Any]
) -> None:
    dead, owed, _ = logged(), logged().lives(), logged().concludes()
    left = {"evidence": {"left_behind": ["container: connection refused"]}}
    (owed.directory / "concluded.json").write_text(json.dumps(left))
    found = {check.name: check for check in check_executions(config)}
    assert found.keys() == {"executions.orphaned", "executions.owed"}
    assert dead.execution_id in found["executions.orphaned"].detail
    assert f"1 over, but not all removed yet: {owed.execution_id}: container: c" in found["executions.owed"].detail
    assert found["executions.owed"].remedy.startswith("botdock recover")


def test_what_waits_is_told_and_whether_a_supervisor_takes_it(config: Config) -> None:
    config.home_dir.mkdir(mode=0o700, exist_ok=True)
    queue.submit(config.home_dir, Request(execution_id=new_execution_id(), executable=Executable(id="sma")), most=9)
    found = {check.name: check for check in check_executions(config)}
    assert found["executions"].status is CheckStatus.OK
    assert (found["executions.waiting"].status, found["executions.waiting"].remedy) == (
        CheckStatus.WARNING,
        "botdock supervise, or the next `botdock start`, takes them",
    )
    with seated(config.home_dir, replace=False, patience=0):
        found = {check.name: check for check in check_executions(config)}
    assert found["executions.waiting"].status is CheckStatus.OK
    assert found["executions.waiting"].detail.startswith("1 asked for, and not begun; the oldest at 2")


def test_a_crash_loop_is_told_with_its_last_error(config: Config) -> None:
    config.home_dir.mkdir(mode=0o700, exist_ok=True)
    row = Restart(policy="always", previous="01jd9pz7p0k0v6r3h2m4n5q8st", in_a_row=4, last_error="exit code 3")
    request = Request(execution_id=new_execution_id(), executable=Executable(id="sma"), restart=row)
    queue.submit(config.home_dir, request, most=9)
    found = {check.name: check for check in check_executions(config)}["executions.crash_loop"]
    assert (found.status, found.detail) == (
        CheckStatus.WARNING,
        "sma: restarted 4 times in a row, last for: exit code 3",
    )


def test_runners_that_live_and_leases_of_those_that_died_are_counted(config: Config) -> None:
    assert [check.detail for check in check_runners(config)] == ["0 alive"]
    living = Lease(config.home_dir)
    living.hold()
    (config.home_dir / "runners/dead.lock").touch()
    (check,) = check_runners(config)
    assert (check.status, check.detail) == (CheckStatus.WARNING, "1 alive, and 1 lease of runners that died")
    living.give_up()


def manager(containers: Callable[[], list[ContainerInfo]]) -> Any:
    """Return what knows one engine, which lists those containers."""
    engine: Any = SimpleNamespace(list=lambda labels, timeout: containers(), close=lambda: None)
    plugin = EnginePlugin(name="dock", factory=lambda config: engine, automatic=True, checks=lambda config: [])
    return SimpleNamespace(engines=lambda: {"dock": plugin}, engine=lambda name: plugin)


def test_what_belongs_to_no_execution_is_told(config: Config, logged: Callable[..., Any]) -> None:
    over = logged().concludes()
    (over.directory / "workspace").mkdir()
    containers = [
        ContainerInfo(
            container_id=f"c{number}",
            name="",
            image="",
            state=ContainerState.RUNNING,
            labels={LABEL_EXECUTION: over.execution_id},
        )
        for number in range(4)
    ]
    (check,) = check_strays(manager(lambda: containers), config, ["dock"])
    assert check.detail == ("5 that belong to no execution: container c0, container c1, container c2, and 2 more")
    assert list(check_strays(manager(lambda: containers), config, [])) == [], "it does not work: its checks say so"


def test_an_engine_that_stops_answering_is_left_to_its_own_checks(config: Config) -> None:
    def away() -> list[ContainerInfo]:
        raise EngineUnavailableError("refused")

    assert list(check_strays(manager(away), config, ["dock"])) == []


def test_what_the_logs_of_an_engine_lack_is_a_warning(config: Config) -> None:
    said = EngineCapabilities(engine="dock", enforced=frozenset(Feature), exact_bytes=False)
    engine: Any = SimpleNamespace(capabilities=lambda: said, close=lambda: None)
    plugin = EnginePlugin(name="dock", factory=lambda config: engine, automatic=True, checks=lambda config: [])
    knows: Any = SimpleNamespace(engines=lambda: {"dock": plugin})
    answers, logs = check_engines(knows, config)["dock"].checks
    assert (answers.status, logs.name, logs.status) == (CheckStatus.OK, "dock.logs", CheckStatus.WARNING)
    assert logs.detail == "bytes may differ from what was written"


def test_where_images_are_that_an_engine_cannot_look_for_is_not_guessed(config: Config) -> None:
    def ensure_image(image: str, **_: object) -> None:
        raise ImageError("who knows", image=image, is_absent=False)

    engine: Any = SimpleNamespace(ensure_image=ensure_image, close=lambda: None)
    plugin = EnginePlugin(name="dock", factory=lambda config: engine)
    knows: Any = SimpleNamespace(engines=lambda: {"dock": plugin}, runtimes=lambda: {"r": SimpleNamespace(image="i:1")})
    (check,) = check_images(knows, config, ["dock"])
    assert (check.status, check.detail) == (
        CheckStatus.OK,
        "which machine has i:1 is not known here; one that lacks it pulls it",
    )


def queue_of(config: Config, storage: str = "local-fs") -> MessageQueue:
    return MessageQueue(config.home_dir / "outbox" / storage, max_bytes=100, max_items=2)


def add(queue: MessageQueue, key: str) -> None:
    queue.add(Message(area=StorageArea.LOGS, key=key, execution_id="01"), b"data")


def found(config: Config) -> dict[str, Check]:
    return {check.name: check for check in check_outboxes(config)}


def test_a_state_folder_that_others_could_write_is_told_once(config: Config, own_home: Path) -> None:
    own_home.mkdir()
    own_home.chmod(0o777)
    assert [check.status for check in check_state(config)] == [CheckStatus.FAILED]
    assert list(check_outboxes(config)) == []


def test_nothing_waits_where_nothing_was_stored_and_no_folder_is_made(config: Config) -> None:
    assert found(config)["storage.outbox"].detail == "nothing waits for the storage"
    assert not config.home_dir.exists()


def test_what_came_just_now_is_on_its_way(config: Config) -> None:
    add(queue_of(config), "a")
    check = found(config)["storage.outbox"]
    assert (check.status, check.detail[:28]) == (CheckStatus.OK, "1 object, 4 B, on the way si")


def test_what_waits_for_long_is_a_warning(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    add(queue_of(config), "a")
    monkeypatch.setattr(check_machine, "LONG_WAIT", timedelta())
    check = found(config)["storage.outbox"]
    assert check.status is CheckStatus.WARNING
    assert "waiting for the storage since 2" in check.detail
    assert check.remedy == "bring the storage back; the next run that uses it delivers them"


def test_why_it_waits_is_said(config: Config) -> None:
    add(queue_of(config), "a")
    add(queue_of(config), "b")
    queue_of(config).note_error("connection refused")
    check = found(config)["storage.outbox"]
    assert (check.status, check.detail.endswith("UTC: connection refused")) == (CheckStatus.WARNING, True)
    assert check.detail.startswith("2 objects, 8 B, ")


def test_what_failed_and_what_was_dropped_is_told_with_the_way_out(config: Config) -> None:
    waiting = queue_of(config)
    for key in "abcd":
        add(waiting, key)
    message = waiting.waiting()[0]
    waiting.refuse(message, "no such thing")
    waiting.fail(message)
    checks = found(config)
    assert checks["storage.outbox.failed"].detail == "the storage refused 1 object for good: no such thing"
    assert "touch " in checks["storage.outbox.failed"].remedy
    assert checks["storage.outbox.dropped"].detail == "more waited than the outbox may hold: 2 objects, 8 B, dropped"
    assert "outbox.max_bytes" in checks["storage.outbox.dropped"].remedy


def test_other_storages_are_named_only_when_something_is_left_for_them(config: Config) -> None:
    other = queue_of(config, "minio")
    add(other, "a")
    assert set(found(config)) == {"storage.outbox"}
    other.note_error("away")
    assert set(found(config)) == {"storage.outbox", "storage.outbox.minio"}


def test_an_outbox_that_cannot_be_read_is_a_failed_check(config: Config) -> None:
    add(queue_of(config), "a")
    queue = config.home_dir / "outbox/local-fs/queue.sqlite"
    queue.unlink()
    queue.mkdir()
    assert found(config)["storage.outbox"].status is CheckStatus.FAILED
