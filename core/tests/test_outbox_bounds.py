"""How much may wait, what goes when it is too much, and how that is counted."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from botdock.errors import StorageError
from botdock.services.outbox.queue import MessageQueue, read_status
from botdock_testing._outbox import log, queue_files, result, waiting_keys


def test_the_oldest_logs_go_first_and_results_last(make_queue: Callable[..., MessageQueue]) -> None:
    queue = make_queue(max_bytes=30)
    queue.add(result("r1"), bytes(10))
    queue.add(log("l1"), bytes(10))
    queue.add(log("l2"), bytes(10))
    assert [message.key for message in queue.add(result("r2"), bytes(5))[1]] == ["l1"]
    assert [message.key for message in queue.add(result("r3"), bytes(15))[1]] == ["l2"]
    assert [message.key for message in queue.add(result("r4"), bytes(20))[1]] == ["r1", "r2", "r3"]
    status = read_status(queue.folder)
    assert (status.items, status.bytes, status.dropped_items, status.dropped_bytes) == (1, 20, 5, 50)
    assert len(queue_files(queue)) == 1


def test_a_log_never_drives_out_a_result(make_queue: Callable[..., MessageQueue]) -> None:
    queue = make_queue(max_bytes=30)
    queue.add(result("r"), bytes(20))
    queue.add(log("l"), bytes(10))
    with pytest.raises(StorageError, match="the outbox is full") as caught:
        queue.add(log("new"), bytes(11))
    assert "outbox.max_bytes" in (caught.value.hint or "")
    assert waiting_keys(queue) == ["r", "l"]
    assert read_status(queue.folder).dropped_items == 0
    assert len(queue_files(queue)) == 2


@pytest.mark.parametrize("source", [bytes(31), io.BytesIO(bytes(31))], ids=["bytes", "stream"])
def test_what_is_larger_than_the_bound_drives_out_nothing(make_queue: Callable[..., MessageQueue], source: Any) -> None:
    queue = make_queue(max_bytes=30)
    queue.add(log("l"), bytes(30))
    with pytest.raises(OSError, match="larger than all that may wait"):
        queue.add(result("r"), source)
    assert (waiting_keys(queue), len(queue_files(queue))) == (["l"], 1)


def test_the_number_of_items_is_bounded_too(make_queue: Callable[..., MessageQueue]) -> None:
    queue = make_queue(max_items=2)
    for name in "abc":
        queue.add(log(name), b"")
    assert waiting_keys(queue) == ["b", "c"]
    queue.add(log("c", "02"), b"replaced")
    assert waiting_keys(queue) == ["b", "c"]


def test_what_failed_goes_before_all_else(make_queue: Callable[..., MessageQueue]) -> None:
    queue = make_queue(max_items=2)
    queue.add(result("r"), b"")
    queue.fail(queue.waiting()[0])
    queue.add(log("a"), b"")
    queue.add(log("b"), b"")
    assert waiting_keys(queue) == ["a", "b"]
    assert read_status(queue.folder).failed_items == 0


def test_one_that_arrives_after_all_was_not_dropped(
    make_queue: Callable[..., MessageQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botdock.services.outbox.queue.REMEMBERED", 2)
    queue = make_queue(max_items=1)
    queue.add(log("a"), b"12")
    (on_its_way,) = queue.waiting()
    queue.add(log("b"), b"")
    assert read_status(queue.folder).dropped_items == 1
    queue.remove(on_its_way)
    assert (read_status(queue.folder).dropped_items, read_status(queue.folder).dropped_bytes) == (0, 0)
    for number in range(6):
        queue.add(log(f"{number}"), b"")
    assert read_status(queue.folder).dropped_items == 6
    with queue._file.transaction() as file:
        assert file.execute("SELECT count(*) FROM item").fetchone() == (3,), "their rows have no end"
