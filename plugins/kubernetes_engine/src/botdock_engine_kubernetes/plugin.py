"""What botdock finds: the hook implementations, and nothing that is slow to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock import EnginePlugin, hookimpl
from botdock_engine_kubernetes.settings import KubernetesSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdock import Check, Engine
    from botdock.config import Config


def open_engine(config: Config) -> Engine:
    """Return the engine; it connects with its first call.

    Raises:
        ConfigError: The kubeconfig cannot be used, or a setting is wrong.
    """
    from botdock_engine_kubernetes.engine import KubernetesEngine

    return KubernetesEngine.from_config(config)


def run_checks(config: Config) -> Iterable[Check]:
    """Return what `botdock doctor` shows of this engine, which tries a container anew."""
    from botdock_engine_kubernetes.checks import checks

    return checks(config)


@hookimpl
def botdock_engines() -> Iterable[EnginePlugin]:
    """Register the engine `kubernetes`."""
    yield EnginePlugin(
        name="kubernetes",
        summary="single-use Jobs of a Kubernetes cluster, strictly isolated",
        factory=open_engine,
        checks=run_checks,
        settings=KubernetesSettings,
    )
