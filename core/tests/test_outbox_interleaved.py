"""Threads add, deliver and sweep at the same time: nothing is lost, put twice, or stored and counted as dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType

import pytest

from botdock import _database, _locks, _whole_files
from botdock.model import ByteReader, OutboxStatus, StorageArea
from botdock.services.outbox import Message, delivery, read_status
from botdock.services.outbox import queue as queues
from testbed.every_line import lines_of, met_at_every_line

SHARED = lines_of(_database, _locks, _whole_files, queues)
ELSEWHERE = {(delivery.__file__, "run"), (delivery.__file__, "_deliver")}
ROOM = 3
"""Items that may wait; two do."""


def touches_the_disk(code: CodeType) -> bool:
    """Leave out what only computes."""
    return SHARED(code) or (code.co_filename, code.co_name) in ELSEWHERE


class Outbox:
    """An outbox in which two objects wait, and the storage that they are for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.queue, self.other = self.process(), self.process()
        self.acknowledged: list[str] = []
        self.put: Counter[str] = Counter()
        self.stored: dict[str, bytes] = {}
        self.looks: list[OutboxStatus] = []
        for key in ("a1", "b1"):
            self.keep(self.queue, key)

    def process(self) -> queues.MessageQueue:
        return queues.MessageQueue(self.folder, max_bytes=1000, max_items=ROOM)

    def keep(self, queue: queues.MessageQueue, key: str, data: bytes = b"") -> None:
        queue.add(Message(area=StorageArea.LOGS, key=key, execution_id=key[0]), data or key.encode())
        self.acknowledged.append(key)

    def take(self, message: Message, source: ByteReader) -> None:
        data = source.read()
        self.put[f"{message.key} {data.decode()}"] += 1
        self.stored[message.key] = data

    def add(self) -> None:
        self.keep(self.process(), "c1")

    def add_again(self) -> None:
        self.keep(self.process(), "a1", b"newer")

    def add_too_much(self) -> None:
        queue = self.process()
        for key in ("c1", "c2"):
            self.keep(queue, key)

    def deliver(self) -> None:
        self.deliver_by(self.queue)

    def deliver_elsewhere(self) -> None:
        self.deliver_by(self.process())

    def deliver_by(self, queue: queues.MessageQueue) -> None:
        with queue.delivering() as ours:
            if ours:
                queue.sweep()
                delivery.Delivery(queue, self.take, longest_pause=1.0).run()

    def give_up(self) -> None:
        """Fail what waits first."""
        self.queue.fail(self.queue.waiting()[0])

    def sweep(self) -> None:
        self.process().sweep()

    def look(self) -> None:
        self.looks.append(read_status(self.folder))

    def note_silence(self) -> None:
        self.process().note_error("the storage did not answer")


Step = Callable[[Outbox], None]
PAIRS: list[tuple[Step, Step]] = [
    (Outbox.add, Outbox.deliver),
    (Outbox.deliver, Outbox.add),
    (Outbox.add, Outbox.sweep),
    (Outbox.sweep, Outbox.add),
    (Outbox.add_again, Outbox.add_again),
    (Outbox.deliver, Outbox.deliver_elsewhere),
    (Outbox.deliver, Outbox.add_again),
    (Outbox.add_again, Outbox.deliver),
    (Outbox.deliver, Outbox.add_too_much),
    (Outbox.add_too_much, Outbox.deliver),
    (Outbox.look, Outbox.give_up),
    (Outbox.give_up, Outbox.look),
    (Outbox.note_silence, Outbox.note_silence),
]


def judge(outbox: Outbox) -> None:
    """See that each object was put once, or counted as dropped, and that nothing lies about."""
    for look in outbox.looks:
        assert look.items + look.failed_items == len(outbox.acknowledged)
    outbox.deliver_elsewhere()
    status = read_status(outbox.folder)
    assert (status.items, max(outbox.put.values())) == (0, 1)
    replaced = len(outbox.acknowledged) - len(set(outbox.acknowledged))
    assert len(outbox.stored) + status.failed_items + status.dropped_items + replaced == len(outbox.acknowledged)
    assert outbox.stored.get("a1", b"newer" if replaced else b"a1") == (b"newer" if replaced else b"a1")
    assert len(list((outbox.folder / "data").iterdir())) == status.failed_items
    assert not list(outbox.folder.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("first", "second"), [pytest.param(*pair, id="-".join(step.__name__ for step in pair)) for pair in PAIRS]
)
def test_two_at_once_lose_nothing(memory: Path, first: Step, second: Step) -> None:
    for _number, outbox in met_at_every_line(lambda at: Outbox(memory / str(at)), first, second, touches_the_disk):
        if first is Outbox.note_silence:
            assert outbox.queue.away() == "the storage did not answer"
        judge(outbox)
