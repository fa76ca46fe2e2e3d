"""Code is fetched and unpacked once, and used by all."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import threading
from contextlib import AbstractContextManager
from pathlib import Path

import attrs
import pytest

from botdock.config import CodeConfig
from botdock.errors import ArchiveError, BotdockError, StorageError
from botdock.model import ByteReader
from botdock_testing._code_store import CodeRuns, CountingStore, texts, zipped

HELLO = {"main.py": "def main(id, config): ...\n", "lib/util.py": "X = 1\n"}
OTHER = {"main.py": "def main(id, config): return 2\n"}


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def runs(tmp_path: Path, store: CountingStore) -> CodeRuns:
    return CodeRuns(tmp_path / "home", store.code)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class TestTheSecondRun:
    def test_neither_downloads_nor_unpacks(self, runs: CodeRuns, store: CountingStore) -> None:
        packed = store.put_code("a.zip", HELLO)
        assert runs.run("a.zip") == HELLO
        workspace = runs.start("a.zip")
        assert texts(workspace.code) == HELLO
        assert workspace.code == runs.home / "cache/code" / sha256(packed)
        assert store.gets == 1
        assert runs.reports == ["cache.miss", "cache.hit"]

    def test_uses_what_was_put_under_another_key(self, runs: CodeRuns, store: CountingStore) -> None:
        store.put_code("a.zip", HELLO)
        store.put_code("b.zip", HELLO)
        assert runs.start("a.zip").code == runs.start("b.zip").code
        assert runs.start("b.zip").code.name == runs.cache().trees()[0].sha256
        assert store.gets == 2
        assert len(runs.cache().trees()) == 1

    def test_fetches_what_was_replaced(self, runs: CodeRuns, store: CountingStore) -> None:
        store.put_code("a.zip", HELLO)
        runs.run("a.zip")
        store.put_code("a.zip", OTHER)
        assert runs.run("a.zip") == OTHER
        assert store.gets == 2

    def test_of_an_archive_on_disk(self, runs: CodeRuns, tmp_path: Path) -> None:
        archive = tmp_path / "bot.zip"
        archive.write_bytes(zipped(HELLO))
        assert runs.run(str(archive)) == HELLO
        assert runs.run(str(archive)) == HELLO
        assert runs.reports == ["cache.miss", "cache.hit"]
        archive.write_bytes(zipped(OTHER))
        assert runs.run(str(archive)) == OTHER

    def test_of_an_archive_on_disk_reads_it_no_more_once_its_time_of_change_is_old(
        self, runs: CodeRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("botdock.services.code.sources._COARSEST", 0)
        archive = tmp_path / "bot.zip"
        archive.write_bytes(zipped(HELLO))
        runs.run(str(archive))
        monkeypatch.setattr("botdock.services.code.fetching.Fetch._spool", None)
        assert runs.run(str(archive)) == HELLO

    def test_of_bytes(self, runs: CodeRuns) -> None:
        assert runs.run("", code=zipped(HELLO)) == HELLO
        assert runs.run("named", code=zipped(HELLO)) == HELLO
        assert runs.reports == ["cache.miss", "cache.hit"]

    def test_of_a_folder_copies_it_again(self, runs: CodeRuns, tmp_path: Path) -> None:
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree/main.py").write_text("1")
        assert runs.run(str(tmp_path / "tree")) == {"main.py": "1"}
        (tmp_path / "tree/main.py").write_text("2")
        assert runs.run(str(tmp_path / "tree")) == {"main.py": "2"}
        assert runs.reports == []

    def test_fetches_again_where_nothing_is_kept(self, runs: CodeRuns, store: CountingStore) -> None:
        runs.config = CodeConfig(cache_bytes=0)
        store.put_code("a.zip", HELLO)
        workspace = runs.start("a.zip")
        assert workspace.code == workspace.root / "code"
        assert runs.run("a.zip") == HELLO
        assert store.gets == 2
        assert not (runs.home / "cache").exists()


class TestTheTree:
    def test_is_read_only_and_readable_for_the_user_that_bots_run_as(
        self, runs: CodeRuns, store: CountingStore
    ) -> None:
        store.put_code("a.zip", HELLO)
        old = os.umask(0o077)
        try:
            tree = runs.start("a.zip").code
        finally:
            os.umask(old)
        modes = {stat.S_IMODE(path.stat().st_mode) for path in [tree, *tree.rglob("*")]}
        assert modes == {0o555, 0o444}
        assert stat.S_IMODE((runs.home / "cache").stat().st_mode) == 0o700

    def test_stays_when_a_workspace_goes(self, runs: CodeRuns, store: CountingStore) -> None:
        store.put_code("a.zip", HELLO)
        workspace = runs.start("a.zip")
        runs.end(workspace)
        runs.end(workspace)
        assert not workspace.root.exists()
        assert texts(workspace.code) == HELLO
        assert stat.S_IMODE((workspace.code / "main.py").stat().st_mode) == 0o444
        assert runs.left_over() == []

    def test_is_copied_for_a_bot_that_could_write_to_it(self, runs: CodeRuns, store: CountingStore) -> None:
        store.put_code("a.zip", HELLO)
        for _ in range(2):
            workspace = runs.start("a.zip", shared=False)
            assert workspace.code == workspace.root / "code"
            (workspace.code / "main.py").write_text("mine")
            runs.end(workspace)
        assert runs.run("a.zip") == HELLO
        assert store.gets == 1


class TestWhatComes:
    def test_of_an_object_that_is_replaced_meanwhile_is_not_taken_for_the_new_one(
        self, runs: CodeRuns, store: CountingStore
    ) -> None:
        store.put_code("a.zip", HELLO)

        def get(key: str) -> AbstractContextManager[ByteReader]:
            reader = store.get(key)
            store.put_code("a.zip", OTHER)
            return reader

        runs.store = attrs.evolve(store.code, open=get)
        assert runs.run("a.zip") == HELLO
        runs.store = store.code
        assert runs.run("a.zip") == OTHER

    def test_cut_short_is_refused(self, runs: CodeRuns, store: CountingStore) -> None:
        data = store.put_code("a.zip", HELLO)
        runs.store = attrs.evolve(store.code, open=lambda _: io.BytesIO(data[:-1]))
        with pytest.raises(StorageError, match=f"'a.zip' is {len(data)} bytes long, and {len(data) - 1} came"):
            runs.run("a.zip")
        assert runs.left_over() == []
        assert runs.cache().trees() == []

    def test_and_is_no_archive_is_refused_by_its_name(self, runs: CodeRuns, store: CountingStore) -> None:
        store.put("a.zip", io.BytesIO(b"no archive"))
        with pytest.raises(ArchiveError, match=r"^a.zip: is not an archive") as caught:
            runs.run("a.zip")
        assert str(runs.home) not in str(caught.value)
        assert runs.left_over() == []

    def test_is_held_for_no_run_once_the_workspace_goes(self, runs: CodeRuns, store: CountingStore) -> None:
        store.put_code("a.zip", HELLO)
        service = runs.service()
        workspace = service.prepare_workspace(runs.home / "executions/0/workspace")
        service.download_code("a.zip", workspace)
        service.cleanup_workspace(workspace)
        assert runs.left_over() == []
        assert runs.run("a.zip") == HELLO

    def test_under_narrower_limits_is_looked_at_again(self, runs: CodeRuns, store: CountingStore) -> None:
        store.put_code("a.zip", HELLO)
        runs.run("a.zip")
        runs.config = CodeConfig(entries=1)
        with pytest.raises(ArchiveError, match="too many"):
            runs.run("a.zip")
        runs.config = CodeConfig(entries=3)
        assert runs.run("a.zip") == HELLO
        assert store.gets == 3
        runs.config = CodeConfig()
        assert runs.run("a.zip") == HELLO
        assert store.gets == 3


def test_twenty_at_once_download_once(runs: CodeRuns, store: CountingStore) -> None:
    store.put_code("a.zip", HELLO)
    service = runs.service()
    start, trees, problems = threading.Barrier(20), [], []

    def run() -> None:
        try:
            start.wait(timeout=30)
            trees.append(runs.start("a.zip", name=threading.current_thread().name, service=service).code)
        except (BotdockError, OSError) as error:
            problems.append(error)

    threads = [threading.Thread(target=run) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert problems == []
    assert len(trees) == 20
    assert len(set(trees)) == 1
    assert store.gets == 1


def test_a_cache_that_cannot_be_used_says_how_to_mend_it(runs: CodeRuns, store: CountingStore) -> None:
    store.put_code("a.zip", HELLO)
    runs.home.mkdir()
    (runs.home / "cache").write_text("a file")
    with pytest.raises(StorageError, match=r"the code cache .*/cache cannot be used: .*\n.*code.cache_bytes to 0"):
        runs.run("a.zip")
    assert list(runs.home.glob("executions/*/workspace")) == []
