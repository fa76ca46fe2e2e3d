"""The hooks of this plugin."""

from __future__ import annotations

from collections.abc import Iterable

from botdock import Check, Engine, EnginePlugin, hookimpl
from botdock.config import Config


def _open(config: Config) -> Engine:
    from botdock_engine_process.engine import ProcessEngine

    return ProcessEngine(config.home_dir / "process")


def _check(_config: Config) -> Iterable[Check]:
    from botdock_engine_process.checks import checks

    return checks()


@hookimpl
def botdock_engines() -> Iterable[EnginePlugin]:
    """Register the engine that runs bots as plain processes; it is never chosen unless it is named."""
    yield EnginePlugin(
        name="process",
        images=False,
        summary="Plain processes of this machine: no daemon, no isolation",
        factory=_open,
        automatic=False,
        checks=_check,
    )
