"""The runtime: which image and scripts it stands for, and the files that start a bot."""

from __future__ import annotations

from botdock import Runtime
from botdock_runtime_nodejs20.check import problems


def files() -> dict[str, bytes]:
    """Return what starts a bot: `entrypoint.sh`, and the wrapper it becomes."""
    from importlib.resources import files as resources

    folder = resources(__package__).joinpath("files")
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}


NODEJS20 = Runtime(
    name="nodejs20",
    aliases=("nodejs", "node", "node20"),
    summary="Node.js 20: main(id, config, {signal}) of a CommonJS or ES module, async or not",
    image="node:20-alpine",
    interpreters=("node",),
    suffixes=(".js", ".mjs", ".cjs"),
    scripts={
        "bot": ("main.js", "main.mjs", "main.cjs", "bot.js", "bot.mjs", "bot.cjs", "index.js", "index.mjs"),
        "backtest": ("backtest.js", "backtest.mjs", "backtest.cjs", "main.js", "main.mjs", "main.cjs"),
    },
    files=files,
    check=problems,
    startup_variables=("NODE_*", "UV_*", "ICU_*"),
)
"""Bots in JavaScript."""
