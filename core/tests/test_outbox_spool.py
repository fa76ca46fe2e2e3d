"""What waits on disk: that it is there wholly or not at all, in order, and within its bound."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from botdock import _database
from botdock._locks import locked
from botdock.errors import StorageError
from botdock.services.outbox.spool import Spool, read_status
from botdock_testing._byte_sources import BrokenSourceError, DyingSource
from botdock_testing._spools import log, read_item_bytes, result, spool_files, waiting_keys


class TestAdding:
    def test_items_wait_in_the_order_in_which_they_came(self, spool: Spool, make_spool: Callable[..., Spool]) -> None:
        assert (spool.waiting(), read_status(spool.folder).items) == ([], 0)
        other = make_spool()
        for number in range(6):
            (spool, other)[number % 2].add(log(f"{number}"), b"data %d" % number)
        for one in (spool, other, make_spool()):
            assert waiting_keys(one) == list("012345")
            assert [read_item_bytes(one, item) for item in one.waiting()] == [
                b"data %d" % number for number in range(6)
            ]
        assert read_status(spool.folder).bytes == 36

    def test_a_clock_that_is_set_back_does_not_change_the_order(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spool.add(log("first"), b"")
        monkeypatch.setattr("botdock.services.outbox.spool.time.time", lambda: 5.0)
        spool.add(log("second"), b"")
        assert waiting_keys(spool) == ["first", "second"]

    def test_a_stream_is_read_to_its_end(self, spool: Spool) -> None:
        assert spool.add(log("a"), io.BytesIO(b"12345")).size == 5
        (item,) = spool.waiting()
        assert (read_item_bytes(spool, item), item.size) == (b"12345", 5)

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

        monkeypatch.setattr("botdock._whole_files.os.link", refuse)
        path = tmp_path / "stdout.0"
        path.write_bytes(b"line\n")
        spool.add(log("a"), path)
        assert path.stat().st_nlink == 1
        assert read_item_bytes(spool, spool.waiting()[0]) == b"line\n"

    def test_a_link_to_somewhere_else_is_not_followed(self, spool: Spool, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("secret")
        (tmp_path / "stdout.0").symlink_to(tmp_path / "secret")
        with pytest.raises(OSError, match=r"symbolic links|regular"):
            spool.add(log("a"), tmp_path / "stdout.0")
        assert spool_files(spool) == []

    def test_nobody_else_may_look(self, spool: Spool) -> None:
        spool.add(log("a"), b"")
        assert spool.folder.stat().st_mode & 0o777 == 0o700


class TestFailing:
    def test_a_source_that_fails_leaves_nothing(self, spool: Spool) -> None:
        with pytest.raises(BrokenSourceError):
            spool.add(log("a"), DyingSource(b"half"))
        assert (spool_files(spool), waiting_keys(spool)) == ([], [])

    def test_an_absent_file_leaves_nothing(self, spool: Spool, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            spool.add(log("a"), tmp_path / "absent")
        assert spool_files(spool) == []

    @pytest.mark.parametrize("call", range(2))
    def test_a_full_disk_leaves_nothing(self, spool: Spool, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
        """Whichever of the two calls that bring the bytes to the disk finds it full."""
        spool.add(log("before"), b"1")
        left = spool_files(spool)
        fsync, calls = os.fsync, iter(range(10))

        def full(descriptor: int) -> None:
            if next(calls) == call:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fsync(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr("botdock._whole_files.os.fsync", full)
            with pytest.raises(OSError, match="No space left"):
                spool.add(log("a"), b"12345")
        assert (spool_files(spool), waiting_keys(spool)) == (left, ["before"])
        spool.add(log("after"), b"2")
        assert waiting_keys(spool) == ["before", "after"]

    def test_a_queue_that_another_process_holds_is_not_waited_for_without_a_bound(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spool.add(log("a"), b"")
        monkeypatch.setattr(_database, "BUSY", 0.01)
        with spool._queue.transaction(), pytest.raises(TimeoutError):
            spool.add(log("b"), b"")
        assert (waiting_keys(spool), len(spool_files(spool))) == (["a"], 1)

    def test_a_damaged_queue_is_put_aside_and_its_bytes_are_not_taken_for_rubbish(self, spool: Spool) -> None:
        spool.add(log("a"), b"1")
        spool.close()
        (spool.folder / "queue.sqlite").write_bytes(b"{" * 600)
        spool.sweep()
        spool.add(log("b"), b"2")
        spool.sweep()
        assert (waiting_keys(spool), len(spool_files(spool))) == (["b"], 2)
        (spool.folder / "damaged-queue.sqlite").unlink()
        spool.sweep()
        assert len(spool_files(spool)) == 1


class TestKeys:
    def test_a_newer_object_replaces_the_one_that_waits(self, spool: Spool) -> None:
        spool.add(result("latest", "01"), b"old")
        spool.add(result("other", "02"), b"other")
        spool.add(result("latest", "03"), b"new")
        assert waiting_keys(spool) == ["other", "latest"]
        assert len(spool_files(spool)) == 2

    def test_an_older_one_does_not(self, spool: Spool) -> None:
        spool.add(result("latest", "02"), b"new")
        assert spool.add(result("latest", "01"), b"old").size == 3
        (item,) = spool.waiting()
        assert (read_item_bytes(spool, item), len(spool_files(spool))) == (b"new", 1)


class TestGoing:
    def test_what_is_removed_is_gone_for_all(self, spool: Spool, make_spool: Callable[..., Spool]) -> None:
        spool.add(log("a"), b"1")
        spool.add(log("b"), b"2")
        other = make_spool()
        other.remove(other.waiting()[0])
        assert (waiting_keys(spool), len(spool_files(spool))) == (["b"], 1)

    def test_one_that_went_meanwhile_is_no_longer_open_to_anybody(
        self, spool: Spool, make_spool: Callable[..., Spool]
    ) -> None:
        spool.add(log("a"), b"")
        (item,) = spool.waiting()
        make_spool().remove(item)
        assert spool.open(item) is None
        assert spool.refuse(item, "no").refusals == 1
        spool.fail(item)
        assert spool_files(spool) == []

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

    def test_what_failed_is_kept_and_waits_again_once_that_is_asked_for(
        self, spool: Spool, make_spool: Callable[..., Spool]
    ) -> None:
        spool.add(log("a"), b"data")
        spool.refuse(spool.waiting()[0], "not UTF-8: \udcff")
        spool.fail(spool.waiting()[0])
        status = read_status(spool.folder)
        assert (waiting_keys(spool), status.failed_items, status.items) == ([], 1, 0)
        assert status.last_error == "not UTF-8: \\udcff"
        spool.sweep()
        (spool.folder / "retry").touch()
        again = make_spool()
        again.sweep()
        assert read_item_bytes(again, again.waiting()[0]) == b"data"
        assert not (spool.folder / "retry").exists()


class TestSweeping:
    def test_what_died_is_removed_and_what_lives_is_not(self, spool: Spool) -> None:
        spool.add(log("a"), b"")
        (spool.folder / "data" / ("0" * 32)).write_text("abandoned")
        with locked(spool.folder / "writing", timeout=1, shared=True):
            spool.sweep()
            assert len(spool_files(spool)) == 2
        spool.sweep()
        assert (len(spool_files(spool)), waiting_keys(spool)) == (1, ["a"])
