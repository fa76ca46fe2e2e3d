"""What of a project's folder is left out."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from botdock.archive import copy_tree, pack
from botdock.errors import ArchiveError


def make(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder / "tree"


def copied(tree: Path) -> tuple[set[str], set[str]]:
    """Return the files that are copied, and what is left out."""
    target = tree.parent / "copy"
    report = copy_tree(tree, target, ignore=True)
    files = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    return files, set(report.left_out)


def test_what_tools_keep_in_a_project_is_no_code(tmp_path: Path) -> None:
    tree = make(tmp_path, "main.py", "lib/a.py", "lib/__pycache__/a.pyc", ".git/config", "node_modules/.bin/x", "git/y")
    make(tmp_path, "a/node_modules/.cache/x", "my_node_modules/.bin/x")
    (tree / ".venv/bin").mkdir(parents=True)
    (tree / ".venv/bin/python").symlink_to("/usr/bin/python3")
    files, left_out = copied(tree)
    assert files == {"main.py", "lib/a.py", "git/y", "my_node_modules/.bin/x"}
    assert left_out == {".git", ".venv", "lib/__pycache__", "node_modules/.bin", "a/node_modules/.cache"}


def test_a_virtual_environment_is_told_by_its_own_file(tmp_path: Path) -> None:
    assert copied(make(tmp_path, "main.py", "env/pyvenv.cfg", "env/bin/x")) == ({"main.py"}, {"env"})


def test_a_link_to_an_environment_elsewhere_is_left_out(tmp_path: Path) -> None:
    tree = make(tmp_path, "main.py")
    (tree / ".venv").symlink_to("/opt/environments/one")
    assert copied(tree) == ({"main.py"}, {".venv"})


def test_a_socket_of_gits_monitor_does_no_harm(tmp_path: Path) -> None:
    tree = make(tmp_path, "main.py", ".git/config", "run/x")
    for folder in (".git", "run"):
        with socket.socket(socket.AF_UNIX) as made:
            descriptor = os.open(tree / folder, os.O_RDONLY)
            made.bind(f"/proc/self/fd/{descriptor}/monitor.ipc")
            os.close(descriptor)
    assert copied(tree) == ({"main.py", "run/x"}, {".git", "run/monitor.ipc"})


@pytest.mark.parametrize(
    ("lines", "files"),
    [
        ("*.csv\n!keep.csv\n", {"main.py", "keep.csv", "data/b.txt"}),
        ("/data/\n", {"main.py", "a.csv", "keep.csv"}),
        ("# a remark\n\n", {"main.py", "a.csv", "keep.csv", "data/b.txt"}),
        ("\ufeff!.git\r\n", {"main.py", "a.csv", "keep.csv", "data/b.txt", ".git/config"}),
        ("!env\n", {"main.py", "a.csv", "keep.csv", "data/b.txt", "env/pyvenv.cfg"}),
        ("**/b.txt\n", {"main.py", "a.csv", "keep.csv"}),
    ],
)
def test_botdockignore_decides_more(tmp_path: Path, lines: str, files: set[str]) -> None:
    tree = make(tmp_path, "main.py", "a.csv", "keep.csv", "data/b.txt", ".git/config", "env/pyvenv.cfg")
    (tree / ".botdockignore").write_text(lines, newline="")
    assert copied(tree)[0] - {".botdockignore"} == files


def test_a_packed_folder_holds_the_same(tmp_path: Path) -> None:
    tree = make(tmp_path, "main.py", ".git/config", "notes.md")
    (tree / ".botdockignore").write_text("*.md")
    report = pack(tree, tmp_path / "bot.zip", ignore=True)
    assert (report.entries, set(report.left_out)) == (2, {".git", "notes.md"})
    assert pack(tree, tmp_path / "all.zip").left_out == ()


@pytest.mark.parametrize("kind", ["large", "link", "folder", "pattern"])
def test_a_botdockignore_that_cannot_be_followed_is_named(tmp_path: Path, kind: str) -> None:
    tree = make(tmp_path, "main.py")
    path = tree / ".botdockignore"
    if kind == "link":
        path.symlink_to("/etc/hostname")
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text("x" * 70_000 if kind == "large" else "!\n")
    with pytest.raises(ArchiveError, match="botdockignore"):
        copied(tree)
