"""The services: each does one thing, and knows no other."""

from botdock.services.code import CodeService
from botdock.services.container import ContainerService
from botdock.services.logs import LogCollector
from botdock.services.metrics import MetricsService
from botdock.services.storage import StorageService

__all__ = ["CodeService", "ContainerService", "LogCollector", "MetricsService", "StorageService"]
