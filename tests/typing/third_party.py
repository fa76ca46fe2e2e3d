"""Written as a third party would: a plugin and an application, checked by `mypy --strict` against what is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import assert_type

import attrs

from botdock import (
    BotdockError,
    Check,
    CheckStatus,
    Config,
    DockerRunner,
    EnginePlugin,
    Executable,
    Execution,
    ExecutionResult,
    Limits,
    LogSink,
    LogSinkPlugin,
    MetricsExporterPlugin,
    Outcome,
    Packages,
    ResultFormat,
    Runner,
    Runtime,
    RuntimeCapabilities,
    StorageBackendPlugin,
    hookimpl,
    read_code,
    shell_entrypoint,
    wrapper_entrypoint,
)
from botdock.config import setting
from botdock.errors import NotFoundError
from botdock.model import Engine, LogGap, LogLine, MetricsExporter, Stream


def files() -> Mapping[str, bytes]:
    return {"entrypoint.sh": shell_entrypoint("perl")}


def wrapped() -> Mapping[str, bytes]:
    return {"entrypoint.sh": wrapper_entrypoint("wrapper.pl", "perl5", "perl"), "wrapper.pl": b""}


def check(tree: Path, script: str) -> Iterator[str]:
    source = assert_type(read_code(tree, script), bytes | None)
    if source is not None and not source.startswith(b"use strict"):
        yield f"{script} does not use strict"


def install(tree: Path, image: str, build: bool) -> list[str]:
    return ["cpanm", "--local-lib=local", "--installdeps", "." if build else str(tree), image]


@hookimpl
def botdock_runtimes() -> Iterable[Runtime]:
    yield Runtime(
        name="perl5",
        language="perl",
        image="perl:5-slim",
        interpreters=("perl",),
        suffixes=(".pl",),
        scripts={"bot": ("main.pl",), "backtest": ("backtest.pl",)},
        files=files,
        check=check,
        packages=Packages(manifests=("cpanfile",), folder="local", command=install),
        capabilities=RuntimeCapabilities(result=ResultFormat.VALUE),
    )


def open_engine(config: Config) -> Engine:
    raise BotdockError(f"nothing behind it; {config.engine}", hint="Choose another engine.")


@attrs.frozen(kw_only=True)
class PodmanSettings:
    socket: str = setting("", secret=True)
    retries: int = 3


def look(config: Config) -> Iterable[Check]:
    detail: str = config.options_for("podman", PodmanSettings).socket
    yield Check(name="podman", status=CheckStatus.FAILED, detail=detail)


@hookimpl
def botdock_engines() -> Iterable[EnginePlugin]:
    yield EnginePlugin(name="podman", factory=open_engine, automatic=True, checks=look, settings=PodmanSettings)


def kinds() -> tuple[type[StorageBackendPlugin], type[LogSinkPlugin], type[MetricsExporterPlugin]]:
    return StorageBackendPlugin, LogSinkPlugin, MetricsExporterPlugin


def sinks(sink: LogSink, exporter: MetricsExporter) -> tuple[LogSink, MetricsExporter]:
    return sink, exporter


def application(config: Config) -> int | None:
    bot = Executable(id="hello", runtime="python3.11", file_path="bots/hello", limits=Limits(memory=2**28), timeout=30)
    with Runner(config) as runner:
        result = runner.run(bot)
        assert_type(result, ExecutionResult)
        assert_type(result.outcome, Outcome | None)
        assert_type(result.exit_code, int | None)
        assert_type(result.phases, dict[str, float])
        execution = runner.start(bot)
        assert_type(execution, Execution)
        for line in execution.logs(follow=True):
            assert_type(line, LogLine | LogGap)
            assert_type(line.text, str)
            assert_type(line.stream, Stream)
        execution.stop()
        assert_type(execution.wait(timeout=5), ExecutionResult | None)
        assert_type(execution.wait().outcome, Outcome | None)
    return result.exit_code


def as_the_old_runner_was_called(config: Config, bot: Executable) -> None:
    with DockerRunner(config) as runner:
        assert_type(runner.start_container(bot), ExecutionResult)
        assert_type(runner.get_container_logs(bot.id), str)


async def inside_asyncio(runner: Runner, bot: Executable) -> ExecutionResult:
    execution = await runner.astart(bot)
    assert_type(execution, Execution)
    async for item in execution.alogs(follow=True):
        assert_type(item, LogLine | LogGap)
    assert_type(await execution.aresult(), ExecutionResult)
    async for result in runner.amap([bot], concurrency=2, progress=lambda now: print(now.done, now.total)):
        assert_type(result, ExecutionResult)
    return await runner.arun(bot)


def nearest(error: NotFoundError) -> tuple[str, ...]:
    assert_type(error.phase, str | None)
    return error.known
