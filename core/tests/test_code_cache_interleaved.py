"""Runs that fetch, use, look at and evict code at the same time: who uses a tree has all of it, and nothing is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from botdock import _locks
from botdock.config import CodeConfig
from botdock.services.code import Workspace
from botdock.services.code_cache import cache, eviction, folder
from botdock_testing._code_store import CodeRuns, CountingStore
from testbed.every_line import lines_of, met_at_every_line

TRACED = lines_of(_locks, cache, eviction, folder)
FILES = {"main.py": "X = 1\n"}


class Cache:
    """A cache that takes no tree that is not in use, though one is there; and the runs that use it."""

    def __init__(self, home: Path, *, filled: bool) -> None:
        self.store = CountingStore()
        self.store.put_code("a.zip", FILES)
        self.runs = CodeRuns(home, self.store.code)
        if filled:
            self.runs.run("a.zip")
        self.gets = self.store.gets
        self.workspaces: list[Workspace] = []
        self.problems: list[str] = []

    def fetch(self) -> None:
        workspace = self.runs.start("a.zip")
        self.workspaces.append(workspace)
        assert (workspace.code / "main.py").read_text() == FILES["main.py"]

    def evict(self) -> None:
        evicting(self.runs).cache().trim()

    def verify(self) -> None:
        for tree in self.runs.cache().trees():
            self.problems.append(self.runs.cache().verify(tree.sha256))


def evicting(runs: CodeRuns) -> CodeRuns:
    """Return runs over the same cache that is too large by each of its trees."""
    return CodeRuns(runs.home, runs.store, CodeConfig(cache_bytes=1))


Step = Callable[[Cache], None]


def judge(found: Cache) -> None:
    """See that who uses code has it, that no run is told of damage, and that all goes when no run uses it."""
    assert set(found.problems) <= {"", "it is not there"}
    found.evict()
    for workspace in found.workspaces:
        assert [path.name for path in workspace.code.iterdir()] == ["main.py"]
        assert (workspace.code / "main.py").read_text() == FILES["main.py"]
        found.runs.end(workspace)
    found.evict()
    assert found.runs.left_over() == []
    assert not [*(found.runs.home / "cache/code").iterdir()]


@pytest.mark.parametrize(
    ("first", "second", "filled"),
    [
        pytest.param(first, second, filled, id=f"{first.__name__}-{second.__name__}-{'filled' if filled else 'empty'}")
        for first, second, filled in [
            (Cache.fetch, Cache.evict, False),
            (Cache.fetch, Cache.evict, True),
            (Cache.evict, Cache.fetch, True),
            (Cache.verify, Cache.evict, True),
            (Cache.evict, Cache.verify, True),
            (Cache.fetch, Cache.fetch, False),
            (Cache.fetch, Cache.fetch, True),
            (Cache.evict, Cache.evict, True),
        ]
    ],
)
def test_two_at_once_have_what_they_use(memory: Path, first: Step, second: Step, filled: bool) -> None:
    def make(number: int) -> Cache:
        return Cache(memory / str(number), filled=filled)

    for _number, found in met_at_every_line(make, first, second, TRACED):
        if first is second is Cache.fetch:
            assert found.store.gets == 1, "fetched once"
        judge(found)
