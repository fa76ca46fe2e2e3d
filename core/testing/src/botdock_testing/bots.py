"""Runs a bot for a test of it, and a runner for a test of an app: what the fixtures of the pytest plugin give."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs

from botdock import Config, EnginePlugin, Executable, ExecutionResult, Outcome, PluginManager, Runner, hookimpl
from botdock.errors import UserError
from botdock.model import Engine, LogLine, Stream
from botdock_testing.pytest_plugin import FAKE

__all__ = ["BotCase", "BotRunner", "runner_over"]


@attrs.frozen(kw_only=True)
class BotCase:
    """How a bot of a test ended.

    Attributes:
        outcome: How it ended; compares with text, as in `case.outcome == "succeeded"`.
        value: What its `main` returned, as JSON gives it back; None where it returned nothing.
        lines: What it wrote to stdout, line by line.
        errors: What it wrote to stderr, line by line.
        result: All else that is known.
    """

    outcome: Outcome | None
    value: Any
    lines: list[str]
    errors: list[str]
    result: ExecutionResult = attrs.field(repr=lambda result: repr(result.message))


@attrs.frozen(kw_only=True)
class BotRunner:
    """Runs bots of tests.

    Attributes:
        runner: What runs them.
        folder: What their folders are relative to.
        report: Told how each ended.
    """

    runner: Runner
    folder: Path
    report: Callable[[BotCase], object] = lambda _case: None

    def run(
        self,
        folder: str | os.PathLike[str],
        *,
        config: Mapping[str, Any] | None = None,
        until: str | None = None,
        timeout: float | str = "60s",
        **fields: Any,
    ) -> BotCase:
        """Run a bot to its end, and return how it ended; that it fails is a result, too.

        Args:
            folder: Its code.
            config: What its `main` gets as its second argument.
            until: The bot is stopped once a line of its stdout holds this text: for one that never ends by itself.
            timeout: Seconds, or such text; one that takes longer is ended, and its outcome is `timed_out`.
            **fields: Others of `Executable`, such as `entrypoint="backtest"`.

        Raises:
            UserError: It cannot be run as it was asked for.
            BotdockError: Botdock could not do its part.
        """
        __tracebackhide__ = True  # what pytest shows is the line of the test
        try:
            bot = Executable(
                **{"id": "bot-case", **fields}, file_path=self.folder / folder, config=config or {}, timeout=timeout
            )
            execution = self.runner.start(bot)
        except UserError as error:
            raise error.with_traceback(None) from None
        written: dict[Stream, list[str]] = {stream: [] for stream in Stream}
        for item in execution.logs(follow=True):
            if isinstance(item, LogLine):
                written[item.stream].append(item.text)
                if until is not None and item.stream is Stream.STDOUT and until in item.text:
                    execution.stop()
                    until = None
        result = execution.wait()
        case = BotCase(
            outcome=result.outcome,
            value=result.value,
            lines=written[Stream.STDOUT],
            errors=written[Stream.STDERR],
            result=result,
        )
        self.report(case)
        return case


def runner_over(engine: Engine | str, *, home: Path) -> Runner:
    """Return a runner over an engine, or over the installed one of a name, with a state folder of its own.

    Over a named engine it reads the configuration as `Config.load` does, over another one it reads none.

    Raises:
        NotFoundError: No engine of that name is installed.
        EngineUnavailableError: It does not answer.
    """
    if isinstance(engine, str):
        return Runner(Config.load(overrides={"engine": engine, "home": str(home)}))
    plugins = PluginManager.load()
    plugin = EnginePlugin(name=FAKE, factory=lambda _config: engine)
    plugins.register(SimpleNamespace(botdock_engines=hookimpl(lambda: [plugin])), name=FAKE)
    return Runner(Config(engine=FAKE, home=str(home)), plugins=plugins)
