"""The storage `sqlite`, held to what every storage promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from botdock import StorageBackend
from botdock_storage_sqlite.backend import SqliteBackend
from botdock_testing import StorageContract


class TestSqlite(StorageContract):
    examples = 10

    @pytest.fixture
    def backend(self, tmp_path: Path) -> StorageBackend:
        return SqliteBackend(tmp_path / "objects.db", "code")
