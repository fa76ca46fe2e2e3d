"""The services: each does one thing, and knows no other; and what they leave in a state folder, for those who look."""

from botdock.services.code import CodeService
from botdock.services.container import ContainerService
from botdock.services.logs import LogCollector
from botdock.services.metrics import (
    MetricsService,
    MetricsTotal,
    metrics_folder,
    read_total,
    reset_total,
    summary_table,
)
from botdock.services.outbox import outbox_folder, read_status
from botdock.services.storage import StorageService

__all__ = [
    "CodeService",
    "ContainerService",
    "LogCollector",
    "MetricsService",
    "MetricsTotal",
    "StorageService",
    "metrics_folder",
    "outbox_folder",
    "read_status",
    "read_total",
    "reset_total",
    "summary_table",
]
