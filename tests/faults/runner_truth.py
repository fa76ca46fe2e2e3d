"""What is true of bots and containers, and what botdock must say of it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from botdock.model import ContainerState, LogGap, Stream
from botdock.model.container import LABEL_EXECUTABLE, LABEL_EXECUTION
from botdock.orchestrator import Execution
from botdock.services.log_store import StoredLog
from botdock_testing.fake_container import FakeContainer
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.script import Script
from faults.mortal_runner import Mortal


class NotingEngine(FakeEngine):
    """Notes which containers are harmed behind the runners' backs."""

    harmed: set[str]

    def kill(self, container_id: str, *, oom: bool = False) -> None:
        self.harmed.add(container_id)
        super().kill(container_id, oom=oom)

    def vanish(self, container_id: str) -> None:
        self.harmed.add(container_id)
        super().vanish(container_id)


@attrs.define(eq=False)
class Bot:
    """One bot, which is run once.

    Attributes:
        script: What it does.
        timeout: Its wall time.
        runner: Who was asked to start it; None for whichever supervisor takes it.
        execution: What that runner gave for it; None while, or if, it gave none.
        execution_id: What it was submitted under; empty for a bot of a runner.
        stop_asked: Whether a stop was asked for, and not refused.
        troubled: Whether anything but the bot went wrong while it may have run.
        outcome: The first outcome that was there.
    """

    script: Script
    timeout: float | None
    runner: Mortal | None
    execution: Execution | None = None
    execution_id: str = ""
    stop_asked: bool = False
    troubled: bool = False
    outcome: dict[str, Any] | None = None


class Truth:
    """What the engine knows, also of containers that are gone, and what must be on disk.

    Args:
        home: The state folder.
        engine: The engine.
        bots: All bots, by their id.
    """

    def __init__(self, home: Path, engine: NotingEngine, bots: dict[str, Bot]) -> None:
        self._home = home
        self._engine = engine
        self._bots = bots
        self._containers: dict[str, FakeContainer] = {}
        self._removed: set[str] = set()
        self._wrong: list[str] = []
        self.stopped_all = False
        engine.world.listeners.add(self._look)

    def check(self) -> None:
        """Hold what is on disk against what is true."""
        with self._engine.world.changed:
            assert self._wrong == []
        for folder in self.folders():
            self._check_execution(folder)

    def ids_of(self, bot: Bot) -> list[str]:
        """Return the ids of its executions, as far as they are known."""
        if bot.execution is not None or bot.execution_id:
            return [bot.execution.execution_id if bot.execution else bot.execution_id]
        return [one.info.labels[LABEL_EXECUTION] for one in self._containers.values() if self.bot_in(one) is bot]

    def folders(self) -> list[Path]:
        return sorted(path for path in self._home.glob("executions/*") if not path.name.startswith("."))

    def bot_in(self, container: FakeContainer) -> Bot:
        return self._bots[container.info.labels[LABEL_EXECUTABLE]]

    def _check_execution(self, folder: Path) -> None:
        containers = self._containers_of(folder.name)
        assert len(containers) <= 1, f"{len(containers)} containers"
        try:
            outcome = json.loads((folder / "outcome.json").read_text())
        except FileNotFoundError:
            return
        bot = self._bots[outcome["id"]]
        first, bot.outcome = bot.outcome or outcome, bot.outcome or outcome
        assert outcome == first, "a second terminal record"
        container = containers[0] if containers else None
        story = self.story(folder)
        assert container is None or container.removed, story
        self._check_outcome(bot, outcome, container, story)
        self._check_log(folder, outcome, container, story)

    def _check_outcome(self, bot: Bot, outcome: dict[str, Any], container: FakeContainer | None, story: str) -> None:
        how, status = outcome["outcome"], container.status if container else None
        ended = status is not None and status.state is ContainerState.EXITED
        code = status.exit_code if status and ended else None
        assert outcome["exit_code"] in {None, code}, story
        assert how != "succeeded" or (code == 0 and status.signal is None), story  # type: ignore[union-attr] # it ended
        assert how != "timed_out" or bot.timeout is not None, story
        stopped = bot.stop_asked or self.stopped_all
        assert how != "stopped" or stopped, story
        if container is None or status is None or not ended or container.container_id in self._engine.harmed:
            return
        by_runner = status.signal is not None or b"bye\n" in b"".join(chunk.data for chunk in container.log)
        if by_runner:
            assert how in {"stopped", "timed_out", "infrastructure_error"}, story
            if not bot.troubled and bot.timeout is None:
                assert how == "stopped", story
        elif not bot.troubled:
            wanted = {"succeeded" if code == 0 else "failed", *(["timed_out"] if bot.timeout else [])}
            if stopped and "recovered" in outcome["evidence"]:  # its runner died before it told the engine
                wanted.add("stopped")
            assert how in wanted, story

    def _check_log(self, folder: Path, outcome: dict[str, Any], container: FakeContainer | None, story: str) -> None:
        stored, gaps = dict.fromkeys(Stream, b""), 0
        if (folder / "logs").exists():
            for entry in StoredLog(folder / "logs").entries():
                if isinstance(entry, LogGap):
                    gaps += 1
                else:
                    stored[entry.stream] += entry.data
        written = dict.fromkeys(Stream, b"")
        for chunk in container.log if container else ():
            written[chunk.stream] += chunk.data
        for stream in Stream:
            assert written[stream].startswith(stored[stream]), story
        assert gaps == 0, story
        assert not outcome["log"]["complete"] or stored == written, story

    def story(self, folder: Path) -> str:
        """Tell what is known of an execution."""
        lines = [folder.name, f"files: {sorted(path.name for path in folder.glob('*'))}"]
        with suppress(OSError):
            events = map(json.loads, (folder / "events.jsonl").read_text().splitlines())
            lines += [str({name: value for name, value in event.items() if name != "time_ns"}) for event in events]
        for name in ("concluded.json", "outcome.json"):
            with suppress(OSError):
                document = json.loads((folder / name).read_text())
                document["evidence"].pop("bounds", None)
                lines.append(f"{name}: { {key: document.get(key) for key in ('outcome', 'error', 'evidence', 'log')} }")
        lines += [f"container: {one.status} {one.removed=} {one.log}" for one in self._containers_of(folder.name)]
        with suppress(OSError):
            lines.append(str(self._bots[json.loads((folder / "request.json").read_text())["id"]]))
        return "\n".join(lines)

    def _containers_of(self, execution_id: str) -> list[FakeContainer]:
        with self._engine.world.changed:
            found = list(self._containers.values())
        return [one for one in found if one.info.labels[LABEL_EXECUTION] == execution_id]

    def _look(self) -> None:
        """Note containers, and that none goes after the outcome is there; the lock of the engine is held."""
        self._containers.update(self._engine.world.containers)
        for container_id in self._containers.keys() - self._engine.world.containers.keys() - self._removed:
            self._removed.add(container_id)
            execution_id = self._containers[container_id].info.labels[LABEL_EXECUTION]
            if (self._home / "executions" / execution_id / "outcome.json").exists():
                self._wrong.append(f"{execution_id} had an outcome before its container was gone")
