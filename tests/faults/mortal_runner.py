"""Runners and supervisors in this process that can die as by a kill: they do nothing more, and their locks are free."""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

from botdock import Config, DockerRunner
from botdock.errors import BotdockError, EngineUnavailableError
from botdock.executions import _queue, _requests
from botdock.executions._files import REQUESTS, SUPERVISOR
from botdock.executions._lease import Lease
from botdock.orchestrator import journal, recovery, starting
from botdock.orchestrator.journal import Journal
from botdock.plugin_manager import PluginManager
from botdock.services.code import CodeService
from botdock.services.log_store import LogWriter
from botdock.supervisor import Supervisor, _succession
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.faults import Call

DEADLINE = 60.0
"""Seconds after which what does not come is a hang."""
_STILL = 0.08
"""Seconds without a change of the state folder, after which nothing is under way."""
_WRITES: list[tuple[Any, str]] = [
    (CodeService, "cleanup_workspace"),
    (Journal, "event"),
    (Journal, "discard"),
    (journal, "hold"),
    (journal, "publish"),
    *((_queue, name) for name in ("publish", "hold", "remove_folder", "forget_request")),
    (_requests, "publish"),
    *((module, "claiming") for module in (_queue, recovery, starting)),
    *((_succession, name) for name in ("remove_folder", "forget_request", "submit")),
    *((LogWriter, name) for name in ("append", "note_gap", "flush", "sync", "seal_closed", "finish")),
]
"""What a runner or a supervisor does to the folder of an execution, and to requests."""
_OURS = "runner_of_the_test"


@contextmanager
def steps_can_be_the_last() -> Iterator[None]:
    """Let what a runner writes pass its gate, and each thread have the runner of the one that starts it."""
    start = threading.Thread.start

    def started(thread: threading.Thread) -> None:
        if not thread.name.startswith("fake-"):  # a bot's
            setattr(thread, _OURS, getattr(threading.current_thread(), _OURS, None))
        start(thread)

    with ExitStack() as patches:
        patches.enter_context(patch.object(threading.Thread, "start", started))
        patches.enter_context(patch.object(Lease, "hold", _held))
        for owner, name in _WRITES:
            patches.enter_context(patch.object(owner, name, _gated(getattr(owner, name))))
        yield


def _gated(write: Callable[..., Any]) -> Callable[..., Any]:
    def pass_the_gate(*arguments: Any, **options: Any) -> Any:
        mortal: Mortal | None = getattr(threading.current_thread(), _OURS, None)
        if mortal is not None:
            mortal.gate.step()
        return write(*arguments, **options)

    return pass_the_gate


def _held(lease: Lease, hold: Callable[[Lease], str] = Lease.hold) -> str:
    mortal: Mortal | None = getattr(threading.current_thread(), _OURS, None)
    if mortal is not None:
        mortal.gate.step()
        mortal.leases.append(lease)
    return hold(lease)


class Gate:
    """Lets what one runner does to its engine and its disk pass until it dies: then each waits, and has no effect."""

    def __init__(self) -> None:
        self.dead = threading.Event()
        self.buried = threading.Event()
        self._lock = threading.Lock()
        self._left: int | None = None
        self.waiting = 0

    def die_after(self, steps: int) -> None:
        """Die in place of the step that comes after so many."""
        self._left = steps

    def call(self, call: Call) -> None:
        """Let one call to the engine pass; a dead runner's never has an effect."""
        if call.operation != "close":
            self.step()
            if self.dead.is_set():
                raise EngineUnavailableError("this runner is dead")

    def step(self) -> None:
        """Let a step pass; of a dead runner not before nothing of it matters any more."""
        with self._lock:
            if self._left is not None:
                self._left -= 1
                if self._left < 0:
                    self.dead.set()
        if self.dead.is_set():
            with self._lock:
                self.waiting += 1
            self.buried.wait()


class Mortal(ABC):
    """A holder of executions over a fake engine.

    Args:
        home: The state folder.
        engine: The engine that all share.
    """

    def __init__(self, home: Path, engine: FakeEngine) -> None:
        self.gate = Gate()
        self.engine = engine.successor(before=self.gate.call)
        self.home = home
        self.closed = self.died = False
        self.leases: list[Lease] = []

    @property
    def lives(self) -> bool:
        return not (self.closed or self.gate.dead.is_set())

    def do(self, work: Callable[[], Any]) -> Any:
        """Do something in a thread of its own; return what it returns, or raises of ours; None if it dies over it."""
        results: list[Any] = []
        errors: list[BaseException] = []

        def target() -> None:
            setattr(threading.current_thread(), _OURS, self)
            try:
                results.append(work())
            except BaseException as error:  # noqa: BLE001 - it is raised again below
                errors.append(error)

        thread = threading.Thread(target=target, daemon=True)
        thread.start()
        deadline = time.monotonic() + DEADLINE
        while thread.is_alive() and not self.gate.dead.is_set():
            thread.join(0.005)
            assert time.monotonic() < deadline, f"it hangs: {stack(thread)}"
        if self.gate.dead.is_set():
            self.die()
            return None
        if errors:
            raise errors[0]
        return results[0]

    def die(self) -> None:
        """Do nothing more; may be called twice."""
        self.gate.dead.set()
        if self.died:
            return
        self.died = True
        self._until_nothing_moves()
        for lease in self.leases:
            lease.forked()  # closes the descriptor, and leaves the file, as a kill does
        for shown in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                place, descriptor = shown.readlink(), int(shown.name)
                if place.is_relative_to(self.home) and self._locks(place, descriptor):
                    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
                    os.dup2(nothing, descriptor, inheritable=False)  # lets go of the lock
                    os.close(nothing)

    def _locks(self, place: Path, descriptor: int) -> bool:
        return place == self.home / REQUESTS / ".lock" or stat.S_ISDIR(os.fstat(descriptor).st_mode)

    def close(self, *, stop: bool) -> None:
        """Close it, as its user does."""
        self.do(lambda: self.let_go(stop=stop))
        self.closed = not self.gate.dead.is_set()

    def bury(self) -> None:
        """Let its threads end; the state folder is not looked at any more."""
        self.gate.buried.set()
        with suppress(BotdockError):
            self.let_go(stop=False)

    @abstractmethod
    def let_go(self, *, stop: bool) -> None:
        """Close it."""

    def threads(self) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if getattr(thread, _OURS, None) is self]

    def story(self) -> str:
        """Tell what its threads are at."""
        return "\n".join([type(self).__name__, *(f"{thread.name}:\n{stack(thread)}" for thread in self.threads())])

    def _until_nothing_moves(self) -> None:
        """Wait until all that its threads were at is done, but for what needs the engine, which they will not reach."""
        deadline, still_since, seen = time.monotonic() + DEADLINE, time.monotonic(), self._traces()
        while time.monotonic() - still_since < _STILL:
            time.sleep(0.005)
            if (now := self._traces()) != seen:
                seen, still_since = now, time.monotonic()
            assert time.monotonic() < deadline, f"it does not come to rest: {self.threads()}"

    def _traces(self) -> tuple[object, ...]:
        """Return what would change if one of its threads still did something."""
        files = []
        for folder, _, names in os.walk(self.home):  # what goes meanwhile is left out
            for path in (Path(folder), *(Path(folder, name) for name in names)):
                with suppress(OSError):
                    status = path.lstat()
                    files.append((str(path), status.st_size, status.st_mtime_ns))
        return self.gate.waiting, sorted(files)


def stack(thread: threading.Thread) -> str:
    import traceback

    frame = sys._current_frames().get(thread.ident or 0)
    return "".join(traceback.format_stack(frame)) if frame else "it has ended"


class MortalRunner(Mortal):
    """A `DockerRunner`.

    Args:
        config: Its configuration.
        plugins: What is installed, and `making`'s engine.
        engine: The engine that all share.
    """

    def __init__(self, config: Config, plugins: PluginManager, engine: FakeEngine) -> None:
        super().__init__(config.home_dir, engine)
        self.runner: DockerRunner = self.do(lambda: DockerRunner(config, plugins=plugins))

    def let_go(self, *, stop: bool) -> None:
        self.runner.close(stop=stop)


class MortalSupervisor(Mortal):
    """A `Supervisor`, which runs; its arguments are those of a `MortalRunner`."""

    def __init__(self, config: Config, plugins: PluginManager, engine: FakeEngine) -> None:
        super().__init__(config.home_dir, engine)

        class Configured(Supervisor):
            def _load(self, overrides: Mapping[str, Any]) -> tuple[Config, PluginManager]:
                return config, plugins

        self._supervisor: Supervisor = self.do(Configured)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.do(self._thread.start)

    def _run(self) -> None:
        try:
            self._supervisor.run()
        except (OSError, BotdockError):
            if not self.gate.dead.is_set():  # its state folder is gone
                raise

    def let_go(self, *, stop: bool) -> None:
        self._supervisor.hand_over()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive(), f"it does not hand over: {stack(self._thread)}"

    def _locks(self, place: Path, descriptor: int) -> bool:
        return place == self.home / SUPERVISOR or super()._locks(place, descriptor)


def engine_of_this_thread(_config: Config) -> FakeEngine:
    """Return the engine of the runner or supervisor that is being made."""
    mortal: Mortal = getattr(threading.current_thread(), _OURS)
    return mortal.engine
