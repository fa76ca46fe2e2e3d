"""The storage backend of the how-to passes the contract that it shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from botdock import Config, PluginManager, StorageBackend
from botdock.model import StorageArea
from botdock_testing import StorageContract

TEXT = (Path(__file__).parents[2] / "docs/how-to/write-a-storage-backend.md").read_text()
SHOWN: dict[str, Any] = {"__name__": "botdock_sqlite"}
exec(re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)[0], SHOWN)


class TestSqlite(StorageContract):
    examples = 10

    @pytest.fixture
    def backend(self, tmp_path: Path) -> StorageBackend:
        made: StorageBackend = SHOWN["SqliteBackend"](tmp_path / "objects.sqlite")
        return made


def test_it_is_a_plugin(tmp_path: Path) -> None:
    class Module:
        botdock_storage_backends = staticmethod(SHOWN["botdock_storage_backends"])

    plugins = PluginManager()
    plugins.register(Module, name="sqlite")
    backend = plugins.storage_backend("sqlite").factory(Config(home=str(tmp_path)), StorageArea.CODE)
    assert list(backend.list()) == []
