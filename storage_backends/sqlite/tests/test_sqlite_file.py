"""What is particular about one file for all areas."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from botdock import Config, PluginManager
from botdock.errors import StorageUnavailableError
from botdock.model import StorageArea
from botdock_storage_sqlite.backend import SqliteBackend


def test_areas_share_the_file_of_the_state_folder_and_are_kept_apart(tmp_path: Path) -> None:
    plugin = PluginManager.load().storage_backend("sqlite")
    code, logs = (
        plugin.factory(Config(home=str(tmp_path / "new")), area) for area in (StorageArea.CODE, StorageArea.LOGS)
    )
    code.put("same", io.BytesIO(b"code"))
    logs.put("same", io.BytesIO(b"logs"))
    with code.get("same") as reader:
        assert reader.read() == b"code"
    assert list(logs.delete(["same"])) == []
    assert [info.key for info in code.list()] == ["same"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sqlite.db"]


def test_a_file_that_cannot_be_opened_or_is_another_kind_is_told_as_what_may_pass(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database " * 100)
    for path in (tmp_path / "absent" / "file", tmp_path / "text"):
        with pytest.raises(StorageUnavailableError, match=r"sqlite \(.*, code\): "):
            SqliteBackend(path, "code")
