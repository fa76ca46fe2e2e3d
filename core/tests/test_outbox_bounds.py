"""How much may wait, what goes when it is too much, and how that is counted."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from botdock.errors import StorageError
from botdock.services.outbox.shared import SharedIndex
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
    assert len(spool_files(spool)) == 2


def test_a_log_never_drives_out_a_result(make_spool: Callable[..., Spool]) -> None:
    spool = make_spool(max_bytes=30)
    spool.add(result("r"), bytes(20))
    spool.add(log("l"), bytes(10))
    with pytest.raises(StorageError, match="the outbox is full") as caught:
        spool.add(log("new"), bytes(11))
    assert "outbox.max_bytes" in (caught.value.hint or "")
    assert waiting_keys(spool) == ["r", "l"]
    assert read_status(spool.folder).dropped_items == 0
    assert len(spool_files(spool)) == 4


@pytest.mark.parametrize("source", [bytes(31), io.BytesIO(bytes(31))], ids=["bytes", "stream"])
def test_what_is_larger_than_the_bound_drives_out_nothing(make_spool: Callable[..., Spool], source: Any) -> None:
    spool = make_spool(max_bytes=30)
    spool.add(log("l"), bytes(30))
    with pytest.raises(OSError, match="larger than all that may wait"):
        spool.add(result("r"), source)
    assert (waiting_keys(spool), len(spool_files(spool))) == (["l"], 2)


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


def test_a_drop_that_a_crash_cut_short_is_finished(
    make_spool: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make_spool(max_items=1)
    spool.add(log("a"), b"")

    class Crash(BaseException):
        pass

    def die(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(SharedIndex, "remove", die)
        with pytest.raises(Crash):
            spool.add(log("b"), b"")
    assert waiting_keys(make_spool()) == []
    assert read_status(spool.folder).dropped_items == 1
