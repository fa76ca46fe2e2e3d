"""The part of the storage contract about many objects: lists and deletions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from botdock_testing._byte_sources import listed, put_bytes

if TYPE_CHECKING:
    from botdock.model import StorageBackend

_IN_ORDER = ["a b", "a!", "a-1/x", "a.b", "a.b.c", "a/b-c", "a/b/c", "a0", "ab", "b", "é", "\uff5e", "\U0001f600"]
"""In the order of their UTF-8 bytes; that of names within folders, and that of UTF-16, are others."""
_PREFIXES: dict[str, list[str]] = {
    "a": ["a.b", "a/b", "a/c/d", "ab"],
    "a/": ["a/b", "a/c/d"],
    "a/c": ["a/c/d"],
    "a/c/d": ["a/c/d"],
    **{nothing: [] for nothing in ["a/c/d/", "A", "c", "/", "a//", "..", "../", "a/../", "\0", "*", "x" * 2000]},
}


class ListingTests:
    """Objects are found by the first characters of their keys, in order, and go away when they are deleted."""

    def test_an_empty_storage_lists_nothing(self, backend: StorageBackend) -> None:
        assert listed(backend) == []

    def test_the_order_is_that_of_the_bytes_of_the_keys(self, backend: StorageBackend) -> None:
        for key in reversed(_IN_ORDER):
            put_bytes(backend, key)
        assert listed(backend) == sorted(_IN_ORDER, key=str.encode) == _IN_ORDER

    @pytest.mark.parametrize(("prefix", "expected"), _PREFIXES.items())
    def test_a_prefix_is_of_characters(self, backend: StorageBackend, prefix: str, expected: list[str]) -> None:
        for key in ("a/b", "a/c/d", "ab", "a.b", "b"):
            put_bytes(backend, key)
        assert listed(backend, prefix) == expected

    def test_many_objects_are_all_listed(self, backend: StorageBackend) -> None:
        keys = [f"{number % 7}/{number:04}" for number in range(150)]
        for key in keys:
            put_bytes(backend, key, b"")
        assert listed(backend) == sorted(keys)

    def test_deleting_takes_those_objects_and_no_others(self, backend: StorageBackend) -> None:
        for key in ("a/b", "a/bc", "a/c", "d"):
            put_bytes(backend, key)
        assert list(backend.delete(["a/b", "d"])) == []
        assert listed(backend) == ["a/bc", "a/c"]

    def test_deleting_what_is_not_there_succeeds(self, backend: StorageBackend) -> None:
        put_bytes(backend, "a/b")
        assert list(backend.delete(["a", "a/b/c", "x/y", "a/b", "a/b"])) == []
        assert listed(backend) == []

    def test_deleting_does_not_end_with_a_page(self, backend: StorageBackend) -> None:
        put_bytes(backend, "last")
        absent = [f"absent/{number}" for number in range(1001)]  # S3 takes a thousand at once
        assert list(backend.delete([*absent, "last"])) == []
        assert listed(backend) == []

    def test_deleting_all_that_is_listed_leaves_nothing(self, backend: StorageBackend) -> None:
        for number in range(40):
            put_bytes(backend, f"{number % 3}/{number}")
        assert list(backend.delete(info.key for info in backend.list())) == []
        assert listed(backend) == []

    def test_one_key_that_cannot_be_deleted_does_not_keep_the_others(self, backend: StorageBackend) -> None:
        put_bytes(backend, "a")
        put_bytes(backend, "b")
        failures = list(backend.delete(["a", "../up", "b"]))
        assert [failure.key for failure in failures] == ["../up"]
        assert failures[0].reason
        assert listed(backend) == []
