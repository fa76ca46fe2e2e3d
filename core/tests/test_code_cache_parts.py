"""The parts of the cache by themselves: locks, staging, pins, index."""

from __future__ import annotations

import errno
import fcntl
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock._locks import lock_folder, locked, locked_at_once
from botdock.errors import ObjectNotFoundError, StorageError
from botdock.model import ObjectInfo, ObjectReader
from botdock.services.code.sources import CodeStore, object_supply
from botdock.services.code_cache import CodeCache, folder
from botdock.services.code_cache.folder import CacheFolder, failures
from botdock.services.code_cache.records import Index
from botdock_testing._code_store import CountingStore

NEARLY = st.from_regex(rb'\{"identity": (\[\]|1|"x"), "etag": .{0,20}\}', fullmatch=True)
INFO = ObjectInfo(key="a", size=1, etag="e", modified=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def cache(tmp_path: Path) -> CacheFolder:
    made = CacheFolder(root=tmp_path / "cache", limits={})
    made.make()
    return made


class TestLocks:
    def test_one_at_a_time_and_readers_together(self, tmp_path: Path) -> None:
        lock = tmp_path / "lock"
        with locked(lock, timeout=0, shared=True), locked(lock, timeout=0, shared=True):
            with pytest.raises(TimeoutError, match="busy with it for 0 seconds"), locked(lock, timeout=0):
                pass
            with locked_at_once(lock) as alone:
                assert not alone
        with locked_at_once(lock) as alone:
            assert alone

    def test_a_lock_that_its_holder_removed_is_taken_anew(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lock, flock = tmp_path / "lock", fcntl.flock
        removed: list[bool] = []

        def flock_late(descriptor: int, how: int) -> None:
            if not removed:
                lock.unlink()
                removed.append(True)
            flock(descriptor, how)

        monkeypatch.setattr(fcntl, "flock", flock_late)
        with locked(lock, timeout=10):
            assert lock.exists()
        assert removed

    def test_who_waits_gets_it_when_it_is_free(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pauses: list[float] = []
        with ExitStack() as holder:
            holder.enter_context(locked(tmp_path / "lock", timeout=0))

            def give_back_after_a_while(pause: float) -> None:
                pauses.append(pause)
                if len(pauses) == 20:
                    holder.close()

            monkeypatch.setattr(time, "sleep", give_back_after_a_while)
            with locked(tmp_path / "lock", timeout=60):
                assert (len(pauses), pauses[0], pauses[-1]) == (20, 0.005, 0.1)

    def test_a_file_system_without_locks_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def none(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", none)
        cache = CodeCache(tmp_path / "cache", limit=1, limits={})
        with pytest.raises(StorageError, match="No locks available\nIts file system has no locks"):
            cache.trim()

    def test_waiting_for_too_long_says_what_for(self, tmp_path: Path) -> None:
        cache = CodeCache(tmp_path / "cache", limit=1, limits={}, patience=0)
        with cache.alone_with(("object", "a")), pytest.raises(StorageError, match="Another run has been fetching"):
            cache.alone_with(("object", "a")).__enter__()


class TestStaging:
    def test_what_is_in_use_is_not_swept(self, cache: CacheFolder) -> None:
        with cache.staging() as staging:
            staging.archive.write_text("x")
            cache.sweep()
            assert staging.archive.exists()
            assert lock_folder(staging.folder) is None
        assert list((cache.root / "drafts").iterdir()) == []

    def test_what_was_swept_before_it_was_locked_is_made_again(
        self, cache: CacheFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        swept: list[Path] = []

        def sweep_first(path: Path) -> int | None:
            if not swept:
                swept.append(path)
                path.rmdir()
            return lock_folder(path)

        monkeypatch.setattr(folder, "lock_folder", sweep_first)
        with cache.staging() as staging:
            assert staging.folder not in swept
            assert staging.folder.exists()

    def test_what_cannot_be_swept_waits(self, cache: CacheFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        def busy(*_: object, **__: object) -> None:
            raise OSError(errno.EBUSY, "Device or resource busy")

        drafts = cache.root / "drafts"
        (drafts / "file").write_text("not a folder")
        (drafts / "old").mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(folder, "remove_tree", busy)
            cache.sweep()
        assert (drafts / "old").exists()
        cache.sweep()
        assert [path.name for path in drafts.iterdir()] == ["file"]


class TestPins:
    def test_a_pin_ends_with_its_workspace(self, cache: CacheFolder, tmp_path: Path) -> None:
        workspace = tmp_path / "executions/01/workspace"
        workspace.mkdir(parents=True)
        assert not cache.pinned("d")
        cache.pin("d", workspace)
        cache.pin("d", workspace)
        cache.unpin("d", workspace)
        assert cache.pinned("d")
        (pin,) = (cache.root / "leases/d").iterdir()
        assert pin.name.startswith("01.")
        workspace.rmdir()
        assert not cache.pinned("d")
        assert not pin.is_symlink()
        cache.forget_pins("d")
        cache.forget_pins("d")
        assert list((cache.root / "leases").iterdir()) == []

    def test_one_that_cannot_be_looked_at_holds(
        self, cache: CacheFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(_: Path) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        cache.pin("d", tmp_path / "gone")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "stat", refused)
            assert cache.pinned("d")
        assert not cache.pinned("d")


class TestIndex:
    @given(garbage=st.binary(max_size=200) | NEARLY)
    def test_garbage_is_nothing(self, tmp_path_factory: pytest.TempPathFactory, garbage: bytes) -> None:
        keys = tmp_path_factory.mktemp("keys")
        index = Index(keys)
        index.remember(("object", "a"), INFO, "d", draft=keys / "draft")
        (path,) = keys.iterdir()
        path.write_bytes(garbage)
        assert index.recall(("object", "a"), INFO) is None
        assert index.recall(("object", "a"), None) is None
        index.forget(set())
        assert list(keys.iterdir()) == []

    @pytest.mark.parametrize(
        "other",
        [
            attrs.evolve(INFO, etag="f"),
            attrs.evolve(INFO, size=2),
            attrs.evolve(INFO, modified=datetime(2026, 1, 2, tzinfo=UTC)),
        ],
    )
    def test_an_object_that_differs_in_anything_is_another(self, tmp_path: Path, other: ObjectInfo) -> None:
        index = Index(tmp_path)
        index.remember(("object", "a"), INFO, "d", draft=tmp_path / "draft")
        assert index.recall(("object", "a"), INFO) == "d"
        assert index.recall(("object", "a"), other) is None
        assert index.recall(("object", "b"), None) is None


def test_a_key_that_is_not_there_is_told_by_who_knows_its_neighbours() -> None:
    store = CountingStore()

    def opened(key: str) -> None:
        raise ObjectNotFoundError(key, backend="x", hint="Did you mean a.zip?")

    supply = object_supply(CodeStore(name="x", open=opened, stat=store.stat, location=lambda: "x"), "b.zip")  # type: ignore[arg-type] # it only raises
    with pytest.raises(ObjectNotFoundError, match=r"Did you mean a.zip\?"):
        supply.stat()


def test_a_key_that_appears_in_between_is_there() -> None:
    store = CountingStore()

    def opened(key: str) -> ObjectReader:
        store.put_code(key, {"main.py": ""})
        return store.get(key)

    supply = object_supply(CodeStore(name="x", open=opened, stat=store.stat, location=lambda: "x"), "b")
    assert supply.stat() is not None


def test_an_unknown_failure_has_a_hint_too(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Let this user write there"), failures(tmp_path):
        (tmp_path / "none").rmdir()
