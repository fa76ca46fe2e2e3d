"""What the pages on testing bots and apps show passes as it is shown, in a folder of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.documents import TICKER

HOW_TO = Path(__file__).parents[2] / "docs/how-to"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def python_blocks(document: str) -> list[str]:
    return [text for found, text in BLOCK.findall((HOW_TO / document).read_text()) if found in {"python", "py"}]


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def passed(folder: Path, *options: str) -> int:
    """Run the tests of a folder as the page says, and return how many passed."""
    environment = {**os.environ, "BOTDOCK_HOME": str(folder / "state"), "HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"^(\d+) passed in", done.stdout, re.MULTILINE)
    assert found, done.stdout
    return int(found[1])


def test_the_tests_of_a_bot_and_of_an_app_pass(tmp_path: Path) -> None:
    """In one process: most of the time is pytest's own start."""
    bot, test, goodbye, any_config = python_blocks("test-your-bot.md")
    write(tmp_path, {"bots/momentum/main.py": bot, "bots/ticker/main.py": TICKER})
    write(tmp_path, {"test_momentum.py": test, "test_ticker.py": goodbye, "test_any_config.py": any_config})
    app, test_of_app, any_bot = python_blocks("test-your-app.md")
    write(tmp_path, {"grid.py": app, "test_grid.py": f"{test_of_app}\n\n{any_bot}"})
    assert passed(tmp_path) == 9


@pytest.mark.parametrize("document", ["test-your-bot.md", "test-your-app.md"])
def test_what_is_named_is_there(document: str) -> None:
    import botdock_testing.strategies
    from botdock_testing import FakeEngine, Script, bots

    text = (HOW_TO / document).read_text()
    for name in re.findall(r"`botdock_engine\.(\w+)`", text):
        assert hasattr(FakeEngine, name)
    for name in re.findall(r"botdock_testing\.bots\.(\w+)", text):
        assert name in bots.__all__
    for name in re.findall(r"`(\w+)=[^`]*`", text.partition("| a `Script` says")[2].partition("\n\n")[0]):
        assert name in Script.__annotations__
    for name in re.findall(r"^`(\w+)\(\)`", text, re.MULTILINE):
        assert name in botdock_testing.strategies.__all__
