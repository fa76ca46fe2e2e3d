"""The tests of a person who has bots: what they return, what they print, and how they fail.

$ pip install pytest
$ pytest examples/embedding
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from botdock import Config, Executable, Outcome, Runner

BOTS = Path(__file__).parents[1]


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """A runner with a state folder of its own; `engine="docker"` would run the same tests isolated."""
    with Runner(Config(engine="process", home=str(tmp_path / "botdock"))) as runner:
        yield runner


def test_hello_greets_by_name(runner: Runner) -> None:
    execution = runner.start(Executable(id="hello", file_path=BOTS / "hello-python", config={"name": "Ada"}))
    lines = [line.text for line in execution.logs(follow=True)]
    execution.wait()
    assert lines == ["hello Ada, this is hello"]
    assert execution.result.value == {"greeting": "hello Ada"}


@pytest.mark.parametrize(("fast", "slow"), [(10, 40), (20, 60)])
def test_the_crossover_trades_and_loses_less_than_all(runner: Runner, fast: int, slow: int) -> None:
    config = {"fast": fast, "slow": slow}
    result = runner.run(Executable(id="sma", entrypoint="backtest", file_path=BOTS / "sma-crossover", config=config))
    assert result.succeeded, result.error
    assert result.value["metrics"]["trades"] > 0
    assert 0 <= result.value["metrics"]["max_drawdown"] < 1


def test_the_crossover_refuses_averages_in_the_wrong_order(runner: Runner) -> None:
    config = {"fast": 40, "slow": 10}
    result = runner.run(Executable(id="sma", entrypoint="backtest", file_path=BOTS / "sma-crossover", config=config))
    assert result.outcome is Outcome.FAILED
    assert "fast (40) must be positive and below slow (10)" in result.error
