"""The hooks of this plugin."""

from __future__ import annotations

from collections.abc import Iterable

from botdock import Check, Engine, EnginePlugin, hookimpl
from botdock.config import Config

INTERPRETERS = ("sh", "bash", "python3", "node")
"""Of the bundled runtimes; every bot needs the first."""

BOTDOCK_INTERFACE = 1
"""The version of the plugin interface that this is written for."""


def _open(config: Config) -> Engine:
    from botdock_engine_process.engine import ProcessEngine

    return ProcessEngine(config.home_dir / ProcessEngine.name)


def check(_config: Config) -> Iterable[Check]:
    """Say that bots are not isolated, and which interpreters were found."""
    from botdock_engine_process.engine import ISOLATING, REMEDY, find_interpreter

    remedy = f"for code that you do not trust, {ISOLATING}"
    yield Check.warning("process.isolation", "bots run as you, with your files and your network", remedy)
    for name in INTERPRETERS:
        if found := find_interpreter(name):
            yield Check.ok(f"process.{name}", found)
        else:
            lacks = Check.failed if name == INTERPRETERS[0] else Check.warning
            detail = f"{name} is not on PATH, so bots that need it do not run on this engine"
            yield lacks(f"process.{name}", detail, f"install {name}, or {REMEDY}")


@hookimpl
def botdock_engines() -> Iterable[EnginePlugin]:
    """Register the engine that runs bots as plain processes; it is never chosen unless it is named."""
    yield EnginePlugin(
        name="process",
        images=False,
        summary="Plain processes of this machine: no daemon, no isolation",
        factory=_open,
        automatic=False,
        checks=check,
    )
