"""A cached tree that is not what it was is noticed, and fetched again; who still uses the old one keeps it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from botdock.errors import StorageUnavailableError
from botdock.services.code_cache import folder, records
from botdock_testing._code_store import CodeRuns, CountingStore

HELLO = {"main.py": "def main(id, config): ...\n", "lib/util.py": "X = 1\n"}


@pytest.fixture
def store() -> CountingStore:
    store = CountingStore()
    store.put_code("a.zip", HELLO)
    return store


@pytest.fixture
def runs(tmp_path: Path, store: CountingStore) -> CodeRuns:
    return CodeRuns(tmp_path / "home", store.code)


@pytest.fixture
def tree(runs: CodeRuns) -> Path:
    workspace = runs.start("a.zip")
    runs.end(workspace)
    return workspace.code


def writable(tree: Path) -> None:
    for path in [tree, *tree.rglob("*")]:
        path.chmod(0o755)


def rewrite_secretly(tree: Path) -> None:
    """Replace some bytes by as many others, and put the times back."""
    path = tree / "main.py"
    before = path.stat()
    path.chmod(0o644)
    path.write_text("DEF main(id, config): ...\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    path.chmod(before.st_mode)


def replace_by_file(tree: Path) -> None:
    shutil.rmtree(tree)
    tree.write_text("a file")


def replace_by_link(tree: Path) -> None:
    (tree / "main.py").unlink()
    (tree / "main.py").symlink_to("lib/util.py")


def in_it(folder: int) -> list[str]:
    """Return the names in an open folder, wherever it has gone."""
    with os.scandir(folder) as found:
        return sorted(item.name for item in found)


def record_of(tree: Path) -> Path:
    return tree.with_name(tree.name + ".json")


TO_A_TREE: dict[str, Callable[[Path], object]] = {
    "a file is longer": lambda tree: (tree / "main.py").write_text("more than there was before"),
    "a file is empty": lambda tree: (tree / "main.py").write_text(""),
    "a file has other bytes": rewrite_secretly,
    "a file is gone": lambda tree: (tree / "main.py").unlink(),
    "a file is new": lambda tree: (tree / "new.py").write_text(""),
    "a file is a link": replace_by_link,
    "a file was moved": lambda tree: (tree / "main.py").rename(tree / "Main.py"),
    "a folder is gone": lambda tree: shutil.rmtree(tree / "lib"),
    "all is gone": shutil.rmtree,
    "it is a file": replace_by_file,
    "the record is empty": lambda tree: record_of(tree).write_text(""),
    "the record is half": lambda tree: record_of(tree).write_text(record_of(tree).read_text()[:50]),
    "the record is gone": lambda tree: record_of(tree).unlink(),
    "the record is no object": lambda tree: record_of(tree).write_text("[1]"),
    "the record has other types": lambda tree: record_of(tree).write_text(
        '{"entries": "1", "bytes": 1, "stamp": "", "content": "", "limits": {}}'
    ),
    "the record is another's": lambda tree: record_of(tree).write_text(
        record_of(tree).read_text().replace('"stamp": "', '"stamp": "0')
    ),
}


@pytest.mark.parametrize("damage", TO_A_TREE.values(), ids=TO_A_TREE)
def test_it_is_fetched_again(
    runs: CodeRuns, store: CountingStore, tree: Path, damage: Callable[[Path], object]
) -> None:
    writable(tree)
    damage(tree)
    assert runs.run("a.zip") == HELLO
    assert runs.run("a.zip") == HELLO
    assert store.gets == 2
    runs.cache().trim()
    assert runs.left_over() == []


def test_it_is_not_used_in_place_of_a_store_that_is_away(runs: CodeRuns, store: CountingStore, tree: Path) -> None:
    writable(tree)
    (tree / "main.py").write_text("other")
    store.away = True
    with pytest.raises(StorageUnavailableError):
        runs.run("a.zip")
    store.away = False
    assert runs.run("a.zip") == HELLO


def test_who_uses_it_keeps_it(runs: CodeRuns, store: CountingStore) -> None:
    workspace = runs.start("a.zip")
    mounted = os.open(workspace.code, os.O_RDONLY)
    writable(workspace.code)
    (workspace.code / "new.py").write_text("")
    assert runs.run("a.zip") == HELLO
    runs.cache().trim()
    assert in_it(mounted) == ["lib", "main.py", "new.py"]
    (aside,) = (runs.home / "cache/aside").iterdir()
    assert aside.name.startswith(workspace.code.name)
    runs.end(workspace)
    runs.cache().trim()
    assert in_it(mounted) == []
    os.close(mounted)
    assert runs.left_over() == []


def test_what_cannot_be_read_is_damaged(
    runs: CodeRuns, store: CountingStore, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(folder, "survey", broken)
        assert runs.cache().verify(tree.name) == "it cannot be read: Input/output error"
    assert runs.cache().verify(tree.name) == ""


def test_all_of_it_can_be_read_on_demand(runs: CodeRuns, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs.cache().verify(tree.name) == ""
    assert runs.cache().verify("0" * 64) == "it is not there"
    look = records.survey(tree)
    monkeypatch.setattr(folder, "survey", lambda _: look)  # as if the disk changed bytes by itself
    rewrite_secretly(tree)
    assert runs.cache().verify(tree.name) == "its content is not what it was"


def test_links_and_programs_are_part_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("echo")
    (tmp_path / "link").symlink_to("run.sh")
    first = records.content_digest(tmp_path)
    (tmp_path / "run.sh").chmod(0o755)
    second = records.content_digest(tmp_path)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("./run.sh")
    assert len({first, second, records.content_digest(tmp_path)}) == 3
