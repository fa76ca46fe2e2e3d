"""What every storage must do, as tests that any plugin can run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

pytest.register_assert_rewrite(
    "botdock_testing._storage_listing", "botdock_testing._storage_machine", "botdock_testing._storage_objects"
)

from botdock.errors import StorageKeyError  # noqa: E402 - what follows must be imported after pytest was told of it
from botdock.model.storage import MAX_KEY_BYTES  # noqa: E402 - after their assertions are to be rewritten
from botdock_testing._byte_sources import DribblingSource, listed, put_bytes, read_bytes  # noqa: E402 - after their assertions are to be rewritten
from botdock_testing._kept import Contract  # noqa: E402 - after their assertions are to be rewritten
from botdock_testing._storage_keys import storage_keys  # noqa: E402 - after their assertions are to be rewritten
from botdock_testing._storage_listing import ListingTests  # noqa: E402 - after their assertions are to be rewritten
from botdock_testing._storage_machine import StorageMachine  # noqa: E402 - after their assertions are to be rewritten
from botdock_testing._storage_objects import ObjectTests  # noqa: E402 - after their assertions are to be rewritten

if TYPE_CHECKING:
    from botdock.model import StorageBackend

__all__ = ["StorageContract", "StorageMachine", "storage_keys"]


class StorageContract(ObjectTests, ListingTests, Contract, contract=True):
    """Tests that hold for every `StorageBackend`.

    Subclass it with one fixture, `backend`, that gives an empty storage; and declare what yours cannot do. A declared
    limit is tested too: what cannot be held must be refused with a `StorageKeyError`, never be mixed up. A test that
    does not hold can be overridden only by one that is marked `xfail` with a reason, so that no limit goes unseen.

    Example:
        ```python
        import pytest
        from botdock_testing import StorageContract
        from my_package.backend import DictionaryBackend

        class TestDictionary(StorageContract):
            @pytest.fixture
            def backend(self):
                return DictionaryBackend()
        ```

    Attributes:
        nests_keys: Whether `a` and `a/b` can both be objects; not so where objects are files.
        distinguishes_case: Whether names that differ only in case, or in the form of an accent, are different objects.
        max_key_bytes: Bytes of the longest key; less than 1024 where a prefix of your own comes before it.
        memory: Bytes that reading and writing an object of 48 MiB may take at most.
        machine: The state machine that walks; a subclass of it may know more rules.
        examples: Walks that it makes.
        steps: Steps of each of these walks.
    """

    nests_keys: ClassVar[bool] = True
    distinguishes_case: ClassVar[bool] = True
    max_key_bytes: ClassVar[int] = MAX_KEY_BYTES
    memory: ClassVar[int] = 24 * 1024 * 1024
    machine: ClassVar[type[StorageMachine]] = StorageMachine
    examples: ClassVar[int] = 15
    steps: ClassVar[int] = 20

    def test_the_longest_key_is_held(self, backend: StorageBackend) -> None:
        key = "/".join(["n" * 200] * 6)[: self.max_key_bytes].rstrip("/")
        put_bytes(backend, key)
        assert listed(backend, key[:300]) == [key]

    @pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a/b", "a/b/c/d")])
    def test_a_key_below_another_is_held_or_refused(self, backend: StorageBackend, first: str, second: str) -> None:
        put_bytes(backend, first, b"first")
        self._put_or_refuse(backend, first, second, able=self.nests_keys)

    @pytest.mark.parametrize(("first", "second"), [("ab/c", "Ab/c"), ("x/readme", "x/README"), ("\u00e9", "e\u0301")])
    def test_another_spelling_is_another_object_or_refused(
        self, backend: StorageBackend, first: str, second: str
    ) -> None:
        put_bytes(backend, first, b"first")
        self._put_or_refuse(backend, first, second, able=self.distinguishes_case)

    def _put_or_refuse(self, backend: StorageBackend, first: str, second: str, *, able: bool) -> None:
        if able:
            put_bytes(backend, second, b"second")
            assert read_bytes(backend, second) == b"second"
        else:
            with pytest.raises(StorageKeyError) as caught:
                put_bytes(backend, second, b"second")
            assert caught.value.key == second
        assert read_bytes(backend, first) == b"first"
        assert listed(backend) == sorted([first, second] if able else [first])

    def test_a_reader_never_sees_a_mixture_of_two_writers(self, backend: StorageBackend) -> None:
        contents = [bytes([letter]) * (40_000 + letter) for letter in b"abcd"]
        put_bytes(backend, "contested", contents[0])

        def write(data: bytes) -> None:
            for _ in range(10):
                backend.put("contested", DribblingSource(data, step=9000))

        with ThreadPoolExecutor(len(contents)) as threads:
            writers = [threads.submit(write, data) for data in contents]
            seen = [read_bytes(backend, "contested") for _ in range(40)]
        assert [writer.result() for writer in writers] == [None] * len(contents)
        assert all(data in contents for data in [*seen, read_bytes(backend, "contested")])

    def test_deleting_beside_a_writer_breaks_neither(self, backend: StorageBackend) -> None:
        def put_and_delete(name: str) -> None:
            for _ in range(25):
                put_bytes(backend, f"shared/folder/{name}", name.encode())
                assert read_bytes(backend, f"shared/folder/{name}") == name.encode()
                assert list(backend.delete([f"shared/folder/{name}"])) == []

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(put_and_delete, "abcd"))
        assert listed(backend) == []

    def test_it_behaves_like_a_dictionary(self, backend: StorageBackend) -> None:
        run_state_machine_as_test(
            lambda: self.machine(backend, self),  # type: ignore[arg-type]  # a class is called, no more
            settings=settings(
                max_examples=self.examples,
                stateful_step_count=self.steps,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )
