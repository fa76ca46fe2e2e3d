"""The process engine keeps the contract of all engines, really run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from botdock.model import Engine
from botdock_engine_process.engine import ProcessEngine
from botdock_testing import EngineContract


class TestProcessEngineContract(EngineContract):
    @pytest.fixture
    def state(self, tmp_path: Path) -> Path:
        return tmp_path / "home" / "process"

    @pytest.fixture
    def engine(self, state: Path) -> Iterator[Engine]:
        engine = ProcessEngine(state, warn=lambda _: None)
        yield engine
        engine.close()

    @pytest.fixture
    def reopened(self, state: Path) -> Engine:
        return ProcessEngine(state, warn=lambda _: None)
