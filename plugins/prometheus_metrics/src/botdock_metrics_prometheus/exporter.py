"""The exporter: an endpoint, a file, or both."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from botdock import MetricsExporter
from botdock.errors import MetricsError
from botdock.model import MetricsSnapshot
from botdock_metrics_prometheus.collector import SnapshotCollector
from botdock_metrics_prometheus.settings import NAME, Settings

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer


class PrometheusExporter(MetricsExporter):
    """Shows the last snapshot to Prometheus, from a registry of its own, so that each runner can have one."""

    def __init__(self, settings: Settings) -> None:
        """Open the endpoint, if there is to be one.

        Args:
            settings: Where metrics go.

        Raises:
            MetricsError: The port cannot be had.
        """
        self._collector = SnapshotCollector()
        self._registry = CollectorRegistry()
        self._registry.register(self._collector)
        self._textfile = Path(settings.textfile).expanduser() if settings.textfile else None
        self._writing = threading.Lock()
        self._server = _serve(settings, self._registry) if settings.port else None

    def export(self, snapshot: MetricsSnapshot) -> None:
        """Show this snapshot from now on.

        Raises:
            MetricsError: The file cannot be written.
        """
        self._collector.snapshot = snapshot
        if self._textfile is not None:
            with self._writing:
                _replace(self._textfile, generate_latest(self._registry))

    def close(self) -> None:
        """Close the endpoint; the file stays, with the last numbers."""
        if self._server is None:
            return
        server, thread = self._server
        server.shutdown()
        server.server_close()
        thread.join()


def _serve(settings: Settings, registry: CollectorRegistry) -> tuple[WSGIServer, threading.Thread]:
    try:
        return start_http_server(settings.port, settings.address, registry)
    except OSError as error:
        raise MetricsError(
            f"metrics endpoint {settings.address}:{settings.port} cannot be opened: {error.strerror or error}",
            hint=f"Choose another with [options.{NAME}] port = ... in botdock.toml.",
        ) from error


def _replace(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old numbers or the new ones, never half of them."""
    # Not a temporary file of the standard library: that one would be readable by us alone.
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise MetricsError(f"metrics file {path} cannot be written: {error.strerror or error}") from error
