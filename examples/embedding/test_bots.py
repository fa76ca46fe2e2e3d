"""The tests of a person who has bots: what they return, what they print, and how they fail.

    $ pip install pytest botdock-testing
    $ pytest examples/embedding

They run the bots as plain processes; `--botdock-engine docker` runs them isolated.
"""

from collections.abc import Callable

import pytest

from botdock_testing import BotCase

RunBot = Callable[..., BotCase]


def test_hello_greets_by_name(bot_case: RunBot) -> None:
    case = bot_case("../hello-python", id="hello", config={"name": "Ada"})
    assert case.lines == ["hello Ada, this is hello"]
    assert case.value == {"greeting": "hello Ada"}


@pytest.mark.parametrize(("fast", "slow"), [(10, 40), (20, 60)])
def test_the_crossover_trades_and_loses_less_than_all(bot_case: RunBot, fast: int, slow: int) -> None:
    case = bot_case("../sma-crossover", entrypoint="backtest", config={"fast": fast, "slow": slow})
    assert case.outcome == "succeeded", case.errors
    assert case.value["metrics"]["trades"] > 0
    assert 0 <= case.value["metrics"]["max_drawdown"] < 1


def test_the_crossover_refuses_averages_in_the_wrong_order(bot_case: RunBot) -> None:
    case = bot_case("../sma-crossover", entrypoint="backtest", config={"fast": 40, "slow": 10})
    assert case.outcome == "failed"
    assert case.errors[-1] == "ValueError: fast (40) must be positive and below slow (10)"
