"""The outbox at work: its thread, its end, and other processes beside it."""

from __future__ import annotations

import errno
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from botdock._locks import locked
from botdock.config import OutboxConfig
from botdock.errors import StorageError
from botdock.model import ByteReader, StorageArea
from botdock.services.outbox import Message, Outbox, outbox_folder, read_status
from botdock_testing.flaky_storage import FlakyBackend

LONG = 60.0
"""Seconds; no test gets there."""


class Stage:
    """A storage, and outboxes before it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.backend = FlakyBackend()
        self.operations: list[tuple[str, int, bool]] = []
        self.opened: list[Outbox] = []

    def open(self, put: Callable[[Message, ByteReader], None] | None = None, **config: float) -> Outbox:
        settings = OutboxConfig(**{"retry_interval": 0.05, "drain_timeout": LONG, **config})  # type: ignore[arg-type] # max_items is an int
        outbox = Outbox(self.folder, settings, put or self.put, on_operation=self.report)
        self.opened.append(outbox)
        return outbox

    def put(self, message: Message, source: ByteReader) -> None:
        self.backend.put(message.key, source, size=message.size)

    def report(self, operation: str, seconds: float, size: int, success: bool) -> None:
        self.operations.append((operation, size, success))

    @property
    def waiting(self) -> int:
        return read_status(self.folder).items


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path / "outbox")
    yield stage
    for outbox in stage.opened:
        outbox._config = OutboxConfig(drain_timeout=0)
        outbox.close()


def message(key: str) -> Message:
    return Message(area=StorageArea.LOGS, key=key, execution_id="01")


def test_closing_delivers_what_was_taken_in(stage: Stage) -> None:
    outbox = stage.open()
    for number in range(20):
        assert outbox.add(message(f"{number:02}"), b"12345").size == 5
    outbox.close()
    outbox.close()
    assert stage.backend.puts == [f"{number:02}" for number in range(20)]
    assert stage.operations.count(("enqueue", 5, True)) == stage.operations.count(("deliver", 5, True)) == 20
    assert outbox.status().items == 0


def test_a_storage_that_is_away_is_not_waited_for(stage: Stage) -> None:
    stage.backend.away = True
    outbox = stage.open()
    outbox.add(message("a"), b"data")
    assert not outbox.drain(LONG)
    outbox.add(message("b"), b"data")
    outbox.close()
    status = outbox.status()
    assert (status.items, status.bytes, status.last_error) == (2, 8, "it does not answer")
    assert status.oldest is not None
    assert ("deliver", 0, False) in stage.operations


def test_the_next_process_delivers_what_the_last_one_left(stage: Stage) -> None:
    stage.backend.away = True
    first = stage.open()
    first.add(message("a"), b"data")
    first.close()
    stage.backend.away = False
    second = stage.open()
    second.resume()
    second.close()
    assert (stage.backend.puts, stage.waiting) == (["a"], 0)


def test_a_storage_that_comes_back_is_noticed(stage: Stage) -> None:
    stage.backend.away = True
    arrived = threading.Event()

    def put(message: Message, source: ByteReader) -> None:
        if len(stage.backend.attempts) == 3:
            stage.backend.away = False
        stage.put(message, source)
        arrived.set()

    stage.open(put).add(message("a"), b"data")
    assert arrived.wait(LONG)


def test_resuming_an_outbox_that_was_never_used_makes_no_folder(stage: Stage) -> None:
    outbox = stage.open()
    outbox.resume()
    assert outbox.drain(LONG)
    outbox.close()
    outbox.resume()
    assert not stage.folder.exists()


def test_a_storage_that_hangs_holds_no_caller_up_for_long(stage: Stage) -> None:
    entered, release = threading.Event(), threading.Event()

    def hang(message: Message, source: ByteReader) -> None:
        entered.set()
        release.wait(LONG)

    outbox = stage.open(hang, drain_timeout=0.01)
    outbox.add(message("a"), b"data")
    assert entered.wait(LONG)
    outbox.close()
    assert stage.waiting == 1
    assert outbox.status().last_error == "the storage did not answer within 0.01 seconds"
    release.set()


def test_an_object_that_moves_may_finish_and_nothing_more_begins(stage: Stage) -> None:
    reading, closing = threading.Event(), threading.Event()

    def put(message: Message, source: ByteReader) -> None:
        data = source.read(1)
        reading.set()
        assert closing.wait(LONG)
        stage.backend.put(message.key, io.BytesIO(data + source.read(1) + source.read()))

    outbox = stage.open(put)
    outbox.add(message("a"), b"data")
    outbox.add(message("b"), b"data")
    assert reading.wait(LONG)
    wait = outbox._is_moving

    def note() -> bool:
        closing.set()
        return wait()

    outbox._is_moving = note  # type: ignore[method-assign] # to know that it has come so far
    outbox.drain = lambda timeout: False  # type: ignore[method-assign] # the time is over
    outbox.close()
    assert (stage.backend.objects, stage.waiting) == ({"a": b"data"}, 1)


def test_one_that_stands_still_is_cut_short(stage: Stage) -> None:
    reading, ended = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def put(message: Message, source: ByteReader) -> None:
        source.read(1)
        reading.set()
        try:
            while not ended.wait(0.01):
                if outbox._aborting:
                    source.read(1)
        except StorageError as error:
            errors.append(error)
            raise
        finally:
            ended.set()

    outbox = stage.open(put, drain_timeout=0.01)
    outbox.add(message("a"), b"data")
    assert reading.wait(LONG)
    outbox.close()
    assert ended.wait(LONG)
    assert "the next process continues it" in str(errors[0])
    assert stage.waiting == 1


class TestBesideAnotherProcess:
    def test_one_delivers_at_a_time_and_the_other_sees_it_through(self, stage: Stage) -> None:
        first = stage.open()
        first.add(message("a"), b"data")
        assert first.drain(LONG)
        with locked(stage.folder / "delivering", timeout=1):
            first.add(message("b"), b"data")
            assert not first.drain(0.05)
            assert stage.backend.puts == ["a"]
        assert first.drain(LONG)
        assert stage.backend.puts == ["a", "b"]

    def test_what_the_other_one_knows_to_be_away_is_not_waited_for(self, stage: Stage) -> None:
        stage.backend.away = True
        first = stage.open(retry_interval=3600)
        first.add(message("a"), b"data")
        first.drain(LONG)
        with locked(stage.folder / "delivering", timeout=1):
            second = stage.open()
            second.add(message("b"), b"data")
            second.close()
        assert stage.waiting == 2


class TestTrouble:
    def test_a_full_disk_is_a_storage_error_that_names_the_cure(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object, **__: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("botdock.services.outbox.queue.keep", full)
        with pytest.raises(StorageError, match="cannot keep 'a' for the storage: No space left on device") as caught:
            stage.open().add(message("a"), b"data")
        assert "BOTDOCK_HOME" in (caught.value.hint or "")
        assert stage.operations == [("enqueue", 0, False)]

    def test_what_is_dropped_is_reported(self, stage: Stage) -> None:
        stage.backend.away = True
        outbox = stage.open(max_items=1, retry_interval=3600)
        outbox.add(message("a"), b"12")
        outbox.add(message("b"), b"34")
        assert ("drop", 2, True) in stage.operations
        assert (outbox.status().dropped_items, outbox.status().dropped_bytes, stage.waiting) == (1, 2, 1)

    def test_a_disk_that_cannot_be_read_for_a_while_ends_nothing(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outbox = stage.open()
        failures = iter([OSError(5, "Input/output error")])
        waiting = outbox._queue.waiting

        def fail_once() -> list[Message]:
            for failure in failures:
                raise failure
            return waiting()

        monkeypatch.setattr(outbox._queue, "waiting", fail_once)
        arrived = threading.Event()
        monkeypatch.setattr(outbox, "_put", lambda message, source: arrived.set())
        outbox.add(message("a"), b"data")
        assert arrived.wait(LONG)

    def test_without_another_thread_it_waits_for_the_next_process(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        outbox = stage.open()
        with monkeypatch.context() as patch:
            patch.setattr("botdock.services.outbox.outbox.threading.Thread.start", refuse)
            outbox.add(message("a"), b"data")
            assert not outbox.drain(LONG)
        outbox.resume()
        assert outbox.drain(LONG)


def test_each_storage_has_its_own_folder_inside_of_home(tmp_path: Path) -> None:
    assert outbox_folder(tmp_path, "minio") == tmp_path / "outbox/minio"
    assert outbox_folder(tmp_path, "../a/b").parent == tmp_path / "outbox"
