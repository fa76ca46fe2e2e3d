"""What the cache does where it is refused something: by the disk, by other users' rights, by another process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from botdock.config import CodeConfig
from botdock.services.code_cache import cache, eviction
from botdock.services.code_cache.records import Index
from botdock_testing._code_store import CodeRuns, CountingStore

HELLO = {"main.py": "def main(id, config): ...\n", "lib/util.py": "X = 1\n"}
OTHER = {"main.py": "def main(id, config): return 2\n"}

AS_NOBODY = """
import os, sys, tempfile  # all of it while it can still be read
from pathlib import Path
import botdock.archive
from botdock.config import CodeConfig
from botdock_testing._code_store import CodeRuns, CountingStore, texts
import botdock.config.converter
os.setgid(65534); os.setuid(65534); os.umask(0o077)
store = CountingStore()
for key in "ab":
    store.put_code(key, {"main.py": key, "lib/util.py": "X = 1"})
runs = CodeRuns(Path(sys.argv[1]) / "home", store.code, CodeConfig(cache_bytes=3 * 4096))
workspace = runs.start("a")
runs.damage(workspace.code)
assert runs.run("a")["main.py"] == "a"
runs.end(workspace)
assert runs.run("b")["main.py"] == "b"
assert runs.run("a", shared=False)["main.py"] == "a"
assert len(runs.cache().trees()) == 1
assert runs.left_over() == []
assert store.gets == 4
"""


@pytest.fixture
def store() -> CountingStore:
    store = CountingStore()
    store.put_code("a.zip", HELLO)
    store.put_code("b.zip", OTHER)
    return store


@pytest.fixture
def runs(tmp_path: Path, store: CountingStore) -> CodeRuns:
    return CodeRuns(tmp_path / "home", store.code)


def full(*_: object, **__: object) -> bool:
    raise OSError(28, "No space left on device")


@pytest.fixture
def nobodys_folder() -> Iterator[Path]:
    with TemporaryDirectory() as folder:  # not `tmp_path`, which lies in a folder that is ours alone
        os.chown(folder, 65534, 65534)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_read_only_trees_are_moved_and_removed_without_being_root(nobodys_folder: Path) -> None:
    program = [sys.executable, "-c", AS_NOBODY, str(nobodys_folder)]
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(  # in a folder that this user may enter, as a key is looked for as a path first
        program, check=False, timeout=60, capture_output=True, text=True, env=unmeasured, cwd=nobodys_folder
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_cleanup_that_the_disk_refuses_fails_no_run(runs: CodeRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    service = runs.service()
    with monkeypatch.context() as patch:
        patch.setattr("botdock.services.code_cache.cache.CodeCache._make_ready", lambda self: self._folder.make())
        patch.setattr(cache, "trim", full)
        workspace = runs.start("a.zip", service=service)
        service.cleanup_workspace(workspace)
    assert not workspace.root.exists()
    assert runs.run("a.zip") == HELLO


def test_what_cannot_be_noted_is_fetched_again(
    runs: CodeRuns, store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Index, "remember", full)
        assert runs.run("a.zip") == HELLO
    assert runs.run("a.zip") == HELLO
    assert runs.run("a.zip") == HELLO
    assert store.gets == 2
    assert len(runs.cache().trees()) == 1


def test_a_cache_that_the_user_removes_is_made_again(runs: CodeRuns, store: CountingStore) -> None:
    service = runs.service()
    assert runs.cache().trees() == []
    runs.start("a.zip", service=service)
    runs.clear(runs.home / "cache")
    workspace = runs.start("a.zip", service=service)
    service.cleanup_workspace(workspace)
    assert store.gets == 2


def test_a_tree_that_goes_while_it_is_looked_at_is_gone(runs: CodeRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.run("a.zip")
    (tree,) = runs.cache().trees()
    evict = eviction._evict

    def remove_first(*arguments: object) -> bool:
        runs.clear(runs.home / "cache/code")
        (runs.home / "cache/code").mkdir()
        return evict(*arguments)  # type: ignore[arg-type] # passed on as they came

    runs.config = CodeConfig(cache_bytes=1)
    monkeypatch.setattr(eviction, "_evict", remove_first)
    runs.cache().trim()
    assert tree.sha256 not in {path.name for path in (runs.home / "cache/code").iterdir()}
    assert runs.left_over() == []
