"""Kills a runner at every line of filling the code cache in turn, and judges what the next one finds.

    python code_cache_life.py FOLDER

A program of its own, since it forks: in a process with threads that is unsafe.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from botdock import _locks, _whole_files
from botdock.config import CodeConfig
from botdock.services.code import CodeStore, fetching
from botdock.services.code_cache import cache, eviction, folder, records
from botdock_storage_local_fs.backend import LocalFsBackend
from botdock_testing._code_store import CodeRuns, texts, zipped
from testbed.every_line import Life, kill_at_every_line, lines_of

TRACED = lines_of(_locks, _whole_files, cache, eviction, fetching, folder, records)
TREE = 3 * 4096


def files(key: str) -> dict[str, str]:
    return {"main.py": f"# {key}\n", "lib/data": key * 1000}


def runs_over(home: Path, backend: LocalFsBackend) -> CodeRuns:
    store = CodeStore(name="local-fs", open=backend.get, stat=backend.stat, location=lambda: backend.location)
    return CodeRuns(home, store, CodeConfig(cache_bytes=TREE))


def prepare(place: Path) -> LocalFsBackend:
    """Let runners have been here, so that `b` is cached and damaged, and `a` makes way for it."""
    backend = LocalFsBackend(place / "storage", "code")
    for key in "abc":
        backend.put(key, io.BytesIO(zipped(files(key))))
    before = runs_over(place / "before", backend)
    before.config = CodeConfig(cache_bytes=2 * TREE)
    before.run("a")
    before.damage(before.start("b", name="ended").code)
    shutil.rmtree(before.home / "executions/ended")
    return backend


def judge(runs: CodeRuns) -> Iterator[str]:
    """What is there is whole; the next runner fetches what is not, and leaves nothing that is not needed."""
    for tree in runs.cache().trees():
        whole = not runs.cache().verify(tree.sha256)
        if whole and texts(runs.home / "cache/code" / tree.sha256) not in [files("a"), files("b")]:
            yield f"{tree.sha256} holds other code"
    if runs.run("b") != files("b"):
        yield "b has other code"
    shutil.rmtree(runs.home / "executions")  # as a recovery does with what the dead one left
    if runs.run("c") != files("c"):
        yield "c has other code"
    runs.cache().trim()
    yield from runs.left_over()
    if [tree.in_use for tree in runs.cache().trees()] != [False]:
        yield "there is not one tree, which is not in use"
    shutil.rmtree(runs.home, ignore_errors=True)


def main() -> None:
    place = Path(sys.argv[1])
    backend = prepare(place)

    def lives(passed: int) -> Life:
        runs = runs_over(place / f"home{passed}", backend)
        shutil.copytree(place / "before", runs.home, symlinks=True)

        def live() -> None:
            runs.end(runs.start("b", name="killed"))

        return live, partial(judge, runs)

    print(json.dumps(kill_at_every_line(lives, TRACED)))


if __name__ == "__main__":
    main()
