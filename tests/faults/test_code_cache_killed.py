"""Runners killed while they fill the code cache, several that fill the same one, and a disk that is full under it."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from botdock.config import CodeConfig
from botdock.errors import StorageError
from botdock.services.code import CodeStore
from botdock_storage_local_fs.backend import LocalFsBackend
from botdock_testing._code_store import CodeRuns, zipped
from testbed.drills import count
from testbed.every_line import told_by

TREE = 3 * 4096
LARGE = {"main.py": "x" * 9000, "lib/data": "y" * 31_000}
PROGRAM = """
import json, os, sys, threading
from pathlib import Path
from botdock.config import CodeConfig
from botdock.services.code import CodeStore
from botdock_testing._code_store import CodeRuns, texts
from botdock_storage_local_fs.backend import LocalFsBackend

home, root, order = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
backend = LocalFsBackend(root, "code")

def opened(key):
    with (root / "opened").open("a") as file:
        file.write(key + "\\n")
    return backend.get(key)

store = CodeStore(name="local-fs", open=opened, stat=backend.stat, location=lambda: backend.location)
runs = CodeRuns(home, store, CodeConfig(cache_bytes=order["cache_bytes"]))
service, wrong = runs.service(), []

def work(number):
    try:
        for turn, key in enumerate(order["keys"]):
            name = f"{os.getpid()}-{number}-{turn}"
            workspace = runs.start(key, name=name, service=service)
            if texts(workspace.code)["main.py"] != f"# {key}\\n":
                wrong.append(f"{name}: {key} has other code")
            service.cleanup_workspace(workspace)
    except BaseException as error:
        wrong.append(f"{key}: {error!r}")

threads = [threading.Thread(target=work, args=(number,)) for number in range(order["threads"])]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
sys.exit("\\n".join(wrong) or 0)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A storage with six archives."""
    backend = LocalFsBackend(tmp_path / "storage", "code")
    for key in "abcdef":
        backend.put(key, io.BytesIO(zipped(files(key))))
    backend.put("large", io.BytesIO(zipped(LARGE)))
    return tmp_path / "storage"


def files(key: str) -> dict[str, str]:
    return {"main.py": f"# {key}\n", "lib/data": key * 1000}


@pytest.fixture
def open_home(root: Path) -> Callable[..., CodeRuns]:
    def open_it(home: Path, cache_bytes: int = 2 * TREE) -> CodeRuns:
        backend = LocalFsBackend(root, "code")
        store = CodeStore(name="local-fs", open=backend.get, stat=backend.stat, location=lambda: backend.location)
        return CodeRuns(home, store, CodeConfig(cache_bytes=cache_bytes))

    return open_it


def child(home: Path, root: Path, *keys: str, threads: int = 1, **order: int) -> subprocess.Popen[str]:
    asked = {"keys": keys, "threads": threads, "cache_bytes": 2 * TREE} | order
    command = [sys.executable, "-c", PROGRAM, str(home), str(root), json.dumps(asked)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def opened(root: Path) -> list[str]:
    return (root / "opened").read_text().split()


def test_a_runner_killed_at_any_line_leaves_nothing_half(tmp_path: Path) -> None:
    found = told_by(Path(__file__).with_name("code_cache_life.py"), tmp_path)
    assert (found["code"], found["wrong"]) == (0, [])
    assert found["kills"] > count(12, 2)


def test_what_a_killed_runner_had_mounted_is_kept_until_it_is_recovered(
    tmp_path: Path, root: Path, open_home: Callable[..., CodeRuns]
) -> None:
    runs = open_home(tmp_path / "home", TREE)
    program = PROGRAM.replace(
        'if texts(workspace.code)["main.py"]', 'os.kill(os.getpid(), 9)\n            if texts("")'
    )
    order = {"keys": ["a"], "threads": 1, "cache_bytes": TREE}
    command = [sys.executable, "-c", program, str(runs.home), str(root), json.dumps(order)]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    (tree,) = runs.cache().trees()
    mounted = os.open(runs.home / "cache/code" / tree.sha256 / "main.py", os.O_RDONLY)
    for key in "bcd":
        runs.run(key)
    assert os.fstat(mounted).st_nlink == 1
    assert tree.sha256 in {tree.sha256 for tree in runs.cache().trees() if tree.in_use}
    shutil.rmtree(runs.home / "executions")
    runs.run("e")
    assert os.fstat(mounted).st_nlink == 0
    os.close(mounted)
    assert runs.left_over() == []


def test_two_processes_and_twenty_runs_fetch_one_archive_once(
    tmp_path: Path, root: Path, open_home: Callable[..., CodeRuns]
) -> None:
    processes = [child(tmp_path / "home", root, "a", threads=10) for _ in range(2)]
    assert [end_of(process) for process in processes] == [(0, ""), (0, "")]
    assert opened(root) == ["a"]
    assert open_home(tmp_path / "home").left_over() == []


def test_processes_that_fill_a_cache_too_small_for_all_do_not_disturb_each_other(
    tmp_path: Path, root: Path, open_home: Callable[..., CodeRuns]
) -> None:
    orders = ("abcdef" * 3, "fedcba" * 3, "acebdf" * 3)
    processes = [child(tmp_path / "home", root, *order, threads=3) for order in orders]
    assert [end_of(process) for process in processes] == [(0, "")] * 3
    runs = open_home(tmp_path / "home")
    runs.cache().trim()
    assert runs.left_over() == []
    trees = runs.cache().trees()
    assert sum(tree.bytes for tree in trees) <= 2 * TREE
    assert [runs.cache().verify(tree.sha256) for tree in trees] == [""] * len(trees)


def end_of(process: subprocess.Popen[str]) -> tuple[int, str]:
    with process:
        _, problems = process.communicate(timeout=120)
    return process.returncode, problems


@pytest.fixture
def small_disk(tmp_path: Path, mount_small: Callable[..., Path]) -> Path:
    """A file system of 256 KiB."""
    return mount_small(tmp_path / "small", 256 * 1024)


def test_a_disk_that_is_full_under_the_cache_fails_the_run_and_leaves_nothing(
    small_disk: Path, open_home: Callable[..., CodeRuns]
) -> None:
    """The room that is left grows page by page, so that it ends at each write in turn."""
    runs = open_home(small_disk / "home")
    full = 0
    for pages in range(1, 40, count(1, 3)):
        room = os.statvfs(small_disk).f_bavail * 4096
        with (small_disk / "ballast").open("wb") as ballast:
            ballast.write(bytes(max(room - pages * 4096, 0)))
        if said := said_of_a_run(runs):
            assert "No space left on device" in said
            assert "\nFree " in said
        full += bool(said)
        (small_disk / "ballast").unlink()
        assert list(runs.home.glob("executions/*/workspace")) == []
        assert runs.left_over() == []
        assert [runs.cache().verify(tree.sha256) for tree in runs.cache().trees()] in ([], [""])
        shutil.rmtree(runs.home, ignore_errors=True)
    assert count(10, 3) < full < count(35, 12)


def said_of_a_run(runs: CodeRuns) -> str:
    try:
        assert runs.run("large") == LARGE
    except StorageError as error:
        return str(error)
    return ""


def test_a_full_disk_does_not_keep_what_is_cached_from_running(
    small_disk: Path, open_home: Callable[..., CodeRuns]
) -> None:
    runs = open_home(small_disk / "home")
    runs.run("a")
    (small_disk / "spare").write_bytes(bytes(8 * 4096))
    room = os.statvfs(small_disk).f_bavail * 4096
    (small_disk / "ballast").write_bytes(bytes(room))
    (small_disk / "spare").unlink()  # room for a workspace, and not for another tree
    assert runs.run("a") == files("a")
