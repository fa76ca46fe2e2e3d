from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from botdock.config import CodeConfig
from botdock.errors import StorageError
from botdock.services.code import CodeService
from botdock.services.code.workspace import make_workspace
from botdock_testing._code_store import CountingStore

NESTED = 1100
"""Folders in folders: more than recursion, a path (4,096 bytes) or the usual limit of open files (1,024) allows."""

AS_NOBODY = """
import os, pathlib, sys
from botdock.config import CodeConfig
from botdock.services.code import CodeService
service = CodeService(CodeConfig(), store=None)
os.setgid(65534); os.setuid(65534)
workspace = service.prepare_workspace(pathlib.Path(sys.argv[1]))
deep = workspace.code / "a" / "b"
deep.mkdir(parents=True)
(deep / "file").write_text("x")
(deep / "file").chmod(0)
for folder in (deep, deep.parent, workspace.code, workspace.root):
    folder.chmod(int(sys.argv[2], 8))
service.cleanup_workspace(workspace)
"""


clean_up = CodeService(CodeConfig(), store=CountingStore().code).cleanup_workspace


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_workspace_has_all_that_a_run_needs(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        workspace = make_workspace(tmp_path / "executions/1/workspace")
    finally:
        os.umask(old)
    assert workspace.root == tmp_path / "executions/1/workspace"
    assert sorted(path.name for path in workspace.root.iterdir()) == ["context", "result"]
    assert (mode(workspace.root), mode(workspace.context), mode(workspace.result)) == (0o700, 0o755, 0o666)
    assert workspace.result.read_bytes() == b""
    assert not workspace.code.exists()
    assert not workspace.spool.exists()


def test_a_relative_place_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert make_workspace(Path("a/../b")).root == tmp_path / "b"


def test_a_folder_that_is_there_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="cannot make the workspace"):
        make_workspace(tmp_path)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_workspace_that_cannot_be_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "touch", full)
    with pytest.raises(StorageError, match="No space left"):
        make_workspace(tmp_path / "workspace")
    assert list(tmp_path.iterdir()) == []


def test_removing_takes_everything_and_may_be_done_twice(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "workspace")
    workspace.spool.write_bytes(b"x")
    (workspace.code / "deep/er").mkdir(parents=True)
    (workspace.code / "deep/file").write_text("x")
    clean_up(workspace)
    clean_up(workspace)
    assert list(tmp_path.iterdir()) == []


def test_no_link_is_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    outside.chmod(0o500)
    workspace = make_workspace(tmp_path / "workspace")
    (workspace.context / "folder").symlink_to(outside)
    (workspace.context / "file").symlink_to(outside / "kept")
    os.mkfifo(workspace.context / "fifo")
    clean_up(workspace)
    assert (outside / "kept").read_text() == "x"
    assert mode(outside) == 0o500


def test_a_root_replaced_by_a_link_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    workspace = make_workspace(tmp_path / "workspace")
    clean_up(workspace)
    workspace.root.symlink_to(outside)
    with pytest.raises(StorageError, match="cannot remove the workspace"):
        clean_up(workspace)
    assert (outside / "kept").read_text() == "x"


def test_a_tree_deeper_than_any_path_goes_away(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "workspace")
    folder = os.open(workspace.context, os.O_RDONLY)
    for _ in range(NESTED):
        os.mkdir("deep", dir_fd=folder)
        child = os.open("deep", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = child
    os.close(folder)
    clean_up(workspace)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def nobodys_folder() -> Iterator[Path]:
    with TemporaryDirectory() as folder:  # not `tmp_path`, which lies in a folder that is ours alone
        os.chown(folder, 65534, 65534)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("rights", ["000", "500", "555"])
def test_what_a_bot_made_unreadable_goes_away_without_being_root(nobodys_folder: Path, rights: str) -> None:
    program = [sys.executable, "-c", AS_NOBODY, str(nobodys_folder / "workspace"), rights]
    subprocess.run(program, check=True, timeout=60)
    assert list(nobodys_folder.iterdir()) == []


def test_giving_up_says_what_stays(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "workspace")
    with pytest.raises(StorageError, match="removing it takes too long"):
        clean_up(workspace, timeout=-1)
    assert workspace.root.exists()
    clean_up(workspace)


def test_a_folder_that_another_process_still_writes_to_is_emptied_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make_workspace(tmp_path / "workspace")
    rmdir, late = os.rmdir, ["one", "two"]

    def rmdir_after_a_write(name: str, *, dir_fd: int | None = None) -> None:
        if late and dir_fd is not None:
            os.mkdir(f"{name}/{late.pop()}", dir_fd=dir_fd)
        rmdir(name, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", rmdir_after_a_write)
        clean_up(workspace)
    assert late == []
    assert not workspace.root.exists()


def test_a_folder_that_cannot_be_removed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise OSError(16, "Device or resource busy")

    workspace = make_workspace(tmp_path / "workspace")
    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", busy)
        with pytest.raises(StorageError, match="Device or resource busy"):
            clean_up(workspace)
    clean_up(workspace)
    assert list(tmp_path.iterdir()) == []
