"""The part of the storage contract about single objects."""

from __future__ import annotations

import io
import tracemalloc
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from botdock.errors import ObjectNotFoundError, StorageError, StorageKeyError
from botdock_testing._byte_sources import (
    BrokenSourceError,
    DribblingSource,
    DyingSource,
    LongSource,
    listed,
    put_bytes,
    read_bytes,
)
from botdock_testing._storage_keys import AWKWARD_KEYS, REFUSED_KEYS

if TYPE_CHECKING:
    from typing import ClassVar

    from botdock.model import StorageBackend

_CLOCKS_DIFFER = timedelta(days=2)
"""More than the clock of a neglected server is off, or than a time zone that is left out."""
_LARGE = 48 * 1024 * 1024
_RANGES = [
    (0, None, b"0123456789"),
    (3, None, b"3456789"),
    (3, 4, b"3456"),
    (3, 0, b""),
    (0, 10, b"0123456789"),
    (8, 100, b"89"),
    (10, None, b""),
    (10, 1, b""),
    (10**12, 5, b""),
]
"""Offset and length in ten digits, and what they hold there."""


class ObjectTests:
    """What is put is got, whole or not at all."""

    memory: ClassVar[int]

    @pytest.mark.parametrize("key", AWKWARD_KEYS)
    def test_an_awkward_key_holds_what_was_put(self, backend: StorageBackend, key: str) -> None:
        info = put_bytes(backend, key, key.encode())
        assert (info.key, info.size) == (key, len(key.encode()))
        assert read_bytes(backend, key) == key.encode()
        assert listed(backend) == [key]

    @pytest.mark.parametrize("key", REFUSED_KEYS)
    def test_what_is_no_key_is_refused_by_every_method(self, backend: StorageBackend, key: str) -> None:
        with pytest.raises(StorageKeyError):
            put_bytes(backend, key)
        with pytest.raises(StorageKeyError):
            backend.get(key)
        with pytest.raises(StorageKeyError):
            backend.stat(key)
        assert [failure.key for failure in backend.delete([key])] == [key]
        assert not listed(backend)

    def test_an_absent_object_is_named_with_the_place_that_was_searched(self, backend: StorageBackend) -> None:
        for look in (backend.get, backend.stat):
            with pytest.raises(ObjectNotFoundError) as caught:
                look("not/there")
            assert caught.value.key == "not/there"
            assert caught.value.backend

    def test_an_empty_object_is_an_object(self, backend: StorageBackend) -> None:
        assert put_bytes(backend, "empty", b"").size == 0
        assert read_bytes(backend, "empty") == b""
        assert listed(backend) == ["empty"]

    @pytest.mark.parametrize("size", [None, 5000])
    def test_a_source_that_dribbles_is_read_to_its_end(self, backend: StorageBackend, size: int | None) -> None:
        data = bytes(range(250)) * 20
        backend.put("dribble", DribblingSource(data, step=7), size=size)
        assert read_bytes(backend, "dribble") == data

    def test_put_and_stat_and_list_say_the_same(self, backend: StorageBackend) -> None:
        info = put_bytes(backend, "a/b", b"12345")
        for other in (info, backend.stat("a/b"), next(backend.list("a/"))):
            assert (other.key, other.size, other.etag) == (info.key, info.size, info.etag)
            assert abs(datetime.now(UTC) - other.modified) < _CLOCKS_DIFFER

    def test_an_overwritten_object_is_the_new_one_with_a_new_etag(self, backend: StorageBackend) -> None:
        etags = [put_bytes(backend, "same", b"%04d" % number).etag for number in range(20)]
        assert all(old != new for old, new in pairwise(etags))
        assert read_bytes(backend, "same") == b"0019"
        assert listed(backend) == ["same"]

    @pytest.mark.parametrize(("offset", "length", "expected"), _RANGES)
    def test_a_range_is_that_part_or_what_there_is_of_it(
        self, backend: StorageBackend, offset: int, length: int | None, expected: bytes
    ) -> None:
        put_bytes(backend, "digits", b"0123456789")
        assert read_bytes(backend, "digits", offset, length) == expected
        with backend.get("digits", offset=offset, length=length) as reader:
            assert reader.read() == expected

    def test_a_reader_gives_no_more_than_is_asked_for_and_one_object_to_its_end(self, backend: StorageBackend) -> None:
        old, new = b"old" * 100_000, b"new" * 100_000
        put_bytes(backend, "object", old)
        with backend.get("object") as reader:
            first = reader.read(1000)
            assert 0 < len(first) <= 1000, "read(n) gave more than n bytes"
            put_bytes(backend, "object", new)
            seen = first + b"".join(iter(lambda: reader.read(1000), b""))
        assert seen in {old, new}, "what was put meanwhile is mixed into what is read"

    @pytest.mark.parametrize("old", [None, b"old"])
    def test_a_writer_that_dies_half_way_changes_nothing(self, backend: StorageBackend, old: bytes | None) -> None:
        if old is not None:
            put_bytes(backend, "object", old)
        with pytest.raises(BrokenSourceError):
            backend.put("object", DyingSource(b"half" * 1000))
        assert listed(backend) == ([] if old is None else ["object"])
        assert old is None or read_bytes(backend, "object") == old

    @pytest.mark.parametrize("announced", [0, 4, 6, 5_000_000])
    def test_another_size_than_announced_is_refused(self, backend: StorageBackend, announced: int) -> None:
        put_bytes(backend, "object", b"old")
        with pytest.raises(StorageError) as caught:
            backend.put("object", io.BytesIO(b"12345"), size=announced)
        assert caught.value.key == "object"
        assert read_bytes(backend, "object") == b"old"

    def test_a_large_object_passes_through_little_memory(self, backend: StorageBackend) -> None:
        tracemalloc.start()
        try:
            backend.put("large", LongSource(_LARGE))
            with backend.get("large") as reader:
                size = sum(map(len, iter(lambda: reader.read(256 * 1024), b"")))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert size == _LARGE
        assert peak < self.memory

    def test_it_says_where_it_is_and_closes_twice(self, backend: StorageBackend) -> None:
        assert backend.location
        backend.close()
        backend.close()
