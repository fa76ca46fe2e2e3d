"""Code is known by its digest, and by where it came from, even while the storage is away."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from pathlib import Path

import attrs
import pytest

from botdock.config import CodeConfig
from botdock.errors import CodeError, ObjectNotFoundError, PolicyError, StorageUnavailableError
from botdock.model import ByteReader
from botdock_testing._code_store import CodeRuns, CountingStore

HELLO = {"main.py": "def main(id, config): ...\n", "lib/util.py": "X = 1\n"}


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def runs(tmp_path: Path, store: CountingStore) -> CodeRuns:
    return CodeRuns(tmp_path / "home", store.code)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class TestADigest:
    def test_that_is_known_is_enough(self, runs: CodeRuns, store: CountingStore) -> None:
        digest = sha256(store.put_code("a.zip", HELLO))
        runs.run("a.zip")
        store.stats = 0
        store.away = True
        assert runs.run("a.zip", code_digest=digest) == HELLO
        assert runs.run("a.zip", code_digest=f"sha256:{digest.upper()}") == HELLO
        assert (store.gets, store.stats) == (1, 0)
        assert set(runs.notes) == {""}

    def test_that_is_new_is_compared_with_the_bytes(self, runs: CodeRuns, store: CountingStore) -> None:
        digest = sha256(store.put_code("a.zip", HELLO))
        assert runs.run("a.zip", code_digest=digest) == HELLO

    @pytest.mark.parametrize("cache_bytes", [0, 2**30])
    @pytest.mark.parametrize("kind", ["object", "archive", "bytes"])
    def test_of_other_bytes_is_refused(
        self, runs: CodeRuns, store: CountingStore, tmp_path: Path, kind: str, cache_bytes: int
    ) -> None:
        runs.config = CodeConfig(cache_bytes=cache_bytes)
        data = store.put_code("a.zip", HELLO)
        (tmp_path / "bot.zip").write_bytes(data)
        name = {"object": "a.zip", "archive": str(tmp_path / "bot.zip"), "bytes": "given"}[kind]
        for _ in range(2):
            with pytest.raises(CodeError, match=f"sha256:{sha256(data)}.* sha256:{'0' * 64}") as caught:
                runs.run(name, code_digest="0" * 64, code=data if kind == "bytes" else b"")
            assert caught.value.source == name
            runs_left = list(runs.home.glob("executions/*/workspace")) + runs.left_over()
            assert runs_left == []
        assert runs.run(name, code=data if kind == "bytes" else b"") == HELLO

    def test_is_no_code_where_only_the_storage_is(self, runs: CodeRuns, store: CountingStore) -> None:
        data = store.put_code("a.zip", HELLO)
        runs.run("given", code=data)
        runs.local_code = False
        with pytest.raises(PolicyError, match="code at 'given' is given as bytes") as caught:
            runs.run("given", code=data)
        assert caught.value.setting == "policy.local_code"
        with pytest.raises(ObjectNotFoundError, match=r"policy\.local_code is off"):
            runs.run("elsewhere.zip", code_digest=sha256(data))
        store.put_code("other.zip", {**HELLO, "lib/util.py": ""})
        with pytest.raises(CodeError, match=f"code_digest asks for sha256:{sha256(data)}"):
            runs.run("other.zip", code_digest=sha256(data))
        assert runs.run("a.zip", code_digest=sha256(data)) == HELLO
        store.away = True
        assert runs.run("a.zip", code_digest=sha256(data)) == HELLO
        with pytest.raises(StorageUnavailableError):
            runs.run("elsewhere.zip", code_digest=sha256(data))

    def test_says_nothing_of_a_folder(self, runs: CodeRuns, tmp_path: Path) -> None:
        (tmp_path / "tree").mkdir()
        with pytest.raises(CodeError, match="is a folder, which code_digest says nothing of\nPack it first"):
            runs.run(str(tmp_path / "tree"), code_digest="0" * 64)


class TestAStoreThatIsAway:
    def test_is_not_needed_for_code_that_is_cached(self, runs: CodeRuns, store: CountingStore) -> None:
        store.put_code("a.zip", HELLO)
        runs.run("a.zip")
        store.away = True
        assert runs.run("a.zip") == HELLO
        assert runs.notes == ["", "cached copy, the storage did not answer"]

    def test_is_needed_for_other_code(self, runs: CodeRuns, store: CountingStore) -> None:
        store.put_code("a.zip", HELLO)
        runs.run("a.zip")
        store.away = True
        with pytest.raises(StorageUnavailableError):
            runs.run("b.zip")
        with pytest.raises(StorageUnavailableError):
            runs.run("a.zip", code_digest="0" * 64)
        assert runs.left_over() == []

    def test_is_not_taken_for_another_of_the_same_name(self, runs: CodeRuns, store: CountingStore) -> None:
        store.put_code("a.zip", HELLO)
        runs.run("a.zip")
        store.away = True
        runs.store = attrs.evolve(store.code, location=lambda: "elsewhere")
        with pytest.raises(StorageUnavailableError):
            runs.run("a.zip")

    def test_and_goes_away_while_it_is_looked_at_again(self, runs: CodeRuns, store: CountingStore) -> None:
        store.put_code("a.zip", HELLO)

        def get(key: str) -> AbstractContextManager[ByteReader]:
            reader = store.get(key)
            store.away = True
            return reader

        runs.store = attrs.evolve(store.code, open=get)
        assert runs.run("a.zip") == HELLO
        store.away = False
        assert runs.run("a.zip") == HELLO
        assert store.gets == 2
