"""Fixtures: a facade that does what a test says, and the command line in this process and in one of its own."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import attrs
import pytest

from botdock.config import Config
from botdock.errors import BotdockError
from botdock.executions._lease import Lease, hold
from botdock.model import (
    Executable,
    ExecutionResult,
    LogChunk,
    Outcome,
    Progress,
    StorageBackend,
    Stream,
    new_execution_id,
)
from botdock.model.limits import MIB
from botdock.orchestrator import Leftover
from botdock.services import MetricsService, StorageService
from botdock.services.log_store import LogWriter
from botdock_cli import main as command_line
from botdock_cli.session import Session
from botdock_testing.memory_storage import MemoryBackend

SUCCEEDED = ExecutionResult(execution_id="01run", id="bot", outcome=Outcome.SUCCEEDED, exit_code=0)


class FakeExecution:
    """Yields the chunks of a test, and ends when they do; `stop` and `kill` are noted."""

    execution_id = "01run"

    def __init__(self, chunks: Iterator[LogChunk], result: ExecutionResult | None) -> None:
        self.chunks = chunks
        self.outcome = self.result = result
        self.stopped = threading.Event()
        self.killed = threading.Event()

    def stream(self) -> Iterator[LogChunk]:
        return self.chunks

    def wait(self, timeout: float | None = None) -> ExecutionResult | None:
        return self.outcome

    def stop(self, grace: float | None = None) -> None:
        self.stopped.set()

    def kill(self) -> None:
        self.killed.set()


class FakeRunner:
    """A facade whose one execution a test describes."""

    def __init__(self) -> None:
        self.chunks: list[LogChunk] = []
        self.result: ExecutionResult | None = SUCCEEDED
        self.error: BaseException | None = None
        self.reports: list[Progress] = []
        self.on_start: Callable[[], None] = lambda: None
        self.stream: Callable[[], Iterator[LogChunk]] = lambda: iter(self.chunks)
        self.config: Config | None = None
        self.executable: Executable | None = None
        self.execution: FakeExecution | None = None
        self.closed = False
        self.leftovers: Callable[[], list[Leftover]] = list

    def start(self, executable: Executable, *, progress: Callable[[Progress], None] | None = None) -> FakeExecution:
        self.executable = executable
        self.on_start()
        for report in self.reports:
            if progress is not None:
                progress(report)
        if self.error is not None:
            raise self.error
        self.execution = FakeExecution(self.stream(), self.result)
        return self.execution

    def says(self, data: bytes, stream: Stream = Stream.STDOUT) -> None:
        self.chunks.append(LogChunk(stream, data))

    def ends(self, outcome: Outcome, **facts: Any) -> None:
        self.result = attrs.evolve(SUCCEEDED, outcome=outcome, **facts)

    def fails(self, error: BotdockError, *, execution_id: str | None = None, phase: str | None = None) -> None:
        error.execution_id, error.phase = execution_id, phase
        self.error = error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


@attrs.frozen
class Run:
    """What one call of the command line left."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def out(self) -> str:
        return self.stdout.decode()

    @property
    def err(self) -> str:
        return self.stderr.decode()


CommandLine = Callable[..., Run]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """State of its own, and no configuration of the developer's own."""
    home = tmp_path / "home"
    for name in [name for name in os.environ if name.startswith(("BOTDOCK_", "COLUMNS", "MINIO_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BOTDOCK_HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return home


@pytest.fixture(autouse=True)
def untouched_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Botdock's log stays as other tests in this process expect it."""
    monkeypatch.setattr("botdock_cli.session.Session.show_log", lambda session, **_: None)


@pytest.fixture
def fake_runner(monkeypatch: pytest.MonkeyPatch) -> FakeRunner:
    """The facade that `botdock run` gets."""
    runner = FakeRunner()

    def open_runner(session: Session, engine: str | None = None) -> FakeRunner:
        del engine
        runner.config = session.config
        return runner

    monkeypatch.setattr(Session, "open_runner", open_runner)
    monkeypatch.setattr(Session, "leftovers", lambda *_: runner.leftovers())
    return runner


class FakeFactory:
    """Makes storages over the one backend of a test."""

    backend: StorageBackend = MemoryBackend()

    def __init__(self, *_: object) -> None:
        """Take what the real one takes."""
        self.metrics = MetricsService()

    def create_storage_service(self, name: str | None = None) -> StorageService:
        return StorageService(lambda area: self.backend)


@pytest.fixture
def over(monkeypatch: pytest.MonkeyPatch) -> Callable[[StorageBackend], None]:
    """Let the storage verbs work over a backend of the test."""

    def use(backend: StorageBackend) -> None:
        monkeypatch.setattr(FakeFactory, "backend", backend)
        monkeypatch.setattr("botdock.factory.BaseFactory", FakeFactory)

    return use


@pytest.fixture
def stored(own_home: Path) -> Callable[..., Path]:
    """Give the file that an object is, in the storage that is configured by default."""
    return lambda key, area="code": own_home / "storage" / area / key


@pytest.fixture
def store(stored: Callable[..., Path]) -> Callable[..., None]:
    """Store objects of a few bytes, past the command line."""

    def put(*keys: str, area: str = "code", data: bytes = b"data") -> None:
        for key in keys:
            file = stored(key, area)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)

    return put


class Logged:
    """An execution in the state folder, with a log that a test writes as a collector would."""

    def __init__(
        self, home: Path, *, bot: str = "sma", persist_results: bool = False, segment_bytes: int = MIB
    ) -> None:
        self.execution_id = new_execution_id()
        self.directory = home / "executions" / self.execution_id
        self.directory.mkdir(parents=True)
        request = {"id": bot, "execution_id": self.execution_id, "persist_results": persist_results}
        (self.directory / "request.json").write_text(json.dumps(request))
        self._segment_bytes = segment_bytes
        self._lease = Lease(home)

    @functools.cached_property
    def writer(self) -> LogWriter:
        """The log, which begins when it is first asked for."""
        return LogWriter(self.directory / "logs", segment_bytes=self._segment_bytes)

    def says(self, data: bytes, stream: Stream = Stream.STDOUT, *, time_ns: int = 1) -> Self:
        self.writer.append(LogChunk(stream, data, time_ns))
        return self

    def ends(self, *, complete: bool = True) -> Self:
        self.writer.flush()
        self.writer.finish(complete=complete)
        return self

    def concludes(self, **outcome: Any) -> Self:
        (self.directory / "outcome.json").write_text(json.dumps(outcome))
        return self

    def lives(self) -> Self:
        """Let this process be the runner that holds it."""
        hold(self.directory, self._lease.hold())
        return self

    def dies(self) -> None:
        """Let its runner be dead."""
        self._lease.give_up()


@pytest.fixture
def logged(own_home: Path) -> Iterator[Callable[..., Logged]]:
    """Make executions with logs."""
    made: list[Logged] = []

    def make(**options: Any) -> Logged:
        made.append(Logged(own_home, **options))
        return made[-1]

    yield make
    for one in made:
        one.dies()
        one.writer.close()


@pytest.fixture
def cli(capfdbinary: pytest.CaptureFixture[bytes]) -> CommandLine:
    """Run a command line in this process."""

    def call(*args: str) -> Run:
        capfdbinary.readouterr()
        try:
            code = command_line.main(list(args))
        except SystemExit as ended:  # of a shell that was answered
            code = int(ended.code or 0)
        sys.stdout.flush()
        captured = capfdbinary.readouterr()
        return Run(code, captured.out, captured.err)

    return call


@pytest.fixture
def newcomer(own_home: Path) -> dict[str, str]:
    """The environment of a user who has set nothing for Python."""
    ours = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
    return {name: value for name, value in os.environ.items() if name not in ours}


@pytest.fixture
def botdock(newcomer: dict[str, str]) -> CommandLine:
    """Run a command line in a process of its own."""

    def call(*args: str, stdin: bytes = b"", **environment: str) -> Run:
        command = [sys.executable, "-m", "botdock_cli", *args]
        done = subprocess.run(
            command, input=stdin, capture_output=True, env=newcomer | environment, check=False, timeout=60
        )
        return Run(done.returncode, done.stdout, done.stderr)

    return call
