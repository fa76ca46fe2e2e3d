"""The fake engine keeps the contract of all engines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis.stateful import rule

from botdock.model import ContainerState, Engine
from botdock_testing import EngineContract, EngineMachine
from botdock_testing.engine import Asked, Known, Program
from botdock_testing.fake_engine import FakeEngine, Script


class Emitting(EngineMachine):
    """What an author may add: a rule about what only this engine does."""

    @rule(known=EngineMachine.containers)
    def emit(self, known: Known) -> None:
        assert isinstance(self.engine, FakeEngine)
        if known.state is ContainerState.RUNNING:
            self.engine.emit(known.handle.id, b"more\n")
            known.stdout += b"more\n"


class TestFakeEngineContract(EngineContract):
    machine, examples, steps = Emitting, 15, 20

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
