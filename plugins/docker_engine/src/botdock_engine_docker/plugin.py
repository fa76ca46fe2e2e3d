"""What botdock finds: the hook implementations, and nothing that is slow to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock import EnginePlugin, hookimpl
from botdock_engine_docker.settings import DockerSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdock import Check, Engine
    from botdock.config import Config


def open_engine(config: Config) -> Engine:
    """Return the engine; it connects with its first call.

    Raises:
        ConfigError: The address, the certificates or the options are wrong.
    """
    from botdock_engine_docker.engine import DockerEngine

    return DockerEngine.from_config(config)


def run_checks(config: Config) -> Iterable[Check]:
    """Return what `botdock doctor` shows of this engine."""
    from botdock_engine_docker.capabilities import checks

    return checks(config)


@hookimpl
def botdock_engines() -> Iterable[EnginePlugin]:
    """Register the engine `docker`."""
    yield EnginePlugin(
        name="docker",
        summary="single-use containers of a Docker engine, strictly isolated",
        factory=open_engine,
        automatic=True,
        checks=run_checks,
        settings=DockerSettings,
        section="docker",
    )
