"""The exporter `prometheus`, held to what every exporter promises: with its endpoint, and with its file."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest

from botdock import MetricsExporter
from botdock_metrics_prometheus.exporter import PrometheusExporter
from botdock_metrics_prometheus.settings import PrometheusSettings
from botdock_testing import MetricsExporterContract


def executions(text: str) -> float:
    lines = [line for line in text.splitlines() if line.startswith("botdock_executions_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


class TestPrometheusEndpoint(MetricsExporterContract):
    @pytest.fixture
    def port(self) -> int:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            number: int = free.getsockname()[1]
            return number

    @pytest.fixture
    def exporter(self, port: int) -> MetricsExporter:
        return PrometheusExporter(PrometheusSettings(port=port))

    @pytest.fixture
    def seen(self, port: int) -> Callable[[], float]:
        def scraped() -> float:
            with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as response:
                return executions(response.read().decode())

        return scraped


class TestPrometheusTextfile(MetricsExporterContract):
    @pytest.fixture
    def exporter(self, tmp_path: Path) -> MetricsExporter:
        return PrometheusExporter(PrometheusSettings(textfile=str(tmp_path / "x.prom")))

    @pytest.fixture
    def seen(self, tmp_path: Path) -> Callable[[], float]:
        return lambda: executions((tmp_path / "x.prom").read_text())
