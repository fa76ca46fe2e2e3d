"""The cache keeps to its size, and never by what is in use."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from botdock._locks import locked, locked_at_once
from botdock.config import CodeConfig
from botdock.services.code_cache import CodeCache
from botdock_testing._code_store import CodeRuns, CountingStore, texts

TREE = 3 * 4096
"""What each tree takes: two files and a folder."""


def files(name: str) -> dict[str, str]:
    return {"main.py": f"# {name}\n", "lib/data": name * 100}


@pytest.fixture
def runs(tmp_path: Path) -> CodeRuns:
    store = CountingStore()
    for name in "abcd":
        store.put_code(f"{name}.zip", files(name))
    return CodeRuns(tmp_path / "home", store.code, CodeConfig(cache_bytes=2 * TREE))


def kept(runs: CodeRuns) -> list[str]:
    """Return the names of the trees, what was used last first."""
    return [(runs.home / "cache/code" / tree.sha256 / "main.py").read_text()[2] for tree in runs.cache().trees()]


def test_what_was_used_longest_ago_goes_first(runs: CodeRuns) -> None:
    for name in "abac":
        runs.run(f"{name}.zip")
    assert kept(runs) == ["c", "a"]
    assert runs.left_over() == []
    assert sum(tree.bytes for tree in runs.cache().trees()) == 2 * TREE


def test_what_was_not_used_for_long_goes_though_there_is_room(runs: CodeRuns) -> None:
    runs.run("a.zip")
    (record,) = (runs.home / "cache/code").glob("*.json")
    os.utime(record, (1, 1))
    in_use = runs.start("b.zip")
    old = CodeCache(runs.home / "cache", limit=2 * TREE, limits={}, unused=3600.0)
    assert [tree.sha256 for tree in old.foresee()] == [record.stem]
    assert kept(runs) == ["b", "a"]
    assert [tree.bytes for tree in old.trim()] == [TREE]
    assert kept(runs) == ["b"]
    old = CodeCache(runs.home / "cache", limit=2 * TREE, limits={}, unused=0.0)
    assert (old.foresee(), old.trim()) == ([], []), "it is in use"
    runs.end(in_use)
    assert len(old.foresee()) == len(old.trim()) == 1


def test_nothing_is_left_of_what_went(runs: CodeRuns) -> None:
    for name in "abcd":
        runs.run(f"{name}.zip")
    cache = runs.home / "cache"
    assert kept(runs) == ["d", "c"]
    counts = {part.name: len(list(part.iterdir())) for part in cache.iterdir() if part.is_dir()}
    assert counts == {"code": 4, "keys": 2, "locks": 4, "leases": 2, "drafts": 0, "aside": 0}


def test_what_is_in_use_stays_and_goes_when_it_is_not(runs: CodeRuns) -> None:
    workspaces = {name: runs.start(f"{name}.zip") for name in "abcd"}
    assert kept(runs) == ["d", "c", "b", "a"]
    assert all(tree.in_use for tree in runs.cache().trees())
    for name, workspace in workspaces.items():
        assert texts(workspace.code) == files(name)
        runs.end(workspace)
    assert kept(runs) == ["d", "c"]
    assert not any(tree.in_use for tree in runs.cache().trees())


def test_what_a_killed_runner_left_running_stays(runs: CodeRuns) -> None:
    workspace = runs.start("a.zip")
    for name in "bcd":
        runs.run(f"{name}.zip")
    assert kept(runs) == ["d", "a"]
    shutil.rmtree(workspace.root)  # another runner recovered it, without our knowing
    runs.run("b.zip")
    assert kept(runs) == ["b", "d"]
    assert runs.left_over() == []


def test_a_state_folder_seen_by_another_name_has_the_same_leases(runs: CodeRuns, tmp_path: Path) -> None:
    runs.start("a.zip")
    elsewhere = tmp_path / "moved"
    runs.home.rename(elsewhere)
    runs.home = elsewhere
    for name in "bcd":
        runs.run(f"{name}.zip")
    assert kept(runs) == ["d", "a"]


def test_one_that_is_larger_than_the_cache_is_used_and_then_removed(runs: CodeRuns) -> None:
    runs.config = CodeConfig(cache_bytes=1)
    assert runs.run("a.zip") == files("a")
    assert kept(runs) == []
    assert runs.left_over() == []


def test_one_that_is_being_looked_at_is_left_alone(runs: CodeRuns) -> None:
    runs.run("a.zip")
    (tree,) = runs.cache().trees()
    runs.config = CodeConfig(cache_bytes=1)
    with locked(runs.home / "cache/locks" / tree.sha256, shared=True, timeout=0):
        runs.cache().trim()
    assert kept(runs) == ["a"]
    runs.cache().trim()
    assert kept(runs) == []


def test_one_that_was_used_meanwhile_is_left_alone(runs: CodeRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    from botdock.services.code_cache import eviction

    runs.run("a.zip")
    (tree,) = runs.cache().trees()
    runs.config = CodeConfig(cache_bytes=1)
    evict = eviction._evict

    def use_first(*args: object) -> bool:
        os.utime(runs.home / "cache/code" / f"{tree.sha256}.json", ns=(1, 1))
        return evict(*args)  # type: ignore[arg-type] # passed on as they came

    with monkeypatch.context() as patch:
        patch.setattr(eviction, "_evict", use_first)
        runs.cache().trim()
    assert kept(runs) == ["a"]


def test_only_one_tidies_at_a_time(runs: CodeRuns) -> None:
    runs.run("a.zip")
    runs.config = CodeConfig(cache_bytes=1)
    with locked_at_once(runs.home / "cache/trim") as alone:
        assert alone
        runs.cache().trim()
    assert kept(runs) == ["a"]


def test_what_dead_processes_left_is_swept(runs: CodeRuns) -> None:
    runs.run("a.zip")
    cache = runs.home / "cache"
    (cache / "drafts/dead/tree").mkdir(parents=True)
    (cache / f"aside/{'0' * 64}.1234").mkdir()
    (cache / f"aside/{'1' * 64}.1234").write_text("a file")
    (cache / f"code/{'2' * 64}.json").write_text("{}")
    (cache / f"code/{'3' * 64}").mkdir()
    (cache / "locks/unknown").touch()
    (cache / "keys/garbled.json").write_text("{")
    assert runs.run("b.zip") == files("b")
    assert runs.left_over() == []
    assert len(runs.cache().trees()) == 2
    assert sorted(path.suffix for path in (cache / "keys").iterdir()) == [".json", ".json"]
