"""Runners, bots and an engine in one process, what is true of them, and what botdock must say of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from unittest.mock import patch

from botdock import Config, Executable, _threads, hookimpl
from botdock.config import ContainersConfig, LoggingConfig, RuntimeConfig
from botdock.errors import BotdockError
from botdock.executions import Executions, _stops
from botdock.executions._queue import submit
from botdock.executions._requests import Request, Restart
from botdock.model import ContainerRun, ContainerTemplate, EnginePlugin, new_execution_id
from botdock.model.container import LABEL_EXECUTABLE
from botdock.orchestrator import execution, recovery, running, strays
from botdock.plugin_manager import PluginManager
from botdock.services import container as container_service
from botdock.supervisor import _watch
from botdock.supervisor._seat import ring
from botdock_testing.fake_container import FakeContainer
from botdock_testing.faults import Fault
from botdock_testing.script import Script
from faults.mortal_runner import (
    DEADLINE,
    Mortal,
    MortalRunner,
    MortalSupervisor,
    engine_of_this_thread,
    stack,
    steps_can_be_the_last,
)
from faults.runner_truth import Bot, NotingEngine, Truth

KEPT = {"request.json", "events.jsonl", "result.json", "outcome.json", "logs"}
QUICK: list[tuple[object, str, object]] = [
    (os, "fsync", lambda _descriptor: None),
    (os, "fdatasync", lambda _descriptor: None),
    (_stops, "_LOOK", 0.05),
    (_threads, "IDLE", 0.05),
    (_watch, "_LOOK", 0.05),
    (_watch, "_LONGEST", 0.1),
    (_watch, "_SHORTEST", 0.02),
    (container_service, "RETRY_PAUSE", 0.001),
    (execution, "END_PAUSE", 0.02),
    (execution, "RECONNECT_PAUSE", 0.01),
    (recovery, "ENGINE_PATIENCE", 0.0),  # no container of the fake appears late
    (running, "FIRST_PAUSE", 0.01),
    (running, "LIST_EVERY", 0.2),
    (running, "LONGEST_PAUSE", 0.05),
    (running, "RECONNECT_PAUSES", (0.01, 0.05)),
]
"""What takes seconds in the field."""


@cache
def plugins() -> PluginManager:
    """Return what is installed, and the engine of the runner that is being made."""
    engine = EnginePlugin(name="fake", factory=engine_of_this_thread)
    manager = PluginManager.load()
    manager.register(SimpleNamespace(botdock_engines=hookimpl(lambda: [engine])), name="fake")
    return manager


class RunnerWorld:
    """One state folder and one engine.

    Attributes:
        bots: All of them, by their id.
        mortals: The runners and supervisors, also the dead ones.
    """

    def __init__(self, *, has_events: bool, has_fileno: bool) -> None:
        self.before = len(_descriptors())
        self._patches = ExitStack()
        self._folder = Path(self._patches.enter_context(TemporaryDirectory(dir=_quick())))
        for owner, name, value in QUICK:
            self._patches.enter_context(patch.object(owner, name, value))
        self._patches.enter_context(steps_can_be_the_last())
        self.home = self._folder / "home"
        self._code = self._folder / "code"
        self._code.mkdir()
        (self._code / "main.sh").write_text("echo\n")
        self._config = Config(
            engine="fake",
            home=str(self.home),
            runtime=RuntimeConfig(timeout=60, grace=0.01),
            containers=ContainersConfig(call_timeout=0.3, retries=2, reconnect_timeout=0.2),
            logging=LoggingConfig(sync_interval=0.01, drain_timeout=5, compress=False),
        )
        self.engine = NotingEngine(self._script_of, has_events=has_events, has_fileno=has_fileno)
        self.engine.harmed = set()
        self.bots: dict[str, Bot] = {}
        self.mortals: list[Mortal] = []
        self.truth = Truth(self.home, self.engine, self.bots)

    @property
    def living(self) -> list[Mortal]:
        return [mortal for mortal in self.mortals if mortal.lives]

    @property
    def runners(self) -> list[MortalRunner]:
        return [mortal for mortal in self.living if isinstance(mortal, MortalRunner)]

    def supervise(self, dies_after: int | None = None) -> None:
        """Start a supervisor, unless one lives."""
        self.reap()
        if not any(isinstance(mortal, MortalSupervisor) for mortal in self.living):
            self.mortals.append(supervisor := MortalSupervisor(self._config, plugins(), self.engine))
            if dies_after is not None:
                supervisor.gate.die_after(dies_after)

    def submit(self, script: Script, timeout: float | None) -> None:
        """Ask the supervisor, or the next one, to run a bot."""
        name = f"bot{len(self.bots)}"
        bot = self.bots[name] = Bot(script, timeout, None, troubled=True)
        asked = Executable(id=name, runtime="bash", file_path=str(self._code), timeout=timeout)
        execution_id = bot.execution_id = new_execution_id()
        submit(
            self.home,
            Request(execution_id=execution_id, executable=asked, engine="fake", storage="local-fs", restart=Restart()),
            most=1000,
        )
        ring(self.home)

    def running(self) -> list[FakeContainer]:
        return [one for one in self.engine.world.containers.values() if one.running]

    def add_runner(self, *, recovers: bool, dies_after: int | None = None) -> MortalRunner:
        runner = MortalRunner(self._config, plugins(), self.engine)
        self.mortals.append(runner)
        if dies_after is not None:
            runner.gate.die_after(dies_after)
        if recovers:
            self.recover(runner)
        return runner

    def start(self, runner: MortalRunner, script: Script, timeout: float | None) -> None:
        name = f"bot{len(self.bots)}"
        bot = self.bots[name] = Bot(script, timeout, runner)
        bot.troubled = bool(runner.engine.faults._turns)
        asked = Executable(id=name, runtime="bash", file_path=str(self._code), timeout=timeout)
        self._try(lambda: setattr(bot, "execution", runner.do(lambda: runner.runner.start(asked))))

    def recover(self, runner: MortalRunner) -> None:
        self._try(lambda: runner.do(runner.runner.recover))

    def close(self, runner: Mortal, *, stop: bool) -> None:
        self.truth.stopped_all |= stop and isinstance(runner, MortalRunner)
        runner.close(stop=stop)

    def break_something(self, runner: Mortal, fault: Fault) -> None:
        self._trouble()
        runner.engine.faults.add(fault)

    def restart(self, *, containers_end: bool) -> None:
        self._trouble()
        self.engine.restart(containers_end=containers_end)

    def harm(self, container: FakeContainer, how: str) -> None:
        self.truth.bot_in(container).troubled = True
        if how == "vanish":
            self.engine.vanish(container.container_id)
        else:
            self.engine.kill(container.container_id, oom=how == "oom")

    def end(self, container: FakeContainer, code: int) -> None:
        with suppress(BotdockError):  # it has ended, and is gone
            self.engine.finish(container.container_id, exit_code=code)

    def write(self, container: FakeContainer, text: bytes) -> None:
        with suppress(BotdockError), self.engine.world.changed:
            if container.running:
                self.engine.emit(container.container_id, text)

    def stop(self, bot: Bot, grace: float, *, by_file: bool) -> None:
        def stop() -> None:
            if by_file:
                name = next(iter(self.truth.ids_of(bot)), None)
                if name is not None:
                    Executions(self.home).request_stop(name, grace=grace)
                    bot.stop_asked = True
            elif bot.execution is not None and bot.runner is not None and bot.runner.lives:
                bot.runner.do(lambda: bot.execution.stop(grace))  # type: ignore[union-attr] # asked just before
                bot.stop_asked = True

        bot.stop_asked = bot.stop_asked or not by_file
        self._try(stop)

    @staticmethod
    def pass_time(seconds: float) -> None:
        time.sleep(seconds)

    def check(self) -> None:
        """Hold what is on disk against what is true."""
        self.reap()
        self.truth.check()

    def reap(self) -> None:
        """Let go of the locks of those that have come to their last step."""
        for mortal in self.mortals:
            if mortal.gate.dead.is_set():
                mortal.die()

    def bring_to_an_end(self) -> None:
        """Let all bots end, and a runner finish what there is; then nothing is left but records."""
        for runner in self.living:
            runner.gate.die_after(10**9)
            runner.engine.faults.clear()
        self.engine.faults.clear()
        last = self.add_runner(recovers=False)
        self.supervise()
        deadline = time.monotonic() + DEADLINE
        while unfinished := [one for one in self.truth.folders() if not (one / "outcome.json").exists()]:
            for container in self.running():
                self.end(container, 0)
            self.recover(last)
            self.check()
            assert time.monotonic() < deadline, "\n".join(
                ["not finished:", *map(self.truth.story, unfinished), *(one.story() for one in self.living)]
            )
            self.pass_time(0.02)
        self._until(lambda: not [*self.home.glob("requests/0*")], lambda: [*self.home.glob("requests/0*")])
        with patch.object(strays, "STRAY_GRACE", 0.0):
            for _ in range(2):
                self.recover(last)
        for runner in self.living:
            runner.close(stop=True)
        self.check()
        assert list(self.engine.world.containers) == []
        left = [path for folder in self.truth.folders() for path in folder.iterdir() if path.name not in KEPT]
        left += [*self.home.glob("runners/*"), *self.home.glob("executions/.*"), *self.home.glob("requests/0*")]
        assert left == [], [self.truth.story(path.parent) for path in left]

    def bury(self) -> None:
        """Let go of all; no thread and no descriptor is left of those that were closed."""
        self.home.rename(self._folder / "grave")
        for mortal in self.mortals:
            if not mortal.closed:
                mortal.bury()
        ours = [mortal.threads for mortal in self.mortals if mortal.closed]
        self._until(lambda: not any(threads() for threads in ours), lambda: [list(map(stack, one())) for one in ours])
        self.engine.close()
        self._patches.close()
        if not any(mortal.died for mortal in self.mortals):
            self._until(lambda: len(_descriptors()) <= self.before, _descriptors)

    def _until(self, condition: Callable[[], bool], why: Callable[[], object]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, why()
            time.sleep(0.005)

    def _script_of(self, _template: ContainerTemplate, run: ContainerRun) -> Script:
        return self.bots[run.annotations[LABEL_EXECUTABLE]].script

    def _trouble(self) -> None:
        for bot in self.bots.values():
            bot.troubled = bot.troubled or bot.outcome is None

    def _try(self, work: Callable[[], object]) -> None:
        with suppress(BotdockError):
            work()


def _quick() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _descriptors() -> list[str]:
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(f"{path.name}: {path.readlink()}")
    return found
