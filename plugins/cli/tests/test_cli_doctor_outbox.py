"""What `botdock doctor` says of results and logs that wait for their storage."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from botdock.config import Config
from botdock.model import Check, CheckStatus, StorageArea
from botdock.services.outbox import Message
from botdock.services.outbox.queue import MessageQueue
from botdock_cli import check_machine
from botdock_cli.check_machine import check_outboxes


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(home=str(tmp_path / "state"))


def queue_of(config: Config, storage: str = "local-fs") -> MessageQueue:
    return MessageQueue(config.home_dir / "outbox" / storage, max_bytes=100, max_items=2)


def add(queue: MessageQueue, key: str) -> None:
    queue.add(Message(area=StorageArea.LOGS, key=key, execution_id="01"), b"data")


def found(config: Config) -> dict[str, Check]:
    return {check.name: check for check in check_outboxes(config)}


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
    assert checks["storage.outbox.dropped"].detail == "more waited than may: 2 objects, 8 B, dropped"
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
