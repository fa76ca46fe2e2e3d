"""The contract itself: a storage that keeps it passes, and each way of breaking it is found."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice

import pytest
from attrs import evolve
from hypothesis import Phase, settings

from botdock.errors import StorageKeyError
from botdock.model import ByteReader, DeleteFailure, ObjectInfo, ObjectReader, StorageBackend
from botdock_testing.memory_storage import MemoryBackend
from botdock_testing.storage import StorageContract
from testbed.mutants import CAUGHT, call, unbroken


class TestMemory(StorageContract):
    memory = 256 * 1024 * 1024

    @pytest.fixture
    def backend(self) -> StorageBackend:
        return MemoryBackend()


class Unsorted(MemoryBackend):
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return iter(list(super().list(prefix))[::-1])


class InUtf16Order(MemoryBackend):
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return iter(sorted(super().list(prefix), key=lambda info: info.key.encode("utf-16-be")))


class PrefixesAreFolders(MemoryBackend):
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return super().list(prefix and f"{prefix.rstrip('/')}/")


class KeepsHalves(MemoryBackend):
    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        self.objects[key] = b"half"
        return super().put(key, source, size=size)


class BelievesTheSize(MemoryBackend):
    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        return super().put(key, source)


class ReadsOnce(MemoryBackend):
    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        first = source.read(1024 * 1024)
        return super().put(key, _Given([first]), size=size)


class IgnoresTheOffset(MemoryBackend):
    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> ObjectReader:
        return super().get(key, length=length)


class IgnoresCase(MemoryBackend):
    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        return super().put(key.lower(), source, size=size)


class TakesAnyKey(MemoryBackend):
    def delete(self, keys: Iterable[str]) -> Iterator[DeleteFailure]:
        return super().delete(key for key in keys if ".." not in key)


class RefusesNesting(MemoryBackend):
    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        if any(key.startswith(f"{other}/") for other in self.objects):
            raise StorageKeyError(key, "in the way")
        return super().put(key, source, size=size)


class DeletesPrefixes(MemoryBackend):
    def delete(self, keys: Iterable[str]) -> Iterator[DeleteFailure]:
        wanted = list(keys)
        return super().delete([*wanted, *(old for key in wanted for old in list(self.objects) if old.startswith(key))])


class OneEtagForAll(MemoryBackend):
    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        info = super().put(key, source, size=size)
        return ObjectInfo(key=info.key, size=info.size, etag="same", modified=info.modified)


class _Given:
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def read(self, size: int = -1, /) -> bytes:
        return self._pieces.pop() if self._pieces else b""


class CutsKeys(MemoryBackend):
    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        return super().put(key[:255], source, size=size)


class Tears(MemoryBackend):
    """Shows a reader the first byte of another object."""

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> ObjectReader:
        super().get(key)
        torn = MemoryBackend()
        torn.put(key, io.BytesIO(b"z" + self.objects[key][1:]))
        return torn.get(key, offset=offset, length=length)


class KeepsFolders(MemoryBackend):
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        marker = ObjectInfo(key="shared/folder/", size=0, etag="", modified=datetime.now(UTC))
        return iter([marker, *super().list(prefix)])


class QuotesKeys(MemoryBackend):
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return iter([evolve(info, key=f"%{info.key}") for info in super().list(prefix)])


class HidesAbsence(MemoryBackend):
    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> ObjectReader:
        self.objects.setdefault(key, b"")
        return super().get(key, offset=offset, length=length)


class DropsEmpty(MemoryBackend):
    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        info = super().put(key, source, size=size)
        if not info.size:
            del self.objects[key]
        return info


class MeasuresTwice(MemoryBackend):
    def stat(self, key: str) -> ObjectInfo:
        return evolve(super().stat(key), size=-1)


class KnowsNoTime(MemoryBackend):
    def stat(self, key: str) -> ObjectInfo:
        return evolve(super().stat(key), modified=datetime.fromtimestamp(0, UTC))


class ListsAPage(MemoryBackend):
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return islice(super().list(prefix), 100)


class WantsWhatItDeletes(MemoryBackend):
    def delete(self, keys: Iterable[str]) -> Iterator[DeleteFailure]:
        for key in keys:
            if key not in self.objects:
                yield DeleteFailure(key=key, reason="not there")
            self.objects.pop(key, None)


class DeletesAPage(MemoryBackend):
    def delete(self, keys: Iterable[str]) -> Iterator[DeleteFailure]:
        return super().delete(islice(keys, 1000))


class DeletesTheFirst(MemoryBackend):
    def delete(self, keys: Iterable[str]) -> Iterator[DeleteFailure]:
        return super().delete(islice(keys, 10))


class ClosesOnce(MemoryBackend):
    def close(self) -> None:
        assert not self.closed
        super().close()


class _Reader(io.BytesIO):
    def __exit__(self, *_: object) -> None:
        self.close()


class ReadsAllAtOnce(MemoryBackend):
    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> ObjectReader:
        class Greedy(_Reader):
            def read(self, _size: int | None = -1, /) -> bytes:
                return super().read()

        return Greedy(super().get(key, offset=offset, length=length).read())


class ReadsWhatIsThereNow(MemoryBackend):
    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> ObjectReader:
        now = super().get

        class Late(_Reader):
            def read(self, size: int | None = -1, /) -> bytes:
                at = self.tell()
                self.write(now(key, offset=offset, length=length).read()[at:])
                self.seek(at)
                return super().read(size)

        return Late()


BREACHES: list[tuple[str, type[MemoryBackend], dict[str, object]]] = [
    ("test_the_longest_key_is_held", CutsKeys, {}),
    ("test_a_key_below_another_is_held_or_refused", RefusesNesting, {"first": "a", "second": "a/b"}),
    (
        "test_another_spelling_is_another_object_or_refused",
        IgnoresCase,
        {"first": "x/readme", "second": "x/README"},
    ),
    ("test_a_reader_never_sees_a_mixture_of_two_writers", Tears, {}),
    ("test_deleting_beside_a_writer_breaks_neither", KeepsFolders, {}),
    ("test_it_behaves_like_a_dictionary", Unsorted, {}),
    ("test_it_behaves_like_a_dictionary", KeepsHalves, {}),
    ("test_an_awkward_key_holds_what_was_put", QuotesKeys, {"key": "a b"}),
    ("test_what_is_no_key_is_refused_by_every_method", TakesAnyKey, {"key": "../up"}),
    ("test_an_absent_object_is_named_with_the_place_that_was_searched", HidesAbsence, {}),
    ("test_an_empty_object_is_an_object", DropsEmpty, {}),
    ("test_a_source_that_dribbles_is_read_to_its_end", ReadsOnce, {"size": None}),
    ("test_put_and_stat_and_list_say_the_same", MeasuresTwice, {}),
    ("test_put_and_stat_and_list_say_the_same", KnowsNoTime, {}),
    ("test_an_overwritten_object_is_the_new_one_with_a_new_etag", OneEtagForAll, {}),
    (
        "test_a_range_is_that_part_or_what_there_is_of_it",
        IgnoresTheOffset,
        {"offset": 3, "length": None, "expected": b"3456789"},
    ),
    ("test_a_reader_gives_no_more_than_is_asked_for_and_one_object_to_its_end", ReadsAllAtOnce, {}),
    ("test_a_reader_gives_no_more_than_is_asked_for_and_one_object_to_its_end", ReadsWhatIsThereNow, {}),
    ("test_a_writer_that_dies_half_way_changes_nothing", KeepsHalves, {"old": None}),
    ("test_another_size_than_announced_is_refused", BelievesTheSize, {"announced": 4}),
    ("test_it_says_where_it_is_and_closes_twice", ClosesOnce, {}),
    ("test_an_empty_storage_lists_nothing", KeepsFolders, {}),
    ("test_the_order_is_that_of_the_bytes_of_the_keys", Unsorted, {}),
    ("test_the_order_is_that_of_the_bytes_of_the_keys", InUtf16Order, {}),
    (
        "test_a_prefix_is_of_characters",
        PrefixesAreFolders,
        {"prefix": "a", "expected": ["a.b", "a/b", "a/c/d", "ab"]},
    ),
    ("test_many_objects_are_all_listed", ListsAPage, {}),
    ("test_deleting_takes_those_objects_and_no_others", DeletesPrefixes, {}),
    ("test_deleting_what_is_not_there_succeeds", WantsWhatItDeletes, {}),
    ("test_deleting_does_not_end_with_a_page", DeletesAPage, {}),
    ("test_deleting_all_that_is_listed_leaves_nothing", DeletesTheFirst, {}),
    ("test_one_key_that_cannot_be_deleted_does_not_keep_the_others", TakesAnyKey, {}),
]


@pytest.fixture
def unshrunk() -> Iterator[None]:
    """Let Hypothesis stop at the first failure, which is not read here."""
    name = settings.get_current_profile_name()
    settings.register_profile("unshrunk", settings(), phases=[Phase.generate])
    settings.load_profile("unshrunk")
    yield
    settings.load_profile(name)


@pytest.mark.usefixtures("unshrunk")
@pytest.mark.parametrize(("test", "breach", "parameters"), BREACHES)
def test_a_breach_is_found(test: str, breach: type[MemoryBackend], parameters: dict[str, object]) -> None:
    call(TestMemory(), test, {"backend": MemoryBackend(), **parameters})
    with pytest.raises(CAUGHT):
        call(TestMemory(), test, {"backend": breach(), **parameters})


def test_a_storage_that_holds_an_object_in_memory_is_found() -> None:
    with pytest.raises(AssertionError):
        StorageContract().test_a_large_object_passes_through_little_memory(MemoryBackend())


def test_every_promise_has_something_that_breaks_it() -> None:
    memory = {"test_a_large_object_passes_through_little_memory"}
    assert unbroken(StorageContract, [test for test, _, _ in BREACHES]) == memory
