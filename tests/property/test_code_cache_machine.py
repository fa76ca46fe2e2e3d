"""Whatever happens to a code cache, a run gets the code that it asked for, and keeps it."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from botdock.config import CodeConfig
from botdock.errors import StorageUnavailableError
from botdock.services.code import Workspace
from botdock_testing._code_store import CodeRuns, CountingStore, texts
from testbed.drills import count

TREE = 3 * 4096
KEYS = st.sampled_from(["a", "b", "c"])


class CacheMachine(RuleBasedStateMachine):
    """Objects that change, runs that start, end and die, damage, a storage that is away, a cache that is too small."""

    running: Bundle[Workspace] = Bundle("running")

    @initialize(trees=st.integers(0, 3))
    def begin(self, trees: int) -> None:
        self.folder = TemporaryDirectory()
        self.store = CountingStore()
        self.runs = CodeRuns(Path(self.folder.name) / "home", self.store.code, CodeConfig(cache_bytes=trees * TREE + 1))
        self.now: dict[str, dict[str, str]] = {}
        self.expected: dict[Path, tuple[Path, dict[str, str]]] = {}
        self.last: dict[str, dict[str, str]] = {}

    @rule(key=KEYS, version=st.integers(0, 3))
    def put(self, key: str, version: int) -> None:
        self.now[key] = {"main.py": f"version = {version}\n", "lib/util.py": "X = 1\n"}
        self.store.put_code(key, self.now[key])

    @precondition(lambda self: self.now)
    @rule(target=running, data=st.data(), shared=st.booleans())
    def start(self, data: st.DataObject, shared: bool) -> Workspace:
        self.store.away = False
        key = data.draw(st.sampled_from(sorted(self.now)))
        workspace = self.runs.start(key, shared=shared)
        self.last[key] = self.now[key]
        self.expected[workspace.root] = (workspace.code, self.now[key])
        return workspace

    @precondition(lambda self: self.now)
    @rule(data=st.data())
    def run_without_the_storage(self, data: st.DataObject) -> None:
        self.store.away = True
        key = data.draw(st.sampled_from(sorted(self.now)))
        try:
            assert self.runs.run(key) == self.last[key]
        except StorageUnavailableError:
            return

    @rule(workspace=consumes(running))
    def end(self, workspace: Workspace) -> None:
        self.runs.end(workspace)
        del self.expected[workspace.root]

    @rule(workspace=consumes(running))
    def die_and_be_recovered(self, workspace: Workspace) -> None:
        shutil.rmtree(workspace.root)
        del self.expected[workspace.root]

    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        idle = [tree.sha256 for tree in self.runs.cache().trees() if not tree.in_use]
        if idle:
            self.runs.damage(self.runs.home / "cache/code" / data.draw(st.sampled_from(sorted(idle))))

    @rule()
    def tidy(self) -> None:
        self.runs.cache().trim()
        trees = self.runs.cache().trees()
        within = sum(tree.bytes for tree in trees) <= self.runs.config.cache_bytes
        assert within or all(tree.in_use for tree in trees)

    @invariant()
    def every_run_has_its_code(self) -> None:
        for code, files in getattr(self, "expected", {}).values():
            assert texts(code) == files

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            with self.folder:
                shutil.rmtree(self.runs.home / "executions", ignore_errors=True)
                self.runs.cache().trim()
                assert self.runs.left_over() == []


TestCodeCache = CacheMachine.TestCase
TestCodeCache.settings = settings(max_examples=count(25, 10), stateful_step_count=25, deadline=None)
