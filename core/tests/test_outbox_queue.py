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
from botdock.services.outbox.queue import MessageQueue, read_status
from botdock_testing._byte_sources import BrokenSourceError, DyingSource
from botdock_testing._outbox import log, queue_files, read_message_bytes, result, waiting_keys


class TestAdding:
    def test_items_wait_in_the_order_in_which_they_came(
        self, queue: MessageQueue, make_queue: Callable[..., MessageQueue]
    ) -> None:
        assert (queue.waiting(), read_status(queue.folder).items) == ([], 0)
        other = make_queue()
        for number in range(6):
            (queue, other)[number % 2].add(log(f"{number}"), b"data %d" % number)
        for one in (queue, other, make_queue()):
            assert waiting_keys(one) == list("012345")
            assert [read_message_bytes(one, message) for message in one.waiting()] == [
                b"data %d" % number for number in range(6)
            ]
        assert read_status(queue.folder).bytes == 36

    def test_a_clock_that_is_set_back_does_not_change_the_order(
        self, queue: MessageQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue.add(log("first"), b"")
        monkeypatch.setattr("botdock.services.outbox.queue.time.time", lambda: 5.0)
        queue.add(log("second"), b"")
        assert waiting_keys(queue) == ["first", "second"]

    def test_a_stream_is_read_to_its_end(self, queue: MessageQueue) -> None:
        assert queue.add(log("a"), io.BytesIO(b"12345"))[0] == 5
        (message,) = queue.waiting()
        assert (read_message_bytes(queue, message), message.size) == (b"12345", 5)

    def test_a_file_is_linked_and_may_grow(self, queue: MessageQueue, tmp_path: Path) -> None:
        path = tmp_path / "stdout.0"
        path.write_bytes(b"line\n")
        queue.add(log("a"), path)
        assert path.stat().st_nlink == 2
        with path.open("ab") as file:
            file.write(b"more")
        assert queue.waiting()[0].size == 5

    def test_a_file_that_cannot_be_linked_is_copied(
        self, queue: MessageQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

        monkeypatch.setattr("botdock._whole_files.os.link", refuse)
        path = tmp_path / "stdout.0"
        path.write_bytes(b"line\n")
        queue.add(log("a"), path)
        assert path.stat().st_nlink == 1
        assert read_message_bytes(queue, queue.waiting()[0]) == b"line\n"

    def test_a_link_to_somewhere_else_is_not_followed(self, queue: MessageQueue, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("secret")
        (tmp_path / "stdout.0").symlink_to(tmp_path / "secret")
        with pytest.raises(OSError, match=r"symbolic links|regular"):
            queue.add(log("a"), tmp_path / "stdout.0")
        assert queue_files(queue) == []

    def test_no_other_user_may_look(self, queue: MessageQueue) -> None:
        queue.add(log("a"), b"")
        assert queue.folder.stat().st_mode & 0o777 == 0o700


class TestFailing:
    def test_a_source_that_fails_leaves_nothing(self, queue: MessageQueue) -> None:
        with pytest.raises(BrokenSourceError):
            queue.add(log("a"), DyingSource(b"half"))
        assert (queue_files(queue), waiting_keys(queue)) == ([], [])

    def test_an_absent_file_leaves_nothing(self, queue: MessageQueue, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            queue.add(log("a"), tmp_path / "absent")
        assert queue_files(queue) == []

    @pytest.mark.parametrize("call", range(2))
    def test_a_full_disk_leaves_nothing(self, queue: MessageQueue, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
        """Whichever of the two calls that bring the bytes to the disk finds it full."""
        queue.add(log("before"), b"1")
        left = queue_files(queue)
        fsync, calls = os.fsync, iter(range(10))

        def full(descriptor: int) -> None:
            if next(calls) == call:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fsync(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr("botdock._whole_files.os.fsync", full)
            with pytest.raises(OSError, match="No space left"):
                queue.add(log("a"), b"12345")
        assert (queue_files(queue), waiting_keys(queue)) == (left, ["before"])
        queue.add(log("after"), b"2")
        assert waiting_keys(queue) == ["before", "after"]

    def test_a_queue_that_another_process_holds_is_not_waited_for_without_a_bound(
        self, queue: MessageQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue.add(log("a"), b"")
        monkeypatch.setattr(_database, "BUSY", 0.01)
        with queue._file.transaction(), pytest.raises(TimeoutError):
            queue.add(log("b"), b"")
        assert (waiting_keys(queue), len(queue_files(queue))) == (["a"], 1)

    def test_a_damaged_queue_is_put_aside_and_its_bytes_are_not_taken_for_rubbish(self, queue: MessageQueue) -> None:
        queue.add(log("a"), b"1")
        (queue.folder / "queue.sqlite").write_bytes(b"{" * 600)
        queue.sweep()
        queue.add(log("b"), b"2")
        queue.sweep()
        assert (waiting_keys(queue), len(queue_files(queue))) == (["b"], 2)
        (queue.folder / "damaged-queue.sqlite").unlink()
        queue.sweep()
        assert len(queue_files(queue)) == 1


class TestKeys:
    def test_a_newer_object_replaces_the_one_that_waits(self, queue: MessageQueue) -> None:
        queue.add(result("latest", "01"), b"old")
        queue.add(result("other", "02"), b"other")
        queue.add(result("latest", "03"), b"new")
        assert waiting_keys(queue) == ["other", "latest"]
        assert len(queue_files(queue)) == 2

    def test_an_older_one_does_not(self, queue: MessageQueue) -> None:
        queue.add(result("latest", "02"), b"new")
        assert queue.add(result("latest", "01"), b"old")[0] == 3
        (message,) = queue.waiting()
        assert (read_message_bytes(queue, message), len(queue_files(queue))) == (b"new", 1)


class TestGoing:
    def test_what_is_removed_is_gone_for_all(
        self, queue: MessageQueue, make_queue: Callable[..., MessageQueue]
    ) -> None:
        queue.add(log("a"), b"1")
        queue.add(log("b"), b"2")
        other = make_queue()
        other.remove(other.waiting()[0])
        assert (waiting_keys(queue), len(queue_files(queue))) == (["b"], 1)

    def test_one_that_went_meanwhile_is_no_longer_open_to_any_thread(
        self, queue: MessageQueue, make_queue: Callable[..., MessageQueue]
    ) -> None:
        queue.add(log("a"), b"")
        (message,) = queue.waiting()
        make_queue().remove(message)
        assert queue.open(message) is None
        assert queue.refuse(message, "no").refusals == 1
        queue.fail(message)
        assert queue_files(queue) == []

    def test_bytes_that_are_gone_are_an_error(self, queue: MessageQueue) -> None:
        queue.add(log("a"), b"")
        (message,) = queue.waiting()
        (queue.folder / "data" / message.token).unlink()
        with pytest.raises(StorageError, match="the bytes of 'a' are gone"):
            queue.open(message)

    def test_refusals_are_remembered_by_the_next_process(
        self, queue: MessageQueue, make_queue: Callable[..., MessageQueue]
    ) -> None:
        queue.add(log("a"), b"")
        (message,) = queue.waiting()
        assert [queue.refuse(message, "no").refusals, queue.refuse(message, "never").refusals] == [1, 2]
        (again,) = make_queue().waiting()
        assert (again.refusals, again.error) == (2, "never")
        assert read_status(queue.folder).last_error == "never"

    def test_what_failed_is_kept_and_waits_again_once_that_is_asked_for(
        self, queue: MessageQueue, make_queue: Callable[..., MessageQueue]
    ) -> None:
        queue.add(log("a"), b"data")
        queue.refuse(queue.waiting()[0], "not UTF-8: \udcff")
        queue.fail(queue.waiting()[0])
        status = read_status(queue.folder)
        assert (waiting_keys(queue), status.failed_items, status.items) == ([], 1, 0)
        assert status.last_error == "not UTF-8: \\udcff"
        queue.sweep()
        (queue.folder / "retry").touch()
        again = make_queue()
        again.sweep()
        assert read_message_bytes(again, again.waiting()[0]) == b"data"
        assert not (queue.folder / "retry").exists()


class TestSweeping:
    def test_what_died_is_removed_and_what_lives_is_not(self, queue: MessageQueue) -> None:
        queue.add(log("a"), b"")
        (queue.folder / "data" / ("0" * 32)).write_text("abandoned")
        with locked(queue.folder / "writing", timeout=1, shared=True):
            queue.sweep()
            assert len(queue_files(queue)) == 2
        queue.sweep()
        assert (len(queue_files(queue)), waiting_keys(queue)) == (1, ["a"])
