"""The services: each does one thing, and knows no other; and what they leave in a state folder, for those who look.

Names are imported on first use, so that who only reads a log imports no service.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botdock.services.code import CodeService as CodeService
    from botdock.services.code import read_manifest as read_manifest
    from botdock.services.code import runtime_of_packages as runtime_of_packages
    from botdock.services.container import ContainerService as ContainerService
    from botdock.services.logs import LogCollector as LogCollector
    from botdock.services.metrics import MetricsService as MetricsService
    from botdock.services.metrics import MetricsTotal as MetricsTotal
    from botdock.services.metrics import metrics_folder as metrics_folder
    from botdock.services.metrics import read_total as read_total
    from botdock.services.metrics import reset_total as reset_total
    from botdock.services.metrics import summary_table as summary_table
    from botdock.services.outbox import outbox_folder as outbox_folder
    from botdock.services.outbox import read_status as read_status
    from botdock.services.storage import StorageService as StorageService

_HOMES = {
    "CodeService": "code",
    "ContainerService": "container",
    "LogCollector": "logs",
    "StorageService": "storage",
    "outbox_folder": "outbox",
    "read_manifest": "code",
    "read_status": "outbox",
    "runtime_of_packages": "code",
}
"""Where a name lives, if not in `metrics`."""

__all__ = [
    "CodeService",
    "ContainerService",
    "LogCollector",
    "MetricsService",
    "MetricsTotal",
    "StorageService",
    "metrics_folder",
    "outbox_folder",
    "read_manifest",
    "read_status",
    "read_total",
    "reset_total",
    "runtime_of_packages",
    "summary_table",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'metrics')}"), name)
