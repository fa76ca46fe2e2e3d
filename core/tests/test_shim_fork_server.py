"""Shims that are forked from a process that waits, and what happens when that is not there any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from botdock.errors import EngineTimeoutError
from botdock.model import (
    ContainerHandle,
    ContainerRun,
    ContainerState,
    ContainerTemplate,
    EngineCapabilities,
    ImageInfo,
    LogCursor,
    PullPolicy,
    PullProgress,
)
from botdock.shim import Plan, ShimEngine
from botdock.shim._program import files
from botdock.shim._program.files import identity_of
from botdock_testing.engine import asked
from testbed.waiting import until

CALL = 60.0
DYING = """
import os, pathlib, signal, sys
from botdock.shim._process import ForkServer
server = ForkServer()
server.start()
print(server._pid, flush=True)
sys.stdin.read()
"""


class BareEngine(ShimEngine):
    name = "bare"
    forks = True

    def capabilities(self) -> EngineCapabilities:
        return EngineCapabilities(engine=self.name)

    def ensure_image(
        self,
        image: str,
        *,
        policy: PullPolicy,
        timeout: float,
        progress: Callable[[PullProgress], None] | None = None,
    ) -> ImageInfo:
        return ImageInfo(reference=image)

    def plan(self, new: Path, folder: Path, template: ContainerTemplate, run: ContainerRun) -> Plan:
        return Plan(command=template.command, environment={}, working_dir=run.code)

    @property
    def server(self) -> int:
        assert self._fork_server is not None
        return self._fork_server._pid


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[BareEngine]:
    engine = BareEngine(tmp_path / "state")
    yield engine
    for info in engine.list({}, timeout=CALL):
        engine.remove(ContainerHandle(id=info.container_id), timeout=CALL)
    engine.close()


@pytest.fixture
def create(engine: BareEngine, tmp_path: Path) -> Callable[..., ContainerHandle]:
    def make(script: str, name: str = "botdock-1") -> ContainerHandle:
        return engine.create(*asked(tmp_path, name=name, command=("/bin/sh", "-c", script)), timeout=CALL)

    return make


def parent_of(engine: BareEngine, container: ContainerHandle) -> int:
    record: Mapping[str, int] = files.read_record(str(engine._state / container.id / files.SHIM)) or {}
    status = Path(f"/proc/{record['pid']}/status").read_text()
    return int(status.partition("\nPPid:")[2].split()[0])


def test_a_bot_runs_as_ever_and_its_shim_is_no_child_of_ours(
    engine: BareEngine, create: Callable[..., ContainerHandle]
) -> None:
    container = create("echo up; until [ -e go ]; do sleep 0.01; done; exit 3")
    engine.start(container, timeout=CALL)
    assert parent_of(engine, container) not in {os.getpid(), engine.server}
    (engine._state.parent / "go").touch()
    status = engine.wait(container, timeout=CALL)
    assert status is not None
    assert (status.exit_code, status.error) == (3, "")
    with engine.read_logs(container, cursor=LogCursor(), follow=False, timeout=CALL) as stream:
        assert b"".join(chunk.data for chunk in stream.read(CALL)) == b"up\n"


def test_what_went_wrong_is_told(engine: BareEngine, create: Callable[..., ContainerHandle]) -> None:
    container = create("exit 3")
    (engine._state / container.id / files.PLAN).unlink()
    with pytest.raises(Exception, match="its plan is gone"):
        engine.start(container, timeout=CALL)


@pytest.mark.parametrize("idle", [True, False])
def test_bots_start_though_the_server_was_killed_and_those_that_run_go_on(
    engine: BareEngine, create: Callable[..., ContainerHandle], idle: bool
) -> None:
    first, second = create("exec sleep 600", "botdock-1"), create("exec sleep 600", "botdock-2")
    engine.start(first, timeout=CALL)
    killed = engine.server
    os.kill(killed, signal.SIGKILL)
    if idle:
        os.waitid(os.P_PID, killed, os.WEXITED | os.WNOWAIT)
    engine.start(second, timeout=CALL)
    states = [engine.inspect(container, timeout=CALL).state for container in (first, second)]
    assert states == [ContainerState.RUNNING, ContainerState.RUNNING]
    third = create("exit 0", "botdock-3")
    engine.start(third, timeout=CALL)
    assert engine.server != killed


def test_a_server_that_hangs_is_given_up(engine: BareEngine, create: Callable[..., ContainerHandle]) -> None:
    first, second = create("exit 0", "botdock-1"), create("exit 0", "botdock-2")
    os.kill(engine.server, signal.SIGSTOP)
    with pytest.raises(EngineTimeoutError, match="did not answer"):
        engine.start(first, timeout=0.05)
    engine.start(second, timeout=CALL)


def test_a_closed_engine_leaves_no_server_and_its_bots_go_on(
    engine: BareEngine, create: Callable[..., ContainerHandle]
) -> None:
    container = create("exec sleep 600")
    engine.start(container, timeout=CALL)
    server = engine.server
    engine.close()
    assert identity_of(server) is None
    assert engine.inspect(container, timeout=CALL).state is ContainerState.RUNNING


def test_the_server_of_a_runner_that_was_killed_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", DYING], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as runner:
        assert runner.stdout is not None
        server = int(runner.stdout.readline())
        assert identity_of(server)
        runner.kill()
    until(lambda: identity_of(server) is None, timeout=CALL)


def test_a_server_that_is_forgotten_is_ended(tmp_path: Path, create: Callable[..., ContainerHandle]) -> None:
    engine = BareEngine(tmp_path / "other")
    engine.create(*asked(tmp_path, command=("/bin/sh",)), timeout=CALL)
    server = engine.server
    del engine
    assert identity_of(server) is None
