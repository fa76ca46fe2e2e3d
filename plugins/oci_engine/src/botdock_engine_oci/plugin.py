"""What botdock finds: the hook implementations, and nothing that is slow to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock import EnginePlugin, hookimpl
from botdock_engine_oci.settings import OciSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdock import Check, Engine
    from botdock.config import Config


def open_engine(config: Config) -> Engine:
    """Return the engine.

    Raises:
        ConfigError: Its settings are wrong.
    """
    from botdock_engine_oci.engine import OciEngine

    return OciEngine.from_config(config)


def run_checks(config: Config) -> Iterable[Check]:
    """Return what `botdock doctor` shows of this engine."""
    from botdock_engine_oci.checks import checks

    return checks(config)


def runs_images(config: Config) -> bool:
    """Tell whether bots run on images, as the operator may want it.

    Raises:
        ConfigError: The settings are wrong.
    """
    return config.options_for("oci", OciSettings).has_images


@hookimpl
def botdock_engines() -> Iterable[EnginePlugin]:
    """Register the engine `oci`."""
    yield EnginePlugin(
        name="oci",
        images=runs_images,
        summary="single-use containers of crun or runc, strictly isolated: no daemon",
        factory=open_engine,
        settings=OciSettings,
        automatic=True,
        checks=run_checks,
    )
