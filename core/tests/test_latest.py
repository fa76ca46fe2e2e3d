"""The latest object wins, in whatever order writers come and however they interleave."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdock.errors import ObjectNotFoundError, StorageUnavailableError
from botdock.model import ByteReader, ObjectInfo, ObjectReader, StorageArea
from botdock.services._latest import put_latest
from botdock.services.outbox import Message
from botdock_testing.memory_storage import MemoryBackend
from testbed.drills import count

KEY = "hello/analysis.json"
RUNS = [f"01jd9pz7p0k0v6r3h2m4n5q8s{letter}" for letter in "abc"]


def message(execution_id: str) -> Message:
    return Message(area=StorageArea.RESULTS, key=KEY, execution_id=execution_id, latest=True)


def put(backend: MemoryBackend, execution_id: str, data: bytes = b"") -> int:
    return put_latest(backend, message(execution_id), io.BytesIO(data or execution_id.encode()))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 2, 0), (0, 2, 2)])
def test_the_order_of_arrival_does_not_matter(order: tuple[int, ...]) -> None:
    backend = MemoryBackend()
    for number in order:
        assert put(backend, RUNS[number]) == 26
    assert backend.objects == {KEY: RUNS[2].encode(), f"hello/analysis/{RUNS[2]}.json": RUNS[2].encode()}


def test_what_another_program_keeps_there_is_left_alone() -> None:
    backend = MemoryBackend()
    others = {"hello/analysis/notes.json": b"1", "hello/analysis/zzz": b"2", f"hello/analysis/{RUNS[0]}.txt": b"3"}
    backend.objects.update(others)
    put(backend, RUNS[1])
    assert backend.objects[KEY] == RUNS[1].encode()
    assert backend.objects.items() >= others.items()


class Turns:
    """Lets threads take steps in a given order; when that is used up, as they come."""

    def __init__(self, order: list[int], count: int) -> None:
        self._order = order
        self._running = set(range(count))
        self._changed = threading.Condition()

    def wait(self, number: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._next() in {number, None}, 30)
            if self._order:
                self._order.pop(0)
            self._changed.notify_all()

    def _next(self) -> int | None:
        while self._order and self._order[0] not in self._running:
            self._order.pop(0)
        return self._order[0] if self._order else None

    def end(self, number: int) -> None:
        with self._changed:
            self._running.discard(number)
            self._changed.notify_all()


class TurnTaking(MemoryBackend):
    """One writer's view of a storage: each step waits for its turn."""

    def __init__(self, shared: MemoryBackend, turns: Turns, number: int) -> None:
        super().__init__()
        self.objects, self._written, self._lock = shared.objects, shared._written, shared._lock
        self._turns, self._number = turns, number

    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        self._turns.wait(self._number)
        return super().put(key, source, size=size)

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> ObjectReader:
        self._turns.wait(self._number)
        return super().get(key, offset=offset, length=length)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self._turns.wait(self._number)
        return iter(list(super().list(prefix)))


@given(order=st.lists(st.integers(0, 2), max_size=40))
@settings(max_examples=count(150, 50), deadline=None)
def test_the_interleaving_of_writers_does_not_matter(order: list[int]) -> None:
    shared, turns = MemoryBackend(), Turns(order, len(RUNS))
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            put(TurnTaking(shared, turns, number), RUNS[number])
        except BaseException as error:
            failures.append(error)
            raise
        finally:
            turns.end(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(len(RUNS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert shared.objects[KEY] == RUNS[2].encode()
    assert shared.objects[f"hello/analysis/{RUNS[2]}.json"] == RUNS[2].encode()


def test_one_that_is_removed_while_it_is_copied_gives_way_to_the_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = MemoryBackend()
    get = MemoryBackend.get

    def overtaken(self: MemoryBackend, key: str) -> ObjectReader:
        monkeypatch.setattr(MemoryBackend, "get", get)
        put(backend, RUNS[2])
        assert key not in backend.objects
        raise ObjectNotFoundError(key, backend=self.location)

    monkeypatch.setattr(MemoryBackend, "get", overtaken)
    put(backend, RUNS[0])
    assert backend.objects[KEY] == RUNS[2].encode()


def test_a_storage_that_lists_what_it_does_not_have_is_asked_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(self: MemoryBackend, key: str) -> ObjectReader:
        raise ObjectNotFoundError(key, backend=self.location)

    monkeypatch.setattr(MemoryBackend, "get", absent)
    with pytest.raises(StorageUnavailableError, match="keeps changing"):
        put(MemoryBackend(), RUNS[0])


def test_what_is_deleted_meanwhile_stays_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryBackend, "list", lambda self, prefix: iter(()))
    backend = MemoryBackend()
    put(backend, RUNS[0])
    assert KEY not in backend.objects
