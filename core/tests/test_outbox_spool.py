"""What waits on disk: that it is there wholly or not at all, in order, and within its bound."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import StorageError
from botdock.model import StorageArea
from botdock.services import _outbox_spool
from botdock.services._cache_locks import locked
from botdock.services._outbox_item import Item, Parcel
from botdock.services._outbox_spool import Spool, read_status
from botdock.testing._byte_sources import BrokenSourceError, DyingSource


def log(key: str, execution: str = "01") -> Parcel:
    return Parcel(area=StorageArea.LOGS, key=key, execution_id=execution)


def result(key: str, execution: str = "01") -> Parcel:
    return Parcel(area=StorageArea.RESULTS, key=key, execution_id=execution)


@pytest.fixture
def make_spool(tmp_path: Path) -> Callable[..., Spool]:
    def make(max_bytes: int = 1000, max_items: int = 100) -> Spool:
        return Spool(tmp_path / "outbox", max_bytes=max_bytes, max_items=max_items)

    return make


@pytest.fixture
def spool(make_spool: Callable[..., Spool]) -> Spool:
    return make_spool()


def keys(spool: Spool) -> list[str]:
    return [item.parcel.key for item in spool.waiting()]


def read(spool: Spool, item: Item) -> bytes:
    source = spool.open(item)
    assert source is not None
    with source:
        return source.read()


def files(spool: Spool) -> list[str]:
    folders = [spool.folder / name for name in ("items", "failed", "data")]
    return [path.name for folder in folders if folder.exists() for path in folder.iterdir()]


class TestAdding:
    def test_items_wait_in_the_order_in_which_they_came(self, spool: Spool, make_spool: Callable[..., Spool]) -> None:
        assert (spool.waiting(), read_status(spool.folder).items) == ([], 0)
        other = make_spool()
        for number in range(6):
            (spool, other)[number % 2].add(log(f"{number}"), b"data %d" % number)
        for one in (spool, other, make_spool()):
            assert keys(one) == list("012345")
            assert [read(one, item) for item in one.waiting()] == [b"data %d" % number for number in range(6)]
        assert read_status(spool.folder).bytes == 36

    def test_a_clock_that_is_set_back_does_not_change_the_order(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spool.add(log("first"), b"")
        monkeypatch.setattr("botdock.services._outbox_index.time.time_ns", lambda: 5)
        spool.add(log("second"), b"")
        assert keys(spool) == ["first", "second"]

    def test_a_stream_is_read_to_its_end(self, spool: Spool) -> None:
        assert spool.add(log("a"), io.BytesIO(b"12345")).size == 5
        (item,) = spool.waiting()
        assert (read(spool, item), item.size) == (b"12345", 5)

    def test_a_file_is_linked_and_may_grow(self, spool: Spool, tmp_path: Path) -> None:
        path = tmp_path / "stdout.0"
        path.write_bytes(b"line\n")
        spool.add(log("a"), path)
        assert path.stat().st_nlink == 2
        with path.open("ab") as file:
            file.write(b"more")
        assert spool.waiting()[0].size == 5

    def test_a_file_that_cannot_be_linked_is_copied(
        self, spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

        monkeypatch.setattr("botdock.services._outbox_disk.os.link", refuse)
        path = tmp_path / "stdout.0"
        path.write_bytes(b"line\n")
        spool.add(log("a"), path)
        assert path.stat().st_nlink == 1
        assert read(spool, spool.waiting()[0]) == b"line\n"

    def test_a_link_to_somewhere_else_is_not_followed(self, spool: Spool, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("secret")
        (tmp_path / "stdout.0").symlink_to(tmp_path / "secret")
        with pytest.raises(OSError, match=r"symbolic links|regular"):
            spool.add(log("a"), tmp_path / "stdout.0")
        assert files(spool) == []

    def test_nobody_else_may_look(self, spool: Spool) -> None:
        spool.add(log("a"), b"")
        assert spool.folder.stat().st_mode & 0o777 == 0o700


class TestFailing:
    def test_a_source_that_fails_leaves_nothing(self, spool: Spool) -> None:
        with pytest.raises(BrokenSourceError):
            spool.add(log("a"), DyingSource(b"half"))
        assert (files(spool), keys(spool)) == ([], [])

    def test_an_absent_file_leaves_nothing(self, spool: Spool, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            spool.add(log("a"), tmp_path / "absent")
        assert files(spool) == []

    @pytest.mark.parametrize("call", range(4))
    def test_a_full_disk_leaves_nothing(self, spool: Spool, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
        """Whichever of the four calls that bring something to the disk finds it full."""
        spool.add(log("before"), b"1")
        left = sorted(files(spool))
        fsync, calls = os.fsync, iter(range(10))

        def full(descriptor: int) -> None:
            if next(calls) == call:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fsync(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr("botdock.services._outbox_disk.os.fsync", full)
            with pytest.raises(OSError, match="No space left"):
                spool.add(log("a"), b"12345")
        assert (sorted(files(spool)), keys(spool)) == (left, ["before"])
        spool.add(log("after"), b"2")
        assert keys(spool) == ["before", "after"]

    def test_somebody_who_holds_a_lock_is_not_waited_for_without_a_bound(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spool.add(log("a"), b"")
        monkeypatch.setattr(_outbox_spool, "LOCK_TIMEOUT", 0.01)
        with locked(spool.folder / "changing", timeout=1), pytest.raises(TimeoutError):
            spool.add(log("b"), b"")
        assert keys(spool) == ["a"]


class TestKeys:
    def test_a_newer_object_replaces_the_one_that_waits(self, spool: Spool) -> None:
        spool.add(result("latest", "01"), b"old")
        spool.add(result("other", "02"), b"other")
        spool.add(result("latest", "03"), b"new")
        assert keys(spool) == ["other", "latest"]
        assert len(files(spool)) == 4

    def test_an_older_one_does_not(self, spool: Spool) -> None:
        spool.add(result("latest", "02"), b"new")
        assert spool.add(result("latest", "01"), b"old").size == 3
        (item,) = spool.waiting()
        assert (read(spool, item), len(files(spool))) == (b"new", 2)


class TestBounds:
    def test_the_oldest_logs_go_first_and_results_last(self, make_spool: Callable[..., Spool]) -> None:
        spool = make_spool(max_bytes=30)
        spool.add(result("r1"), bytes(10))
        spool.add(log("l1"), bytes(10))
        spool.add(log("l2"), bytes(10))
        assert [item.parcel.key for item in spool.add(result("r2"), bytes(5)).dropped] == ["l1"]
        assert [item.parcel.key for item in spool.add(result("r3"), bytes(15)).dropped] == ["l2"]
        assert [item.parcel.key for item in spool.add(result("r4"), bytes(20)).dropped] == ["r1", "r2", "r3"]
        status = read_status(spool.folder)
        assert (status.items, status.bytes, status.dropped_items, status.dropped_bytes) == (1, 20, 5, 50)
        assert len(files(spool)) == 2

    def test_a_log_never_drives_out_a_result(self, make_spool: Callable[..., Spool]) -> None:
        spool = make_spool(max_bytes=30)
        spool.add(result("r"), bytes(20))
        spool.add(log("l"), bytes(10))
        with pytest.raises(StorageError, match="the outbox is full") as caught:
            spool.add(log("new"), bytes(11))
        assert "outbox.max_bytes" in (caught.value.hint or "")
        assert keys(spool) == ["r", "l"]
        assert read_status(spool.folder).dropped_items == 0
        assert len(files(spool)) == 4

    @pytest.mark.parametrize("source", [bytes(31), io.BytesIO(bytes(31))])
    def test_what_is_larger_than_the_bound_drives_out_nothing(
        self, make_spool: Callable[..., Spool], source: Any
    ) -> None:
        spool = make_spool(max_bytes=30)
        spool.add(log("l"), bytes(30))
        with pytest.raises(OSError, match="larger than all that may wait"):
            spool.add(result("r"), source)
        assert (keys(spool), len(files(spool))) == (["l"], 2)

    def test_the_number_of_items_is_bounded_too(self, make_spool: Callable[..., Spool]) -> None:
        spool = make_spool(max_items=2)
        for name in "abc":
            spool.add(log(name), b"")
        assert keys(spool) == ["b", "c"]
        spool.add(log("c", "02"), b"replaced")
        assert keys(spool) == ["b", "c"]

    def test_what_failed_goes_before_all_else(self, make_spool: Callable[..., Spool]) -> None:
        spool = make_spool(max_items=2)
        spool.add(result("r"), b"")
        spool.fail(spool.waiting()[0])
        spool.add(log("a"), b"")
        spool.add(log("b"), b"")
        assert keys(spool) == ["a", "b"]
        assert read_status(spool.folder).failed_items == 0

    def test_a_drop_that_a_crash_cut_short_is_finished(
        self, make_spool: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spool = make_spool(max_items=1)
        spool.add(log("a"), b"")

        class Crash(BaseException):
            pass

        def die(*_: object) -> None:
            raise Crash

        with monkeypatch.context() as patch:
            patch.setattr(Spool, "_remove", die)
            with pytest.raises(Crash):
                spool.add(log("b"), b"")
        assert keys(make_spool()) == []
        assert read_status(spool.folder).dropped_items == 1


class TestGoing:
    def test_what_is_removed_is_gone_for_all(self, spool: Spool, make_spool: Callable[..., Spool]) -> None:
        spool.add(log("a"), b"1")
        spool.add(log("b"), b"2")
        other = make_spool()
        other.remove(other.waiting()[0])
        assert (keys(spool), len(files(spool))) == (["b"], 2)

    def test_one_that_went_meanwhile_is_no_longer_open_to_anybody(
        self, spool: Spool, make_spool: Callable[..., Spool]
    ) -> None:
        spool.add(log("a"), b"")
        (item,) = spool.waiting()
        make_spool().remove(item)
        assert spool.open(item) is None
        assert spool.refuse(item, "no").refusals == 1
        spool.fail(item)
        assert files(spool) == []

    def test_bytes_that_are_gone_are_an_error(self, spool: Spool) -> None:
        spool.add(log("a"), b"")
        (item,) = spool.waiting()
        (spool.folder / "data" / item.data).unlink()
        with pytest.raises(StorageError, match="the bytes of 'a' are gone"):
            spool.open(item)

    def test_refusals_are_remembered_by_the_next_process(self, spool: Spool, make_spool: Callable[..., Spool]) -> None:
        spool.add(log("a"), b"")
        (item,) = spool.waiting()
        assert [spool.refuse(item, "no").refusals, spool.refuse(item, "never").refusals] == [1, 2]
        (again,) = make_spool().waiting()
        assert (again.refusals, again.error) == (2, "never")
        assert read_status(spool.folder).last_error == "never"

    def test_what_failed_is_kept_and_waits_again_once_it_is_moved_back(
        self, spool: Spool, make_spool: Callable[..., Spool]
    ) -> None:
        spool.add(log("a"), b"data")
        spool.fail(spool.waiting()[0])
        status = read_status(spool.folder)
        assert (keys(spool), status.failed_items, status.items) == ([], 1, 0)
        spool.sweep()
        (path,) = (spool.folder / "failed").iterdir()
        path.rename(spool.folder / "items" / path.name)
        again = make_spool()
        assert read(again, again.waiting()[0]) == b"data"

    def test_a_damaged_file_is_an_item_without_a_key(self, spool: Spool, make_spool: Callable[..., Spool]) -> None:
        spool.add(log("a"), b"")
        (path,) = (spool.folder / "items").iterdir()
        for text in ("{", "[]", '{"parcel": {}}', "{}"):
            path.write_text(text)
            (item,) = make_spool().waiting()
            assert (item.parcel.key, item.error[:7]) == ("", "damaged")


class TestSweeping:
    def test_what_died_is_removed_and_what_lives_is_not(self, spool: Spool) -> None:
        spool.add(log("a"), b"")
        (spool.folder / "data" / ("0" * 32)).write_text("abandoned")
        (spool.folder / "items" / "x.tmp").write_text("abandoned")
        with locked(spool.folder / "writing", timeout=1, shared=True):
            spool.sweep()
            assert len(files(spool)) == 4
        spool.sweep()
        assert (len(files(spool)), keys(spool)) == (2, ["a"])


def test_records_that_cannot_be_read_are_none(spool: Spool) -> None:
    spool.add(log("a"), b"")
    for name in ("dropped.json", "error.json"):
        for text in ("[]", "{", '{"items": "many"}'):
            (spool.folder / name).write_text(text)
            assert (read_status(spool.folder).dropped_items, read_status(spool.folder).last_error) == (0, "")
