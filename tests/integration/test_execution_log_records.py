"""Every record of botdock's own log that concerns an execution carries its id, whatever thread it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from loguru import logger

import botdock.logging
from botdock import Config, DockerRunner, EnginePlugin, Executable, ExecutionResult, Outcome, PluginManager, hookimpl
from botdock.errors import BotdockError, ContainerError
from botdock.model import ContainerHandle, ContainerStatus, Limits, LogChunk, LogCursor, LogStream
from botdock_engine_process.engine import ProcessEngine

MakeBot = Callable[..., Executable]

SAYS = """
def main(id, config):
    print(config["text"], flush=True)
    return config["text"]
"""
FAILS = """
def main(id, config):
    raise ValueError("no luck")
"""
WAITS = """
import time

def main(id, config):
    print("waiting", flush=True)
    while True:
        time.sleep(0.05)
"""


@attrs.frozen
class Seen:
    """What a test needs to know of a record."""

    message: str
    thread: str
    extra: Mapping[str, Any]

    @property
    def execution_id(self) -> str | None:
        return self.extra.get("execution_id")


class Talkative(ProcessEngine):
    """The process engine; it says of each call which container it concerns, as a third party's engine might.

    A stream of it breaks after its first bytes when `cuts` says so.
    """

    cuts = False

    def attach(self, container: ContainerHandle, *, timeout: float) -> LogStream:
        _say("attach", container.id)
        stream = super().attach(container, timeout=timeout)
        return CutOnce(stream) if self.cuts else stream

    def read_logs(self, container: ContainerHandle, *, cursor: LogCursor, follow: bool, timeout: float) -> LogStream:
        _say("read_logs", container.id)
        return super().read_logs(container, cursor=cursor, follow=follow, timeout=timeout)

    def wait(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus | None:
        _say("wait", container.id)
        return super().wait(container, timeout=timeout)

    def stop(self, container: ContainerHandle, *, grace: float, timeout: float) -> None:
        _say("stop", container.id)
        super().stop(container, grace=grace, timeout=timeout)

    def remove(self, container: ContainerHandle, *, timeout: float) -> None:
        _say("remove", container.id)
        super().remove(container, timeout=timeout)

    def fetch_result(self, container: ContainerHandle, *, limit: int, timeout: float) -> bytes:
        _say("fetch_result", container.id)
        return super().fetch_result(container, limit=limit, timeout=timeout)


class CutOnce(LogStream):
    """Breaks once it has delivered something."""

    def __init__(self, stream: LogStream) -> None:
        self._stream = stream
        self._delivered = False

    ended = False

    def read(self, timeout: float) -> Sequence[LogChunk]:
        if self._delivered:
            raise ContainerError("cut", engine="talkative", operation="read")
        chunks = self._stream.read(timeout)
        self._delivered = bool(chunks)
        return chunks

    def fileno(self) -> int | None:
        return self._stream.fileno()

    def close(self) -> None:
        self._stream.close()


def _say(operation: str, container_id: str) -> None:
    logger.bind(operation=operation, container=container_id).debug("engine call")


class Plugin:
    """Hooks that raise leave a record of each moment of an execution."""

    def __init__(self) -> None:
        self.engine: Talkative | None = None

    @hookimpl
    def botdock_engines(self) -> Iterable[EnginePlugin]:
        def make(config: Config) -> Talkative:
            self.engine = Talkative(config.home_dir / "process", warn=lambda _line: None)
            return self.engine

        yield EnginePlugin(name="talkative", summary="Says what it does.", factory=make, automatic=False)

    @hookimpl
    def botdock_before_execution(self, execution_id: str, executable: Executable) -> None:
        raise RuntimeError("before")

    @hookimpl
    def botdock_after_execution(self, executable: Executable, result: ExecutionResult) -> None:
        raise RuntimeError("after")

    @hookimpl
    def botdock_on_execution_error(self, execution_id: str, executable: Executable, error: BotdockError) -> None:
        raise RuntimeError("error")


@pytest.fixture
def seen() -> Iterator[list[Seen]]:
    """All that botdock, its plugins and the engine here say."""
    found: list[Seen] = []

    def take(message: Any) -> None:
        record = message.record
        found.append(Seen(record["message"], record["thread"].name, record["extra"]))

    handler = logger.add(take, level=0, catch=False)
    botdock.logging.enable()
    yield found
    botdock.logging.disable()
    logger.remove(handler)


@pytest.fixture
def plugin() -> Plugin:
    return Plugin()


@pytest.fixture
def runner(tmp_path: Path, plugin: Plugin, seen: list[Seen]) -> Iterator[DockerRunner]:
    plugins = PluginManager.load()
    plugins.register(plugin, name="talkative")
    with DockerRunner(Config(engine="talkative", home=str(tmp_path / "home")), plugins=plugins) as runner:
        yield runner


def strangers(seen: list[Seen], containers: Mapping[str, str]) -> list[Seen]:
    """Return the records that concern an execution, by their container, and do not carry its id."""
    return [
        record
        for record in seen
        if record.extra.get("container") in containers
        and record.execution_id != containers[str(record.extra["container"])]
    ]


def operations(seen: list[Seen], execution_id: str) -> set[str]:
    return {
        str(record.extra["operation"])
        for record in seen
        if record.execution_id == execution_id and "container" in record.extra
    }


def until_written(execution: Any, text: str) -> None:
    for line in execution.logs(follow=True):
        if line.text == text:
            return
    pytest.fail(f"{text!r} was never written")


def test_of_two_executions_at_once_each_record_names_its_own(
    runner: DockerRunner, make_bot: MakeBot, seen: list[Seen]
) -> None:
    executions = [runner.start(make_bot(SAYS, config={"text": "hello"})), runner.start(make_bot(FAILS))]
    outcomes = [one.wait(60).outcome for one in executions]  # type: ignore[union-attr]  # None fails the test as well
    runner.close()
    containers = {one.container_id: one.execution_id for one in executions}
    assert outcomes == [Outcome.SUCCEEDED, Outcome.FAILED]
    assert strangers(seen, containers) == []
    for one in executions:
        assert operations(seen, one.execution_id) >= {"attach", "wait", "fetch_result", "remove"}
        reasons = [
            record.extra["reason"]
            for record in seen
            if record.execution_id == one.execution_id and "reason" in record.extra
        ]
        assert [word for reason in reasons for word in ("before", "after") if word in reason.split()] == [
            "before",
            "after",
        ]
    assert [record for record in seen if record.execution_id not in containers.values()] == []


def test_an_execution_that_never_starts_is_named_too(runner: DockerRunner, make_bot: MakeBot, seen: list[Seen]) -> None:
    with pytest.raises(BotdockError) as caught:
        runner.start(make_bot(SAYS, entrypoint_files={"bot": "missing.py"}))
    hooks = [record for record in seen if record.message == "an event hook raised"]
    assert len(hooks) == 2
    assert {record.execution_id for record in hooks} == {caught.value.execution_id}


def stop(runner: DockerRunner, execution: Any) -> None:
    until_written(execution, "waiting")
    execution.stop(0.0)


def stop_by_name(runner: DockerRunner, execution: Any) -> None:
    until_written(execution, "waiting")
    runner.stop_container(execution.container_id)


def close(runner: DockerRunner, execution: Any) -> None:
    until_written(execution, "waiting")
    runner.close()


def wait(runner: DockerRunner, execution: Any) -> None:
    assert execution.wait(60) is not None


@pytest.mark.parametrize(
    ("source", "fields", "end", "outcome"),
    [
        pytest.param(WAITS, {}, stop, Outcome.STOPPED, id="stopped by its caller"),
        pytest.param(WAITS, {}, stop_by_name, Outcome.STOPPED, id="stopped by name"),
        pytest.param(WAITS, {}, close, Outcome.STOPPED, id="stopped on close"),
        pytest.param(WAITS, {"timeout": 0.3}, wait, Outcome.TIMED_OUT, id="timed out"),
        pytest.param(WAITS, {"limits": Limits(output=5)}, wait, Outcome.OUTPUT_LIMIT, id="output limit"),
    ],
)
def test_helper_threads_name_the_execution(
    runner: DockerRunner,
    make_bot: MakeBot,
    seen: list[Seen],
    source: str,
    fields: dict[str, Any],
    end: Callable[[DockerRunner, Any], None],
    outcome: Outcome,
) -> None:
    other = runner.start(make_bot(SAYS, config={"text": "beside"}))
    execution = runner.start(make_bot(source, **fields))
    end(runner, execution)
    ended, _ = execution.wait(60), other.wait(60)
    assert ended is not None
    assert ended.outcome is outcome
    containers = {one.container_id: one.execution_id for one in (execution, other)}
    assert strangers(seen, containers) == []
    assert "stop" in operations(seen, execution.execution_id)


def test_a_stream_that_is_continued_names_the_execution(
    runner: DockerRunner, plugin: Plugin, make_bot: MakeBot, seen: list[Seen]
) -> None:
    assert plugin.engine is not None
    plugin.engine.cuts = True
    executions = [runner.start(make_bot(SAYS, config={"text": str(number)})) for number in range(2)]
    results = [one.wait(60) for one in executions]
    assert [result.output for result in results if result] == ["0\n", "1\n"]
    assert strangers(seen, {one.container_id: one.execution_id for one in executions}) == []
    for one in executions:
        assert "read_logs" in operations(seen, one.execution_id)
    assert "the log stream broke" in {record.message for record in seen if record.execution_id}


def test_a_bot_s_secret_is_in_no_record(runner: DockerRunner, make_bot: MakeBot, seen: list[Seen]) -> None:
    bot = make_bot(SAYS, config={"text": "s3cret-config"}, secrets={"TOKEN": "s3cret-token"}, env={"X": "s3cret-env"})
    runner.run(bot)
    with pytest.raises(BotdockError):
        runner.run(attrs.evolve(bot, runtime="nothing-like-it"))
    assert len(seen) > 5
    assert "s3cret" not in repr(seen)
