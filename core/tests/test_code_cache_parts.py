"""The parts of the cache by themselves: locks, drafts, leases, index."""

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
from botdock.services.code.supply import CodeStore, object_supply
from botdock.services.code_cache import CodeCache, drafts
from botdock.services.code_cache.drafts import new_draft, sweep
from botdock.services.code_cache.index import Index, Known
from botdock.services.code_cache.leases import Leases
from botdock.services.code_cache.shelf import failures
from botdock_testing._code_store import CountingStore

NEARLY = st.from_regex(rb'\{"identity": (\[\]|1|"x"), "etag": .{0,20}\}', fullmatch=True)
INFO = ObjectInfo(key="a", size=1, etag="e", modified=datetime(2026, 1, 1, tzinfo=UTC))


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


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


class TestDrafts:
    def test_one_in_use_is_not_swept(self, tmp_path: Path) -> None:
        with new_draft(tmp_path) as draft:
            draft.archive.write_text("x")
            sweep(tmp_path)
            assert draft.archive.exists()
            assert lock_folder(draft.folder) is None
        assert list(tmp_path.iterdir()) == []

    def test_one_that_was_swept_before_it_was_locked_is_made_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        swept: list[Path] = []

        def sweep_first(folder: Path) -> int | None:
            if not swept:
                swept.append(folder)
                folder.rmdir()
            return lock_folder(folder)

        monkeypatch.setattr(drafts, "lock_folder", sweep_first)
        with new_draft(tmp_path) as draft:
            assert draft.folder not in swept
            assert draft.folder.exists()

    def test_what_cannot_be_swept_waits(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def busy(*_: object, **__: object) -> None:
            raise OSError(errno.EBUSY, "Device or resource busy")

        (tmp_path / "file").write_text("no folder")
        (tmp_path / "old").mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(drafts, "remove_tree", busy)
            sweep(tmp_path)
        assert (tmp_path / "old").exists()
        sweep(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


class TestLeases:
    def test_a_lease_ends_with_its_workspace(self, tmp_path: Path) -> None:
        (tmp_path / "leases").mkdir()
        leases, workspace = Leases(tmp_path / "leases"), tmp_path / "executions/01/workspace"
        workspace.mkdir(parents=True)
        assert not leases.any_of("d")
        leases.take("d", workspace)
        leases.take("d", workspace)
        leases.give_back("d", workspace)
        assert leases.any_of("d")
        (lease,) = (tmp_path / "leases/d").iterdir()
        assert lease.name.startswith("01.")
        workspace.rmdir()
        assert not leases.any_of("d")
        assert not lease.is_symlink()
        leases.forget("d")
        leases.forget("d")
        assert list((tmp_path / "leases").iterdir()) == []

    def test_one_that_cannot_be_looked_at_holds(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refused(_: Path) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        (tmp_path / "leases").mkdir()
        leases = Leases(tmp_path / "leases")
        leases.take("d", tmp_path / "gone")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "stat", refused)
            assert leases.any_of("d")
        assert not leases.any_of("d")


class TestIndex:
    @given(garbage=st.binary(max_size=200) | NEARLY)
    def test_garbage_is_nothing(self, tmp_path_factory: pytest.TempPathFactory, garbage: bytes) -> None:
        folder = tmp_path_factory.mktemp("keys")
        index = Index(folder)
        index.remember(Known.of(("object", "a"), INFO, "d"), lambda path, _: write(path, garbage))
        assert index.recall(("object", "a")) is None
        index.forget(set())
        assert list(folder.iterdir()) == []

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
        index.remember(Known.of(("object", "a"), INFO, "d"), lambda path, text: write(path, text.encode()))
        known = index.recall(("object", "a"))
        assert known is not None
        assert known.fits(INFO)
        assert not known.fits(other)
        assert index.recall(("object", "b")) is None


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
