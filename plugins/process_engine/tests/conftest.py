"""Specs of shell scripts, and engines over a folder of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import attrs
import pytest

from botdock.model import ContainerHandle, ContainerStatus, LogCursor, Stream, new_execution_id
from botdock_engine_process.engine import ProcessEngine
from botdock_testing.engine import Asked, asked, replaced

CALL = 30.0


class ShellSpec(Protocol):
    def __call__(self, script: str, **overrides: object) -> Asked: ...


@attrs.frozen
class Ran:
    container: ContainerHandle
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
        engine.remove(ContainerHandle(id=info.container_id), timeout=CALL)


@pytest.fixture
def shell_spec(tmp_path: Path) -> ShellSpec:
    """Return a function from a shell script to a spec that runs it."""

    def make(script: str, **overrides: object) -> Asked:
        result = tmp_path / f"result-{new_execution_id()}"
        result.touch()
        command = ("/bin/sh", "-c", script, "sh", str(result))
        return replaced(
            asked(tmp_path, command=command, name=f"botdock-{new_execution_id()}", result=str(result)), **overrides
        )

    return make


@pytest.fixture
def run(engine: ProcessEngine) -> Callable[[Asked], Ran]:
    """Return a function that runs a spec to its end."""

    def run_to_end(spec: Asked) -> Ran:
        container = engine.create(*spec, timeout=CALL)
        engine.start(container, timeout=CALL)
        written = {kind: bytearray() for kind in Stream}
        with engine.read_logs(container, cursor=LogCursor(), follow=True, timeout=CALL) as stream:
            while not stream.ended:
                for chunk in stream.read(CALL):
                    written[chunk.stream] += chunk.data
        status = engine.wait(container, timeout=CALL)
        assert status is not None
        return Ran(container, status, bytes(written[Stream.STDOUT]), bytes(written[Stream.STDERR]))

    return run_to_end
