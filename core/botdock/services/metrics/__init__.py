"""Counts what botdock does: in memory, in the state folder, and for exporters."""

from botdock.services.metrics.service import MetricsService, metrics_folder
from botdock.services.metrics.table import summary_table
from botdock.services.metrics.total import MetricsTotal, read_total, reset_total

__all__ = ["MetricsService", "MetricsTotal", "metrics_folder", "read_total", "reset_total", "summary_table"]
