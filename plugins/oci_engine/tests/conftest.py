"""Specs of shell scripts, engines over a folder of the test's own, and what is left on the machine."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.errors import EngineUnavailableError
from botdock.model import ContainerHandle, ContainerStatus, LogCursor, Stream, new_execution_id
from botdock_engine_oci.cgroups import folders_of
from botdock_engine_oci.engine import OciEngine
from botdock_engine_oci.probing import cache_of, probe
from botdock_engine_oci.settings import OciSettings
from botdock_testing.engine import Asked, asked, replaced

CALL = 60.0
RESULT = "/botdock/result"


@attrs.frozen
class Machine:
    """What is on this machine of the bots of one test.

    Attributes:
        state: The engine's folder.
        mark: What the environment of each bot holds, and of all that it starts.
    """

    state: Path
    mark: str

    def living(self) -> list[str]:
        """Return the commands of the bots' processes."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if self.mark.encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_bytes().decode())
        return found

    def left(self, container: ContainerHandle) -> list[str]:
        """Return the processes, cgroups, mounts and folders that there are of a container."""
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        return [
            *self.living(),
            *(folder for folder in folders_of(container.id) if Path(folder).exists()),
            *(line for line in mounts if str(self.state) in line),
            *(str(path) for path in self.state.iterdir()),
        ]

    def record(self, container: ContainerHandle, name: str) -> dict[str, Any]:
        """Return a record of a container's."""
        found: dict[str, Any] = json.loads((self.state / container.id / name).read_text())
        return found


@pytest.fixture(scope="session")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file that tells what works here; skip where nothing does."""
    state = tmp_path_factory.mktemp("probed") / "oci"
    try:
        probe(state, OciSettings())
    except EngineUnavailableError as error:
        if os.environ.get("CI", "").casefold() in {"1", "true", "yes"}:
            raise
        pytest.skip(f"{error.message}; {error.hint}")
    return cache_of(state)


@pytest.fixture
def state(probed: Path, tmp_path: Path) -> Path:
    """Return a state folder beside which it is known what works here."""
    folder = tmp_path / "home" / "oci"
    folder.parent.mkdir()
    shutil.copy(probed, cache_of(folder))
    return folder


@pytest.fixture
def machine(state: Path) -> Machine:
    return Machine(state, secrets.token_hex(16))


@pytest.fixture
def engine(machine: Machine) -> Iterator[OciEngine]:
    if os.geteuid() != 0:
        pytest.skip("the cgroups of this machine are root's")
    engine = OciEngine(machine.state)
    yield engine
    for info in engine.list({}, timeout=CALL):
        engine.remove(ContainerHandle(id=info.container_id), timeout=CALL)


@pytest.fixture
def shell_spec(tmp_path: Path, machine: Machine) -> Callable[..., Asked]:
    """Return a function from a shell script to a spec that runs it."""

    def make(script: str, **overrides: object) -> Asked:
        result = tmp_path / f"result-{new_execution_id()}"
        result.touch()
        result.chmod(0o666)
        tmp_path.chmod(0o755)
        defaults = {
            "name": f"botdock-{new_execution_id()}",
            "command": ("/bin/sh", "-c", script, "sh"),
            "environment": {"MARK": machine.mark},
            "result": str(result),
        }
        return replaced(asked(tmp_path), **{**defaults, **overrides})

    return make


@pytest.fixture
def start(engine: OciEngine, shell_spec: Callable[..., Asked]) -> Callable[..., ContainerHandle]:
    """Return a function that starts a script, and waits until that has said something."""

    def start_script(script: str, **overrides: object) -> ContainerHandle:
        container = engine.create(*shell_spec(script, **overrides), timeout=CALL)
        with engine.attach(container, timeout=CALL) as stream:
            engine.start(container, timeout=CALL)
            assert stream.read(CALL), "it said nothing"
        return container

    return start_script


@attrs.frozen
class Ran:
    """A script that has been run to its end."""

    container: ContainerHandle
    status: ContainerStatus
    stdout: bytes
    stderr: bytes


@pytest.fixture
def run(engine: OciEngine, shell_spec: Callable[..., Asked]) -> Callable[..., Ran]:
    """Return a function that runs a script to its end."""

    def run_script(script: str, **overrides: object) -> Ran:
        container = engine.create(*shell_spec(script, **overrides), timeout=CALL)
        engine.start(container, timeout=CALL)
        written = {kind: bytearray() for kind in Stream}
        with engine.read_logs(container, cursor=LogCursor(), follow=True, timeout=CALL) as stream:
            while not stream.ended:
                for chunk in stream.read(CALL):
                    written[chunk.stream] += chunk.data
        status = engine.wait(container, timeout=CALL)
        assert status is not None
        return Ran(container, status, bytes(written[Stream.STDOUT]), bytes(written[Stream.STDERR]))

    return run_script
