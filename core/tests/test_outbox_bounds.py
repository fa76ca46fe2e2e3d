"""How much may wait, what goes when it is too much, and how that is counted."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from botdock.errors import StorageError
from botdock.services.outbox.spool import Spool, read_status
from botdock_testing._spools import log, result, spool_files, waiting_keys


def test_the_oldest_logs_go_first_and_results_last(make_spool: Callable[..., Spool]) -> None:
    spool = make_spool(max_bytes=30)
    spool.add(result("r1"), bytes(10))
    spool.add(log("l1"), bytes(10))
    spool.add(log("l2"), bytes(10))
    assert [item.parcel.key for item in spool.add(result("r2"), bytes(5)).dropped] == ["l1"]
    assert [item.parcel.key for item in spool.add(result("r3"), bytes(15)).dropped] == ["l2"]
    assert [item.parcel.key for item in spool.add(result("r4"), bytes(20)).dropped] == ["r1", "r2", "r3"]
    status = read_status(spool.folder)
    assert (status.items, status.bytes, status.dropped_items, status.dropped_bytes) == (1, 20, 5, 50)
    assert len(spool_files(spool)) == 1


def test_a_log_never_drives_out_a_result(make_spool: Callable[..., Spool]) -> None:
    spool = make_spool(max_bytes=30)
    spool.add(result("r"), bytes(20))
    spool.add(log("l"), bytes(10))
    with pytest.raises(StorageError, match="the outbox is full") as caught:
        spool.add(log("new"), bytes(11))
    assert "outbox.max_bytes" in (caught.value.hint or "")
    assert waiting_keys(spool) == ["r", "l"]
    assert read_status(spool.folder).dropped_items == 0
    assert len(spool_files(spool)) == 2


@pytest.mark.parametrize("source", [bytes(31), io.BytesIO(bytes(31))], ids=["bytes", "stream"])
def test_what_is_larger_than_the_bound_drives_out_nothing(make_spool: Callable[..., Spool], source: Any) -> None:
    spool = make_spool(max_bytes=30)
    spool.add(log("l"), bytes(30))
    with pytest.raises(OSError, match="larger than all that may wait"):
        spool.add(result("r"), source)
    assert (waiting_keys(spool), len(spool_files(spool))) == (["l"], 1)


def test_the_number_of_items_is_bounded_too(make_spool: Callable[..., Spool]) -> None:
    spool = make_spool(max_items=2)
    for name in "abc":
        spool.add(log(name), b"")
    assert waiting_keys(spool) == ["b", "c"]
    spool.add(log("c", "02"), b"replaced")
    assert waiting_keys(spool) == ["b", "c"]


def test_what_failed_goes_before_all_else(make_spool: Callable[..., Spool]) -> None:
    spool = make_spool(max_items=2)
    spool.add(result("r"), b"")
    spool.fail(spool.waiting()[0])
    spool.add(log("a"), b"")
    spool.add(log("b"), b"")
    assert waiting_keys(spool) == ["a", "b"]
    assert read_status(spool.folder).failed_items == 0


def test_one_that_arrives_after_all_was_not_dropped(
    make_spool: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botdock.services.outbox.spool.REMEMBERED", 2)
    spool = make_spool(max_items=1)
    spool.add(log("a"), b"12")
    (on_its_way,) = spool.waiting()
    spool.add(log("b"), b"")
    assert read_status(spool.folder).dropped_items == 1
    spool.remove(on_its_way)
    assert (read_status(spool.folder).dropped_items, read_status(spool.folder).dropped_bytes) == (0, 0)
    for number in range(6):
        spool.add(log(f"{number}"), b"")
    assert read_status(spool.folder).dropped_items == 6
    with spool._queue.transaction() as queue:
        assert queue.execute("SELECT count(*) FROM item").fetchone() == (3,), "their rows have no end"
