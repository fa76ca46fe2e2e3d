"""The runtime: which image and scripts it stands for, and the files that start a bot."""

from __future__ import annotations

from botdock import Runtime
from botdock_runtime_python311.check import problems


def files() -> dict[str, bytes]:
    """Return what starts a bot: `entrypoint.sh`, and the wrapper it becomes."""
    from importlib.resources import files as resources

    folder = resources(__package__).joinpath("files")
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}


PYTHON311 = Runtime(
    name="python311",
    aliases=("python3.11", "python3", "python"),
    summary="Python 3.11: main(id, config) of a script, async or not",
    image="python:3.11-slim",
    interpreters=("python3.11", "python3"),
    suffixes=(".py",),
    scripts={"bot": ("main.py", "bot.py"), "backtest": ("backtest.py", "main.py")},
    files=files,
    check=problems,
    startup_variables=("PYTHON*",),
    refused_variables={
        "PYTHONINSPECT": "Python would wait for commands at the bot's end, and forget its exit code",
        "PYTHONSAFEPATH": "a bot's modules are found in its script's folder",
    },
)
"""Bots in Python; the wrapper itself runs on 3.8 and newer, so that other images can be configured."""
