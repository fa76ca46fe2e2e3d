"""Written as a third party would: tests of a plugin, a bot and an app with the kit, checked as `third_party` is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import assert_type

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import rule

from botdock import Executable, Limits, Outcome, Runner, Runtime, shell_entrypoint
from botdock.model import ContainerState, Engine, LogChunk, StorageBackend, Stream
from botdock_testing import (
    BotCase,
    ContainedRuntimeContract,
    EngineContract,
    EngineMachine,
    FakeEngine,
    Fault,
    FaultKind,
    RuntimeContract,
    Script,
    StorageContract,
    StorageMachine,
)
from botdock_testing.engine import Known
from botdock_testing.strategies import configs, executables, hostile_archives, log_streams

PERL5 = Runtime(
    name="perl5",
    image="perl:5-slim",
    interpreters=("perl",),
    suffixes=(".pl",),
    scripts={"bot": ("main.pl",), "backtest": ("backtest.pl",)},
    files=lambda: {"entrypoint.sh": shell_entrypoint("perl")},
)


class TestPerl5(RuntimeContract):
    runtime = PERL5
    digits = 15
    echo = "print 1"
    exits = "exit 7"
    waits = "sleep 1 while 1"


class TestPerl5InContainer(ContainedRuntimeContract):
    runtime, echo, exits, waits = PERL5, TestPerl5.echo, TestPerl5.exits, TestPerl5.waits


class Podman(EngineMachine):
    @rule(known=EngineMachine.containers)
    def inspect_twice(self, known: Known) -> None:
        assert_type(self.engine, Engine)
        assert_type(known.state, ContainerState)


class TestPodman(EngineContract):
    machine = Podman

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        engine = FakeEngine(Script(forever=True), Fault(operation="stop", kind=FaultKind.SLOW))
        yield engine
        engine.close()


class Shelf(StorageMachine):
    @rule(key=st.text())
    def tidy(self, key: str) -> None:
        assert_type(self.backend, StorageBackend)


class TestShelf(StorageContract):
    machine, nests_keys = Shelf, False


@given(executable=executables(limits=st.just(Limits(pids=8)), config=configs(max_size=1)), archive=hostile_archives())
def test_properties(executable: Executable, archive: bytes) -> None:
    assert executable.config or archive


@given(log_streams(streams=[Stream.STDOUT], binary=False))
def test_output(written: tuple[LogChunk, ...]) -> None:
    assert_type(Script(output=written).exit_code, int | None)


def test_bot(bot_case: Callable[..., BotCase]) -> None:
    case = bot_case("bots/momentum", config={"prices": [1]})
    assert_type(case.outcome, Outcome | None)
    assert_type(case.lines, list[str])


def test_app(botdock_runner: Runner, botdock_engine: FakeEngine) -> None:
    botdock_engine.script("hello", Script.returning({"pnl": 1.0}, "bought"))
    assert botdock_runner.run(Executable(id="hello", file_path="bots/hello")).succeeded
