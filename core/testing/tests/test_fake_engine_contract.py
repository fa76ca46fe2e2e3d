"""The fake engine keeps the contract of all engines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from botdock.model import Engine
from botdock_testing import EngineContract
from botdock_testing.engine import Asked, Program
from botdock_testing.fake_engine import FakeEngine, Script


class TestFakeEngineContract(EngineContract):
    @pytest.fixture
    def engine(self) -> Iterator[FakeEngine]:
        engine = FakeEngine(images=["botdock-contract"], check_mounts=True)
        yield engine
        engine.close()

    @pytest.fixture
    def reopened(self, engine: Engine) -> Engine:
        assert isinstance(engine, FakeEngine)
        return engine.successor()

    @pytest.fixture
    def absent_image(self) -> str | None:
        return "absent"

    def prepare(self, engine: Engine, spec: Asked, program: Program) -> None:
        assert isinstance(engine, FakeEngine)
        engine.script(spec.run.name, Script.of(program))


class TestFakeEngineContractWithoutDescriptors(TestFakeEngineContract):
    @pytest.fixture
    def engine(self) -> Iterator[FakeEngine]:
        engine = FakeEngine(images=["botdock-contract"], check_mounts=True, has_fileno=False, has_events=True)
        yield engine
        engine.close()
