"""The runtime: which image and scripts it stands for, and the files that start a bot."""

from __future__ import annotations

from botdock import Runtime
from botdock_runtime_nodejs20.check import declared, problems
from botdock_runtime_nodejs20.packages import PACKAGES


def nodejs(major: int, *, aliases: tuple[str, ...] = ()) -> Runtime:
    """Return the runtime of one Node.js; all share their files, which run on 20 and newer.

    Args:
        major: Such as 22.
        aliases: Names beside `node22`.

    Example:
        >>> nodejs(22).names
        ('nodejs22', 'node22')
    """
    return Runtime(
        name=f"nodejs{major}",
        aliases=(f"node{major}", *aliases),
        summary=f"Node.js {major}: main(id, config, {{signal}}) of a CommonJS or ES module, async or not",
        language="nodejs",
        image=f"node:{major}-alpine",
        interpreters=("node",),
        suffixes=(".js", ".mjs", ".cjs"),
        scripts={
            "bot": ("main.js", "main.mjs", "main.cjs", "bot.js", "bot.mjs", "bot.cjs"),
            "backtest": ("backtest.js", "backtest.mjs", "backtest.cjs", "main.js", "main.mjs", "main.cjs"),
        },
        files=_files,
        declared=declared,
        check=problems,
        packages=PACKAGES,
        startup_variables=("NODE_*", "UV_*", "ICU_*"),
    )


def _files() -> dict[str, bytes]:
    """Return what starts a bot: `entrypoint.sh`, and the wrapper it becomes."""
    from importlib.resources import files as resources

    from botdock import wrapper_entrypoint

    folder = resources(__package__).joinpath("files")
    return {
        "entrypoint.sh": wrapper_entrypoint("wrapper.cjs", "node"),
        **{entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()},
    }


NODEJS20 = nodejs(20, aliases=("nodejs", "node"))
"""Bots in JavaScript that name no version of Node.js."""
