"""The exporter: an endpoint, a file, or both."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from botdock import MetricsExporter
from botdock.errors import MetricsError
from botdock.model import MetricsSnapshot
from botdock_metrics_prometheus.collector import SnapshotCollector
from botdock_metrics_prometheus.endpoint import Endpoint
from botdock_metrics_prometheus.settings import NAME, PrometheusSettings
from botdock_metrics_prometheus.textfile import Textfile


class PrometheusExporter(MetricsExporter):
    """Shows this runner's own numbers at an endpoint, and the sum over all runners of the state folder in a file."""

    def __init__(self, settings: PrometheusSettings) -> None:
        """Open the endpoint, if there is to be one.

        Args:
            settings: Where metrics go.

        Raises:
            MetricsError: The port cannot be had.
        """
        self._snapshot: MetricsSnapshot | None = None
        self._textfile = Textfile(Path(settings.textfile).expanduser()) if settings.textfile else None
        self.wants_total = self._textfile is not None
        self._endpoint = self._serve(settings) if settings.port else None

    def export(self, snapshot: MetricsSnapshot) -> None:
        """Show this snapshot from now on.

        Raises:
            MetricsError: The file cannot be written.
        """
        self._snapshot = snapshot
        if self._textfile is not None:
            total = snapshot.total or snapshot
            self._textfile.write(render(total), total.taken_at)

    def close(self) -> None:
        """Close the endpoint; the file stays, with the last numbers."""
        if self._endpoint is not None:
            self._endpoint.close()

    def _serve(self, settings: PrometheusSettings) -> Endpoint:
        try:
            return Endpoint(settings.address, settings.port, lambda: render(self._snapshot))
        except OSError as error:
            raise MetricsError(
                f"metrics endpoint {settings.address}:{settings.port} cannot be opened: {error.strerror or error}",
                hint=f"Choose another with [options.{NAME}] port = ... in botdock.toml.",
            ) from error


def render(snapshot: MetricsSnapshot | None) -> bytes:
    """Return a snapshot in Prometheus's text format; nothing for None."""
    collector, registry = SnapshotCollector(), CollectorRegistry(auto_describe=False)
    collector.snapshot = snapshot
    registry.register(collector)
    return generate_latest(registry)
