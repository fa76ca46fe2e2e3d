"""The runtime: which image and scripts it stands for, and the files that start a bot."""

from __future__ import annotations

from functools import partial

from botdock import Runtime, RuntimeCapabilities, wrapper_entrypoint
from botdock_runtime_nodejs20.check import declared, problems
from botdock_runtime_nodejs20.packages import PACKAGES


def nodejs(major: int, *, aliases: tuple[str, ...] = (), interpreters: tuple[str, ...] = ()) -> Runtime:
    """Return the runtime of one Node.js; all share their files, which run on 20 and newer.

    Args:
        major: Such as 22.
        aliases: Names beside `node22`.
        interpreters: Programs that will do where there is no `node22`, for engines without images.

    Example:
        >>> nodejs(22).names
        ('nodejs22', 'node22')
    """
    program = f"node{major}"
    return Runtime(
        name=f"nodejs{major}",
        aliases=(program, *aliases),
        summary=f"Node.js {major}: main(id, config, {{signal}}) of a CommonJS or ES module, async or not",
        language="nodejs",
        image=f"node:{major}-alpine",
        interpreters=(program, *interpreters),
        suffixes=(".js", ".mjs", ".cjs"),
        scripts={
            "bot": ("main.js", "main.mjs", "main.cjs", "bot.js", "bot.mjs", "bot.cjs"),
            "backtest": ("backtest.js", "backtest.mjs", "backtest.cjs", "main.js", "main.mjs", "main.cjs"),
        },
        files=partial(_files, program),
        declared=declared,
        check=problems,
        packages=PACKAGES,
        startup_variables=("NODE_*", "UV_*", "ICU_*"),
        capabilities=RuntimeCapabilities(late_secrets=True),
    )


def _files(program: str) -> dict[str, bytes]:
    """Return what starts a bot: `entrypoint.sh`, and the wrapper it becomes; an image has its Node.js as `node`."""
    from importlib.resources import files as resources

    folder = resources(__package__).joinpath("files")
    return {
        "entrypoint.sh": wrapper_entrypoint("wrapper.cjs", program, "node"),
        **{entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()},
    }


NODEJS20 = nodejs(20, aliases=("nodejs", "node"), interpreters=("node",))
"""Bots in JavaScript that name no version of Node.js; without an image, its `node` may be another one."""
