"""Drives a storage beside a dictionary; they must agree after every step."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from botdock.errors import ObjectNotFoundError, StorageError, StorageKeyError
from botdock_testing._byte_sources import BrokenSourceError, DribblingSource, DyingSource, listed, read_bytes
from botdock_testing._storage_keys import AWKWARD_KEYS, in_the_way, storage_keys

if TYPE_CHECKING:
    from botdock.model import StorageBackend
    from botdock_testing.storage import StorageContract

_KEYS = st.sampled_from(AWKWARD_KEYS) | storage_keys(max_bytes=200)
_DATA = st.binary(max_size=300)


class StorageMachine(RuleBasedStateMachine):
    """Puts, gets, lists and deletes at random, writers that die and writers that race among it."""

    def __init__(self, backend: StorageBackend, contract: StorageContract) -> None:
        super().__init__()
        self.backend = backend
        self.contract = contract
        self.model: dict[str, bytes] = {}
        assert not list(backend.delete(info.key for info in backend.list()))

    def refused(self, key: str) -> bool:
        """Whether the storage must refuse `key` for what it says it cannot do."""
        return in_the_way(
            key,
            set(self.model),
            nests_keys=self.contract.nests_keys,
            distinguishes_case=self.contract.distinguishes_case,
        )

    @rule(key=_KEYS, data=_DATA, sized=st.booleans())
    def put(self, key: str, data: bytes, sized: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        """Put an object, or be refused what the storage says it cannot hold."""
        size = len(data) if sized else None
        if self.refused(key):
            with pytest.raises(StorageKeyError):
                self.backend.put(key, DribblingSource(data), size=size)
        else:
            assert self.backend.put(key, DribblingSource(data), size=size).size == len(data)
            self.model[key] = data

    @rule(key=_KEYS, data=_DATA)
    def put_dies_half_way(self, key: str, data: bytes) -> None:
        """Put one whose source breaks: nothing of it is seen."""
        with pytest.raises((BrokenSourceError, StorageKeyError)):
            self.backend.put(key, DyingSource(data))

    @rule(key=_KEYS, data=_DATA, wrong=st.integers(-3, 3).filter(bool))
    def put_of_another_size(self, key: str, data: bytes, wrong: int) -> None:
        """Put one that is not as long as was said: nothing of it is seen."""
        with pytest.raises((StorageError, StorageKeyError)):
            self.backend.put(key, io.BytesIO(data), size=max(0, len(data) + wrong) if data else 1)

    @rule(key=_KEYS, contents=st.lists(_DATA, min_size=2, max_size=4))
    def race(self, key: str, contents: list[bytes]) -> None:
        """Put several at one key at once: one of them is whole."""
        if self.refused(key):
            return
        with ThreadPoolExecutor(len(contents)) as threads:
            list(threads.map(lambda data: self.backend.put(key, DribblingSource(data, step=50)), contents))
        self.model[key] = read_bytes(self.backend, key)
        assert self.model[key] in contents

    @rule(key=_KEYS, offset=st.integers(0, 400), length=st.none() | st.integers(0, 400))
    def get(self, key: str, offset: int, length: int | None) -> None:
        """Read a part of one."""
        if key not in self.model:
            with pytest.raises(ObjectNotFoundError), self.backend.get(key, offset=offset, length=length):
                pass
            return
        end = None if length is None else offset + length
        assert read_bytes(self.backend, key, offset, length) == self.model[key][offset:end]

    @rule(key=_KEYS)
    def stat(self, key: str) -> None:
        """Ask for the size of one."""
        if key in self.model:
            assert self.backend.stat(key).size == len(self.model[key])
        else:
            with pytest.raises(ObjectNotFoundError):
                self.backend.stat(key)

    @rule(keys=st.lists(_KEYS, max_size=4))
    def delete(self, keys: list[str]) -> None:
        """Delete some, which may not be there."""
        assert not list(self.backend.delete(keys))
        for key in keys:
            self.model.pop(key, None)

    @rule(key=_KEYS, cut=st.integers(0, 20))
    def list_a_prefix(self, key: str, cut: int) -> None:
        """List those of a prefix."""
        assert listed(self.backend, key[:cut]) == self.expected(key[:cut])

    @invariant()
    def all_is_listed(self) -> None:
        """Whatever was done, all that there is is listed, in order."""
        listed = [(info.key, info.size) for info in self.backend.list()]
        assert listed == [(key, len(self.model[key])) for key in self.expected("")]

    def expected(self, prefix: str) -> list[str]:
        """Return the keys of the model that begin with `prefix`, in the order that a storage lists them."""
        return sorted((key for key in self.model if key.startswith(prefix)), key=str.encode)
