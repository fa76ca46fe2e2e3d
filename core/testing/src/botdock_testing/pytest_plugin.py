"""Registered with pytest: fixtures for tests of bots and of apps. A suite that uses none imports nothing of botdock.

It also lets pytest rewrite the asserts of the contracts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from botdock import Runner
    from botdock_testing.bots import BotCase
    from botdock_testing.fake_engine import FakeEngine

FAKE = "fake"
OPTION = "--botdock-engine"
SHOWN = 20
"""Lines of a bot's stdout, and of its stderr, that a report shows at most: its last."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the only option."""
    parser.getgroup("botdock", "tests of bots, and of apps that run them").addoption(
        OPTION,
        metavar="NAME",
        help="the engine of `botdock_runner` (a fake one by default) and of `bot_case` (process by default)",
    )


@pytest.fixture
def botdock_engine(request: pytest.FixtureRequest) -> FakeEngine:
    """Return the fake engine of `botdock_runner`, to script what bots do; without it, each returns None at once.

    A test that asks for it is skipped where `--botdock-engine` names another one.
    """
    from botdock_testing.fake_engine import FakeEngine
    from botdock_testing.script import Script

    if (chosen := request.config.getoption(OPTION) or FAKE) != FAKE:
        pytest.skip(f"it scripts what bots do, and {OPTION}={chosen} runs them")
    return FakeEngine(Script.returning(None))


@pytest.fixture
def botdock_runner(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Yield a runner with a state folder of its own, over the engine that `--botdock-engine` names, or a fake one.

    Over a real engine it reads the configuration as `Config.load` does; over the fake one it reads none.
    """
    from botdock_testing.bots import runner_over

    chosen = request.config.getoption(OPTION) or FAKE
    engine = request.getfixturevalue("botdock_engine") if chosen == FAKE else chosen
    with runner_over(engine, home=tmp_path_factory.mktemp("botdock")) as runner:
        yield runner


@pytest.fixture
def bot_case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., BotCase]]:
    """Yield `BotRunner.run`, which runs the bot of a folder, relative to the test's file, and returns how it ended.

    The bot runs on the engine that `--botdock-engine` names, or as a plain process. Where a test fails, pytest's report
    shows how its bots ended that did not succeed, and the last lines that they wrote.
    """
    from botdock_testing.bots import BotRunner, runner_over

    chosen = request.config.getoption(OPTION) or "process"
    if chosen == FAKE:
        pytest.skip(f"a fake engine runs no bot; name another one: {OPTION}=process")
    with runner_over(chosen, home=tmp_path_factory.mktemp("botdock")) as runner:
        yield BotRunner(runner=runner, folder=request.path.parent, report=_reported(request.node)).run


def _reported(test: pytest.Item) -> Callable[[BotCase], None]:
    """Return what puts a case into the report of a test."""

    def report(case: BotCase) -> None:
        if case.outcome != "succeeded":
            told = [f"{case.outcome}: {case.result.message}"]
            told += [f"stdout: {line}" for line in case.lines[-SHOWN:]]
            told += [f"stderr: {line}" for line in case.errors[-SHOWN:]]
            test.add_report_section("call", f"bot {case.result.id}", "\n".join(told))

    return report
