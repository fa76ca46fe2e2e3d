"""Who goes next, who waits and who is given up: with a clock of the test's own."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from botdock.errors import StorageError, StorageUnavailableError
from botdock.model import ByteReader, StorageArea
from botdock.services.outbox import Message
from botdock.services.outbox.delivery import FIRST_PAUSE, LONGEST_REFUSED_PAUSE, PATIENCE, REFUSED_PAUSE, Delivery
from botdock.services.outbox.queue import MessageQueue, read_status
from botdock_testing.flaky_storage import FlakyBackend


class Stage:
    """A queue, a storage, a delivery between them, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.queue = MessageQueue(folder, max_bytes=10_000, max_items=1000)
        self.backend = FlakyBackend()
        self.ending = False
        self.start()

    def start(self) -> None:
        """Deliver by a new process, as it were."""
        self.delivery = Delivery(
            self.queue, self.put, longest_pause=8.0, ending=lambda: self.ending, clock=lambda: self.now
        )

    def put(self, message: Message, source: ByteReader) -> None:
        self.backend.put(message.key, source, size=message.size)

    def add(self, *keys: str, area: StorageArea = StorageArea.LOGS) -> None:
        """Add objects; the first letter of a key names the execution."""
        for key in keys:
            self.queue.add(Message(area=area, key=key, execution_id=key[0]), key.encode())

    def run(self, seconds: float = 0.0) -> float | None:
        self.now += seconds
        return self.delivery.run()

    @property
    def left(self) -> list[str]:
        return [message.key for message in self.queue.waiting()]

    @property
    def failed(self) -> int:
        return read_status(self.queue.folder).failed_items


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "outbox")


def test_everything_goes_in_order_and_once(stage: Stage) -> None:
    stage.add("a1", "b1", "a2", "b2", "a3")
    assert stage.run() is None
    assert stage.run() is None
    assert stage.backend.attempts == ["a1", "a2", "a3", "b1", "b2"]
    assert stage.backend.objects["a3"] == b"a3"
    assert stage.left == []


class TestAway:
    def test_a_storage_that_is_away_is_asked_once_and_then_left_alone(self, stage: Stage) -> None:
        stage.backend.away = True
        stage.add("a1", "a2", "b1")
        pause = stage.run()
        assert pause is not None
        assert FIRST_PAUSE / 2 <= pause <= FIRST_PAUSE
        assert stage.run(pause / 2) == pytest.approx(pause / 2)
        assert stage.backend.attempts == ["a1"]
        assert read_status(stage.queue.folder).last_error == "it does not answer"

    def test_pauses_grow_up_to_a_bound(self, stage: Stage) -> None:
        stage.backend.away = True
        stage.add("a1")
        pauses = [stage.run(10) or 0.0 for _ in range(60)]
        assert all(2.0 <= pause <= 8.0 for pause in pauses[4:])
        assert len(set(pauses)) > 50, "without jitter, many processes would come back at once"
        assert len(stage.backend.attempts) == 60

    def test_it_all_goes_once_it_is_back(self, stage: Stage) -> None:
        stage.backend.away = True
        stage.add("a1", "a2", "b1")
        stage.run()
        stage.backend.away = False
        assert stage.run(10) is None
        assert sorted(stage.backend.puts) == ["a1", "a2", "b1"]
        assert read_status(stage.queue.folder).last_error == ""

    def test_one_that_always_fails_keeps_no_other_waiting(self, stage: Stage) -> None:
        """A storage may be up and yet time out on one huge object."""
        put = stage.put

        def time_out_on_a1(message: Message, source: ByteReader) -> None:
            if message.key == "a1":
                raise StorageUnavailableError("timed out")
            put(message, source)

        stage.put = time_out_on_a1  # type: ignore[method-assign] # the storage of this test
        stage.start()
        stage.add("a1", "a2", "b1", "c1")
        stage.run()
        stage.run(100)
        assert (stage.backend.puts, stage.left) == (["b1", "c1"], ["a1", "a2"])


class TestRefusals:
    def test_a_storage_that_refuses_everything_is_asked_rarely_and_nothing_is_given_up(self, stage: Stage) -> None:
        """As with a wrong key of ours: once it is mended, all goes, in order."""
        stage.backend.error = StorageError("access denied")
        stage.add("a1", "a2", "b1")
        for _ in range(2 * PATIENCE):
            pause = stage.run(2 * LONGEST_REFUSED_PAUSE)
            assert pause is not None
            assert pause >= REFUSED_PAUSE / 2
        assert (stage.left, stage.failed) == (["a1", "a2", "b1"], 0)
        assert read_status(stage.queue.folder).last_error == "access denied"
        stage.backend.error = None
        stage.run(2 * LONGEST_REFUSED_PAUSE)
        assert (stage.backend.puts, stage.left) == (["a1", "a2", "b1"], [])
        assert read_status(stage.queue.folder).last_error == ""

    def test_one_that_is_refused_holds_up_its_own_execution_only(self, stage: Stage) -> None:
        stage.backend.refused = {"a1"}
        stage.add("a1", "a2", "b1")
        stage.run()
        assert (stage.backend.puts, stage.left) == (["b1"], ["a1", "a2"])
        stage.run(1)
        assert stage.backend.attempts == ["a1", "b1"], "what was refused is not tried again at once"

    def test_one_whose_key_is_refused_is_given_up_in_the_end(self, stage: Stage) -> None:
        stage.backend.refused = {"a1"}
        stage.add("a1", "a2")
        for _ in range(PATIENCE):
            assert "a1" in stage.left
            stage.run(2 * LONGEST_REFUSED_PAUSE)
        assert (stage.backend.puts, stage.left, stage.failed) == (["a2"], [], 1)
        assert "is refused" in read_status(stage.queue.folder).last_error

    def test_one_that_is_refused_while_others_are_taken_is_given_up_in_the_end(self, stage: Stage) -> None:
        put = stage.put

        def refuse_a1(message: Message, source: ByteReader) -> None:
            if message.key == "a1":
                raise ZeroDivisionError
            put(message, source)

        stage.put = refuse_a1  # type: ignore[method-assign] # the storage of this test
        stage.start()
        stage.add("a1", "a2")
        for _ in range(PATIENCE):
            stage.start()  # the count survives the process
            stage.run(2 * LONGEST_REFUSED_PAUSE)
        assert (stage.backend.puts, stage.left) == (["a2"], ["a1"]), "after that many it holds up nothing any more"
        stage.run(2 * LONGEST_REFUSED_PAUSE)
        assert (stage.left, stage.failed) == ([], 1)
        assert read_status(stage.queue.folder).last_error == "ZeroDivisionError()"

    def test_one_whose_bytes_are_damaged_does_not_hold_up_the_rest(self, stage: Stage) -> None:
        stage.add("a1", "b1")
        (message, _) = stage.queue.waiting()
        (stage.queue.folder / "data" / message.token).write_bytes(b"")
        stage.run()
        assert (stage.backend.puts, stage.left) == (["b1"], ["a1"])


class TestEnding:
    def test_nothing_new_is_begun(self, stage: Stage) -> None:
        stage.add("a1", "a2")
        stage.ending = True
        stage.run()
        assert stage.backend.attempts == []

    def test_one_that_was_cut_short_was_not_refused(self, stage: Stage) -> None:
        def cut_short(message: Message, source: ByteReader) -> None:
            stage.ending = True
            raise StorageError("cut short")

        stage.put = cut_short  # type: ignore[method-assign] # the storage of this test
        stage.start()
        stage.add("a1")
        stage.run()
        assert stage.queue.waiting()[0].refusals == 0


def test_one_that_is_replaced_on_its_way_is_followed_by_the_newer_one(stage: Stage) -> None:
    put: Callable[[Message, ByteReader], None] = stage.put

    def replace(message: Message, source: ByteReader) -> None:
        if message.size == 3:
            message = Message(area=StorageArea.RESULTS, key="latest", execution_id="02")
            stage.queue.add(message, io.BytesIO(b"newer"))
        put(message, source)

    stage.put = replace  # type: ignore[method-assign] # the storage of this test
    stage.start()
    stage.queue.add(Message(area=StorageArea.RESULTS, key="latest", execution_id="01"), b"old")
    stage.run()
    stage.run()
    assert (stage.backend.objects, stage.left) == ({"latest": b"newer"}, [])
