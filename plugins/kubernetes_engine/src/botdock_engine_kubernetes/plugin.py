"""What botdock finds: the hook implementations, and nothing that is slow to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock import EnginePlugin, hookimpl
from botdock.errors import ConfigError
from botdock_engine_kubernetes.settings import KubernetesSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdock import Engine
    from botdock.config import Config


def open_engine(config: Config) -> Engine:  # noqa: ARG001 - not yet
    """Return the engine; it connects with its first call.

    Raises:
        ConfigError: The kubeconfig cannot be used, or a setting is wrong.
    """
    raise ConfigError(["engine: kubernetes cannot run anything yet"])


@hookimpl
def botdock_engines() -> Iterable[EnginePlugin]:
    """Register the engine `kubernetes`."""
    yield EnginePlugin(
        name="kubernetes",
        summary="single-use Jobs of a Kubernetes cluster, strictly isolated",
        factory=open_engine,
        settings=KubernetesSettings,
    )
