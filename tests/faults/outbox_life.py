"""Kills a process at every line of keeping and delivering in turn, and judges what its successor makes of it.

    python outbox_life.py FOLDER SCENARIO

A program of its own, since it forks: in a process with threads that is unsafe.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from botdock import _database, _whole_files
from botdock.model import ByteReader, StorageArea
from botdock.services import _latest
from botdock.services.outbox import Message, delivery, read_status
from botdock.services.outbox import queue as queues
from botdock_storage_local_fs.backend import LocalFsBackend
from testbed import every_line
from testbed.every_line import kill_at_every_line, lines_of

TRACED = lines_of(_database, _latest, _whole_files, delivery, queues)
OLD, NEW = "01jd9pz7p0k0v6r3h2m4n5q8st", "01jd9pz7p0k0v6r3h2m4n5q8sv"
LOGS, RESULTS = StorageArea.LOGS, StorageArea.RESULTS
LARGE = bytes(range(256)) * 20
LATEST = "b/analysis.json"


class Sending(NamedTuple):
    """An object that is stored, and how: as `bytes`, as a `stream` or as a `file`."""

    area: StorageArea
    key: str
    execution: str
    how: str
    data: bytes

    @property
    def message(self) -> Message:
        return Message(area=self.area, key=self.key, execution_id=self.execution, latest=self.key == LATEST)


SCENARIOS: dict[str, tuple[int, list[Sending]]] = {
    "everything": (
        100,
        [
            Sending(LOGS, "logs/b/1/stdout.0", OLD, "stream", LARGE),
            Sending(RESULTS, "executions/1/result.json", OLD, "bytes", b'{"n": 1}'),
            Sending(RESULTS, LATEST, OLD, "bytes", b'{"n": 1}'),
            Sending(RESULTS, LATEST, NEW, "bytes", b'{"n": 2}'),
            Sending(LOGS, "logs/b/2/stdout.0", NEW, "file", LARGE[1:]),
        ],
    ),
    "too much": (
        2,
        [
            Sending(LOGS, "one", OLD, "bytes", b"1"),
            Sending(LOGS, "two", OLD, "bytes", b"22"),
            Sending(LOGS, "three", OLD, "file", b"333"),
            Sending(RESULTS, "four", OLD, "bytes", b"4444"),
        ],
    ),
}


class Life:
    """A process's view of a state folder and a storage; what it does is noted beside them."""

    def __init__(self, home: Path, scenario: str) -> None:
        self.home = home
        self.outbox = home / "outbox"
        self.max_items, self.sendings = SCENARIOS[scenario]
        self.backends = {area: LocalFsBackend(home / "storage", area) for area in (LOGS, RESULTS)}

    def live(self) -> None:
        """Keep everything, and deliver it."""
        queue = self.queue()
        for sending in self.sendings:
            queue.add(sending.message, self.source(sending))
            self.note("acknowledged", sending.key)
        self.deliver(queue)

    def succeed(self) -> list[str]:
        """Deliver what is left; return what lies about afterwards."""
        queue = self.queue()
        if not queue.exists():
            return []
        self.deliver(queue)
        return [message.token for message in queue.waiting()] + [path.name for path in (self.outbox / "data").iterdir()]

    def queue(self) -> queues.MessageQueue:
        return queues.MessageQueue(self.outbox, max_bytes=10**6, max_items=self.max_items)

    def source(self, sending: Sending) -> ByteReader | Path | bytes:
        if sending.how == "file":
            path = self.home / "stdout.0"
            path.write_bytes(sending.data)
            return path
        return io.BytesIO(sending.data) if sending.how == "stream" else sending.data

    def deliver(self, queue: queues.MessageQueue) -> None:
        with queue.delivering() as ours:
            assert ours
            queue.sweep()
            delivery.Delivery(queue, self.put, longest_pause=1.0).run()

    def put(self, message: Message, source: ByteReader) -> None:
        self.note("puts", f"{message.key} {message.execution_id}")
        put = _latest.put_latest if message.latest else _latest.put_object
        put(self.backends[message.area], message, source, size=message.size)

    def stored(self) -> dict[str, bytes]:
        found = {}
        for backend in self.backends.values():
            for info in backend.list():
                with backend.get(info.key) as reader:
                    found[info.key] = reader.read()
        return found

    def note(self, what: str, text: str) -> None:
        with (self.home / what).open("a") as file:
            file.write(text + "\n")

    def noted(self, what: str) -> list[str]:
        path = self.home / what
        return path.read_text().splitlines() if path.exists() else []


def judge(life: Life) -> Iterator[str]:
    """Yield what is wrong after a process was killed, and after its successor has done its work."""
    allowed: dict[str, set[bytes]] = {}
    for sending in life.sendings:
        allowed.setdefault(sending.key, set()).add(sending.data)
        if sending.key == LATEST:
            allowed.setdefault(f"b/analysis/{sending.execution}.json", set()).add(sending.data)
    before = life.stored()
    if odd := [key for key, data in before.items() if data not in allowed.get(key, ())]:
        yield f"half written, or under a wrong name: {odd}"
    if rubbish := life.succeed():
        yield f"left behind: {rubbish}"
    yield from _judge_order(life)
    yield from _judge_all(life) if life.max_items > len(life.sendings) else _judge_bounded(life)
    shutil.rmtree(life.home)


def _judge_order(life: Life) -> Iterator[str]:
    puts = Counter(life.noted("puts"))
    if sum(puts.values()) > len(puts) + 1:
        yield f"more than the one that was on its way was put twice: {puts}"
    in_order = [
        f"{sending.key} {sending.execution}" for sending in sorted(life.sendings, key=lambda one: one.execution)
    ]
    if list(puts) != [put for put in in_order if put in puts]:
        yield f"out of order: {puts}"


def _judge_all(life: Life) -> Iterator[str]:
    """Everything that was acknowledged is there, the latest of its key, and nothing is there twice."""
    stored, acknowledged = life.stored(), len(life.noted("acknowledged"))
    wanted = {sending.key: sending.data for sending in life.sendings[:acknowledged]}
    at_most = wanted | {sending.key: sending.data for sending in life.sendings[: acknowledged + 1]}
    for key, data in wanted.items():
        if stored.get(key) not in {data, at_most[key]}:
            yield f"lost: {key}"
    names = {key for key in stored if not key.startswith("b/analysis/")}
    if names - at_most.keys() or len(stored) - len(names) > 1:
        yield f"stored under two names: {sorted(stored)}"


def _judge_bounded(life: Life) -> Iterator[str]:
    """Everything that was acknowledged is either there or counted as dropped, and nothing is both."""
    acknowledged, stored = len(life.noted("acknowledged")), len(life.stored())
    dropped = read_status(life.outbox).dropped_items
    if not acknowledged <= stored + dropped <= acknowledged + 1:
        yield f"of {acknowledged} acknowledged, {stored} are stored and {dropped} dropped"


def main(folder: Path, scenario: str) -> None:
    """Kill at the first line, at the second, and so on, until a process lives to its end."""
    os.fsync = lambda fd: None  # what a killed process has written stays, and this is quicker

    def lives(kills: int) -> every_line.Life:
        life = Life(folder / str(kills), scenario)
        life.home.mkdir()
        return life.live, partial(judge, life)

    print(json.dumps(kill_at_every_line(lives, TRACED)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
