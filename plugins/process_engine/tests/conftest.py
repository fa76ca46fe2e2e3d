"""Specs of shell scripts, and engines over a folder of the test's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import attrs
import pytest

from botdock.model import DEFAULT_LIMITS, ContainerSpec, ContainerStatus, LogCursor, Mount, Stream, new_execution_id
from botdock_engine_process.engine import ProcessEngine

CALL = 30.0


class ShellSpec(Protocol):
    def __call__(self, script: str, **overrides: object) -> ContainerSpec: ...


@attrs.frozen
class Ran:
    container_id: str
    status: ContainerStatus
    stdout: bytes
    stderr: bytes


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def engine(state: Path) -> Iterator[ProcessEngine]:
    engine = ProcessEngine(state, warn=lambda _: None)
    yield engine
    for info in engine.list({}, timeout=CALL):
        engine.remove(info.container_id, timeout=CALL)


@pytest.fixture
def shell_spec(tmp_path: Path) -> ShellSpec:
    """Return a function from a shell script to a spec that runs it."""

    def make(script: str, **overrides: object) -> ContainerSpec:
        result = tmp_path / f"result-{new_execution_id()}"
        result.touch()
        mount = Mount(source=str(tmp_path), target="/bot")
        spec = ContainerSpec(
            name=f"botdock-{new_execution_id()}",
            image="none",
            command=("/bin/sh", "-c", script, "sh", str(result)),
            environment={},
            labels={},
            working_dir=str(tmp_path),
            code=mount,
            files=mount,
            result=Mount(source=str(result), target="/result"),
            limits=DEFAULT_LIMITS,
            interpreters=("sh",),
        )
        return attrs.evolve(spec, **overrides)  # type: ignore[arg-type] # fields by name

    return make


@pytest.fixture
def run(engine: ProcessEngine) -> Callable[[ContainerSpec], Ran]:
    """Return a function that runs a spec to its end."""

    def run_to_end(spec: ContainerSpec) -> Ran:
        container_id = engine.create(spec, timeout=CALL)
        engine.start(container_id, timeout=CALL)
        written = {kind: bytearray() for kind in Stream}
        with engine.read_logs(container_id, cursor=LogCursor(), follow=True, timeout=CALL) as stream:
            while not stream.ended:
                for chunk in stream.read(CALL):
                    written[chunk.stream] += chunk.data
        status = engine.wait(container_id, timeout=CALL)
        assert status is not None
        return Ran(container_id, status, bytes(written[Stream.STDOUT]), bytes(written[Stream.STDERR]))

    return run_to_end


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Return a function that waits until a condition holds, and fails when it never does."""

    def wait_until(holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + CALL
        while not holds():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.005)  # between two looks; nothing depends on how long it is

    return wait_until
