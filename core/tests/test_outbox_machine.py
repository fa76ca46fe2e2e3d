"""In any order of events, the outbox behaves like a list that loses nothing."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from botdock.errors import StorageError
from botdock.model import ByteReader, StorageArea
from botdock.services.outbox import Message, delivery
from botdock.services.outbox.delivery import LONGEST_REFUSED_PAUSE, Delivery
from botdock.services.outbox.queue import MessageQueue, read_status
from botdock_testing.flaky_storage import FlakyBackend
from testbed.drills import count

MAX_BYTES, MAX_ITEMS = 60, 8


class CrashError(BaseException):
    """The process dies here."""


@attrs.define
class Waiting:
    """An object that waits, in the model."""

    message: Message
    data: bytes


class OutboxMachine(RuleBasedStateMachine):
    """Drives a queue and a delivery, and a model of them: a list in order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.backend = FlakyBackend()
        self.now = 0.0
        self.crash = ""
        self.model: list[Waiting] = []
        self.kept: dict[str, bytes] = {}
        self.dropped = 0
        self.start()

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def start(self) -> None:
        self.queue = MessageQueue(self.folder / "outbox", max_bytes=MAX_BYTES, max_items=MAX_ITEMS)
        self.delivery = Delivery(self.queue, self.put, longest_pause=10.0, clock=lambda: self.now)

    def put(self, message: Message, source: ByteReader) -> None:
        if self.crash == "before the object is there":
            raise CrashError
        self.backend.put(message.key, source, size=message.size)
        if self.crash == "after":
            raise CrashError

    @rule(
        area=st.sampled_from([StorageArea.LOGS, StorageArea.RESULTS]),
        name=st.sampled_from("abcdefgh"),
        execution=st.integers(1, 4),
        size=st.integers(0, 25),
    )
    def enqueue(self, area: StorageArea, name: str, execution: int, size: int) -> None:
        message = Message(area=area, key=f"{area}/{name}", execution_id=f"{execution:02}")
        data = name.encode() * size
        if self.keep(Waiting(message, data)):
            self.queue.add(message, data)
            return
        try:
            self.queue.add(message, data)
        except StorageError:
            return
        raise AssertionError("it fits in by no means, and was taken")

    def keep(self, new: Waiting) -> bool:
        """Do in the model what `MessageQueue.add` promises; say whether there is room."""
        same = [one for one in self.model if one.message.key == new.message.key]
        if same and same[0].message.execution_id > new.message.execution_id:
            return True
        rest = [one for one in self.model if one not in same]
        gone = 0
        for area in (StorageArea.LOGS, StorageArea.RESULTS):
            for one in [one for one in rest if one.message.area is area]:
                if self.fits([*rest, new]):
                    break
                rest.remove(one)
                gone += 1
            if new.message.area is area:
                break
        if not self.fits([*rest, new]):
            return False
        self.model, self.dropped = [*rest, new], self.dropped + gone
        return True

    @staticmethod
    def fits(items: list[Waiting]) -> bool:
        return len(items) <= MAX_ITEMS and sum(len(one.data) for one in items) <= MAX_BYTES

    @rule(seconds=st.sampled_from([0.0, 0.3, 20.0, LONGEST_REFUSED_PAUSE]))
    def deliver(self, seconds: float) -> None:
        self.now += seconds
        before = len(self.backend.puts)
        self.delivery.run()
        self.delivered(self.backend.puts[before:])

    def delivered(self, keys: list[str], *, forgotten: bool = True) -> None:
        """Note what the storage took; each must have been the first of its execution."""
        for key in keys:
            (one,) = [one for one in self.model if one.message.key == key]
            first = next(other for other in self.model if other.message.execution_id == one.message.execution_id)
            assert one is first, f"{key} came before {first.message.key}"
            self.kept[key] = one.data
            if forgotten:
                self.model.remove(one)

    @rule(when=st.sampled_from(["before the object is there", "after"]))
    def die_while_delivering(self, when: str) -> None:
        self.now += LONGEST_REFUSED_PAUSE
        before = len(self.backend.puts)
        self.crash = when
        try:
            self.delivery.run()
        except CrashError:
            self.delivered(self.backend.puts[before:], forgotten=False)
        self.crash = ""
        self.start()

    @rule()
    def start_again(self) -> None:
        self.start()
        self.queue.sweep() if self.queue.exists() else None

    @rule(away=st.booleans())
    def go_away_or_come_back(self, away: bool) -> None:
        self.backend.away = away

    @rule(names=st.sets(st.sampled_from("abcdefgh"), max_size=3))
    def refuse_some(self, names: set[str]) -> None:
        self.backend.refused = {f"{area}/{name}" for name in names for area in StorageArea}

    @rule(refuses=st.booleans())
    def refuse_or_accept(self, refuses: bool) -> None:
        self.backend.error = StorageError("access denied") if refuses else None

    @invariant()
    def what_waits_is_what_should(self) -> None:
        status = read_status(self.queue.folder)
        waiting = [(message.key, message.execution_id) for message in self.queue.waiting()]
        assert waiting == [(one.message.key, one.message.execution_id) for one in self.model]
        assert (status.items, status.bytes) == (len(self.model), sum(len(one.data) for one in self.model))
        assert (status.dropped_items, status.failed_items) == (self.dropped, 0)
        assert (status.oldest is None) == (not self.model)

    @invariant()
    def what_was_delivered_is_there(self) -> None:
        assert self.backend.objects == self.kept

    @precondition(lambda self: not (self.backend.away or self.backend.error or self.backend.refused))
    @rule()
    def all_is_delivered_in_the_end(self) -> None:
        self.deliver(LONGEST_REFUSED_PAUSE)
        assert self.model == []
        assert list((self.folder / "outbox/data").glob("*")) == []


def test_it_behaves_like_a_list_that_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "PATIENCE", 10**9)  # when one is given up, is tested elsewhere
    run_state_machine_as_test(
        OutboxMachine,
        settings=settings(
            max_examples=count(40, 20),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
