"""The fixtures of the pytest plugin, and that a suite that uses none of them sees nothing of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock import Executable, Runner
from botdock_testing import BotCase, FakeEngine, Script, pytest_plugin
from testbed.documents import TICKER

EXAMPLES = Path(__file__).parents[3] / "examples"
HELLO = EXAMPLES / "hello-python"


def bot(folder: Path, source: str) -> Path:
    (folder / "main.py").write_text(source)
    return folder


class TestApps:
    def test_a_bot_returns_none_where_nothing_else_is_scripted(self, botdock_runner: Runner) -> None:
        result = botdock_runner.run(Executable(id="hello", file_path=HELLO))
        assert (result.outcome, result.value, result.output) == ("succeeded", None, "")

    def test_each_bot_has_a_script_of_its_own(self, botdock_runner: Runner, botdock_engine: FakeEngine) -> None:
        botdock_engine.script("rich", Script.returning({"pnl": 1.5}, "buy", "sell"))
        botdock_engine.script("poor", Script(exit_code=7))
        rich, poor = (botdock_runner.run(Executable(id=name, file_path=HELLO)) for name in ("rich", "poor"))
        assert (rich.outcome, rich.value, rich.output) == ("succeeded", {"pnl": 1.5}, "buy\nsell\n")
        assert (poor.outcome, poor.exit_code) == ("failed", 7)

    def test_its_state_is_the_tests_own_and_not_among_its_files(self, botdock_runner: Runner, tmp_path: Path) -> None:
        home = botdock_runner.config.home_dir
        assert home.parent == tmp_path.parent
        assert not home.is_relative_to(tmp_path)


class TestBots:
    def test_config_goes_in_and_value_outcome_and_lines_come_out(
        self, bot_case: Callable[..., BotCase], tmp_path: Path
    ) -> None:
        source = """
import sys

def main(id, config):
    print("one")
    print("two", file=sys.stderr)
    return {"sum": config["a"] + config["b"]}
"""
        case = bot_case(bot(tmp_path, source), config={"a": 1, "b": 2})
        assert (case.outcome, case.value, case.lines, case.errors) == ("succeeded", {"sum": 3}, ["one"], ["two"])

    def test_a_folder_is_relative_to_the_tests_file(self, bot_case: Callable[..., BotCase]) -> None:
        assert bot_case("../../../examples/hello-python", config={"name": "Ada"}).value == {"greeting": "hello Ada"}

    def test_a_bot_that_never_ends_is_stopped_at_a_line(self, bot_case: Callable[..., BotCase], tmp_path: Path) -> None:
        case = bot_case(bot(tmp_path, TICKER), until="tick 3")
        assert (case.outcome, case.lines[:4]) == ("stopped", ["tick 0", "tick 1", "tick 2", "tick 3"])
        assert case.lines[-1] == "bye"

    def test_a_bot_that_fails_is_a_case_that_says_so(self, bot_case: Callable[..., BotCase], tmp_path: Path) -> None:
        case = bot_case(bot(tmp_path, "def main(id, config):\n    raise ValueError('no money')\n"))
        assert (case.outcome, case.value, case.result.exit_code) == ("failed", None, 1)
        assert case.errors[-1] == "ValueError: no money"
        assert "no money" in repr(case)

    def test_a_backtest_is_asked_for_as_anywhere(self, bot_case: Callable[..., BotCase], tmp_path: Path) -> None:
        (tmp_path / "backtest.py").write_text("def main(id, config):\n    return id\n")
        assert bot_case(tmp_path, id="grid-1", entrypoint="backtest").value == "grid-1"


def failures(folder: Path, source: str) -> str:
    """Return what pytest says of a suite that fails."""
    (folder / "test_suite.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


class TestReports:
    def test_a_failed_test_shows_how_its_bot_ended_and_what_it_wrote(self, tmp_path: Path) -> None:
        bot(tmp_path, "print('hello')\ndef main(id, config):\n    raise ValueError('no ' + 'money')\n")
        said = failures(tmp_path, "def test_it(bot_case):\n    assert bot_case('.').outcome == 'succeeded'\n")
        assert "failed: ValueError: no money" in said
        assert "stdout: hello\n" in said
        assert "stderr: ValueError: no money\n" in said

    def test_a_mistake_of_the_test_is_told_at_its_line_without_what_is_inside_botdock(self, tmp_path: Path) -> None:
        said = failures(tmp_path, "def test_it(bot_case):\n    bot_case('missing')\n")
        assert "test_suite.py:2: " in said
        assert "orchestrator" not in said


@pytest.fixture
def chosen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Any]:
    """Return a function that makes a fixture as under `--botdock-engine`."""

    def make(engine: str, fixture: str) -> Any:
        monkeypatch.setattr(request.config.option, "botdock_engine", engine)
        return request.getfixturevalue(fixture)

    return make


def test_another_engine_is_chosen_by_an_option(chosen: Callable[[str, str], Any]) -> None:
    runner: Runner = chosen("process", "botdock_runner")
    result = runner.run(Executable(id="hello", file_path=HELLO, config={"name": "Ada"}))
    assert result.value == {"greeting": "hello Ada"}
    with pytest.raises(pytest.skip.Exception, match="and --botdock-engine=process runs them"):
        chosen("process", "botdock_engine")


def test_a_fake_engine_runs_no_bot_and_that_is_said(chosen: Callable[[str, str], Any]) -> None:
    with pytest.raises(pytest.skip.Exception, match="runs no bot; name another one: --botdock-engine=process"):
        chosen("fake", "bot_case")


def test_a_suite_that_uses_none_of_it_imports_nothing_of_botdock(tmp_path: Path) -> None:
    source = """
import sys

def test_nothing_else_is_there(pytestconfig):
    ours = {name for name in sys.modules if name.split(".")[0] in {"attr", "attrs", "botdock", "botdock_testing"}}
    assert ours == {"botdock_testing", "botdock_testing.pytest_plugin"}
    assert "hypothesis" not in sys.modules
"""
    (tmp_path / "test_suite.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "--strict-config", "--strict-markers"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_adds_one_option_three_fixtures_and_no_hook_that_changes_a_run() -> None:
    parser = pytest.Parser(_ispytest=True)
    pytest_plugin.pytest_addoption(parser)
    assert [name for group in parser._groups for option in group.options for name in option.names()] == [
        pytest_plugin.OPTION
    ]
    public = {name for name, what in vars(pytest_plugin).items() if name.startswith(("bot", "pytest_"))}
    assert public == {"bot_case", "botdock_engine", "botdock_runner", "pytest_addoption"}
