"""Exporters as a configuration opens them, and what they show."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from botdock import Config, MetricsExporter
from botdock.plugin_manager import PluginManager

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
OpenExporter = Callable[..., MetricsExporter]


@pytest.fixture
def open_exporter() -> OpenExporter:
    """Open the exporter with these options."""
    plugin = PluginManager.load().metrics_exporter("prometheus")
    return lambda **options: plugin.factory(Config(options={"prometheus": options}))


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


@pytest.fixture
def endpoint(port: int, open_exporter: OpenExporter) -> Iterator[MetricsExporter]:
    exporter = open_exporter(port=port)
    yield exporter
    exporter.close()


@pytest.fixture
def scrape(port: int) -> Callable[[], str]:
    def get() -> str:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
            text: str = response.read().decode()
            return text

    return get


@pytest.fixture
def samples_of() -> Callable[[str], Samples]:
    """Read the text format as the client library does: each sample by its name and labels."""

    def read(text: str) -> Samples:
        found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        samples = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in found}
        assert len(samples) == len(found), "a series is there twice"
        return samples

    return read


@pytest.fixture
def value_of(samples_of: Callable[[str], Samples]) -> Callable[..., float | None]:
    """Return the value of one series, its labels given exactly; None where it is not there."""

    def value(text: str, name: str, **labels: Any) -> float | None:
        return samples_of(text).get((name, frozenset(labels.items())))

    return value
