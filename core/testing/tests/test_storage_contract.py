"""The contract itself: a storage that keeps it passes, and each way of breaking it is found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from botdock.errors import BotdockError, StorageKeyError
from botdock.model import ByteReader, DeleteFailure, ObjectInfo, ObjectReader, StorageBackend
from botdock_testing.memory_storage import MemoryBackend
from botdock_testing.storage import StorageContract


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


BREACHES: list[tuple[type[MemoryBackend], Callable[[StorageContract, StorageBackend], None]]] = [
    (Unsorted, StorageContract.test_the_order_is_that_of_the_bytes_of_the_keys),
    (InUtf16Order, StorageContract.test_the_order_is_that_of_the_bytes_of_the_keys),
    (PrefixesAreFolders, lambda contract, backend: contract.test_a_prefix_is_of_characters(
        backend, "a", ["a.b", "a/b", "a/c/d", "ab"]
    )),
    (KeepsHalves, lambda contract, backend: contract.test_a_writer_that_dies_half_way_changes_nothing(backend, None)),
    (BelievesTheSize, lambda contract, backend: contract.test_another_size_than_announced_is_refused(backend, 4)),
    (ReadsOnce, lambda contract, backend: contract.test_a_source_that_dribbles_is_read_to_its_end(backend, None)),
    (IgnoresTheOffset, lambda contract, backend: contract.test_a_range_is_that_part_or_what_there_is_of_it(
        backend, 3, None, b"3456789"
    )),
    (IgnoresCase, lambda contract, backend: contract.test_another_spelling_is_another_object_or_refused(
        backend, "x/readme", "x/README"
    )),
    (TakesAnyKey, StorageContract.test_one_key_that_cannot_be_deleted_does_not_keep_the_others),
    (RefusesNesting, lambda contract, backend: contract.test_a_key_below_another_is_held_or_refused(
        backend, "a", "a/b"
    )),
    (DeletesPrefixes, StorageContract.test_deleting_takes_those_objects_and_no_others),
    (OneEtagForAll, StorageContract.test_an_overwritten_object_is_the_new_one_with_a_new_etag),
]  # fmt: skip


@pytest.mark.parametrize(("breach", "test"), BREACHES, ids=[breach.__name__ for breach, _ in BREACHES])
def test_a_breach_is_found(
    breach: type[MemoryBackend], test: Callable[[StorageContract, StorageBackend], None]
) -> None:
    test(StorageContract(), MemoryBackend())
    with pytest.raises((AssertionError, BotdockError, pytest.fail.Exception)):
        test(StorageContract(), breach())


@pytest.mark.parametrize("breach", [Unsorted, KeepsHalves])
def test_the_walk_at_random_finds_it_too(breach: type[MemoryBackend]) -> None:
    with pytest.raises(AssertionError):
        StorageContract().test_it_behaves_like_a_dictionary(breach())
