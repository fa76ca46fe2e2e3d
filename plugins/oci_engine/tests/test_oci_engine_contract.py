"""The oci engine keeps the contract of all engines, really run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from botdock.model import Engine
from botdock_engine_oci.engine import OciEngine
from botdock_testing import EngineContract

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the cgroups of this machine are root's")


class TestOciEngineContract(EngineContract):
    @pytest.fixture
    def engine(self, state: Path) -> Iterator[Engine]:
        engine = OciEngine(state)
        yield engine
        engine.close()

    @pytest.fixture
    def reopened(self, state: Path) -> Engine:
        return OciEngine(state)
