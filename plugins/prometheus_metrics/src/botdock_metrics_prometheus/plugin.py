"""What `botdock-metrics-prometheus` registers."""

from __future__ import annotations

from collections.abc import Iterable

from botdock import Config, MetricsExporter, MetricsExporterPlugin, hookimpl
from botdock_metrics_prometheus.settings import PrometheusSettings, read_settings

BOTDOCK_INTERFACE = 1
"""The version of the plugin interface that this is written for."""


def _open(config: Config) -> MetricsExporter:
    from botdock_metrics_prometheus.exporter import PrometheusExporter

    return PrometheusExporter(read_settings(config))


@hookimpl
def botdock_metrics_exporters() -> Iterable[MetricsExporterPlugin]:
    """Register the exporter `prometheus`."""
    yield MetricsExporterPlugin(
        name="prometheus",
        summary="An endpoint that Prometheus scrapes, or a file for its node exporter.",
        factory=_open,
        settings=PrometheusSettings,
    )
