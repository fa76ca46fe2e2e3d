"""What Prometheus gets to see."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from botdock import Config, MetricsExporter
from botdock.errors import ConfigError, MetricsError
from botdock.model import MetricsSnapshot, OperationStats
from botdock.model.metrics import DURATION_BUCKETS
from botdock.plugin_manager import PluginManager
from botdock.services.metrics import MetricsService

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def open_exporter(**options: Any) -> MetricsExporter:
    return PluginManager.load().metrics_exporter("prometheus").factory(Config(options={"prometheus": options}))


def snapshot() -> MetricsSnapshot:
    service = MetricsService()
    service.record("container.create", seconds=0.02)
    service.record("container.create", seconds=7200, success=False)
    service.record("log.collect", size=100)
    service.record("execution", labels=(("engine", "docker"), ("outcome", "failed")), seconds=0.3, success=False)
    return service.get_metrics()


def samples_of(text: str) -> Samples:
    return {
        (sample.name, frozenset((name, value) for name, value in sample.labels.items() if value)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def sample(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def check(samples: Samples) -> None:
    create, duration = {"operation": "container.create"}, "botdock_operation_duration_seconds"
    assert sample(samples, "botdock_operations_total", **create) == 2
    assert sample(samples, "botdock_operation_errors_total", **create) == 1
    assert sample(samples, "botdock_operation_bytes_total", operation="log.collect") == 100
    execution = {"operation": "execution", "engine": "docker", "outcome": "failed"}
    assert sample(samples, "botdock_operations_total", **execution) == 1
    assert sample(samples, f"{duration}_bucket", le="0.01", **create) == 0
    assert sample(samples, f"{duration}_bucket", le="0.025", **create) == 1
    assert sample(samples, f"{duration}_bucket", le="3600.0", **create) == 1
    assert sample(samples, f"{duration}_bucket", le="+Inf", **create) == 2
    assert sample(samples, f"{duration}_count", **create) == 2
    assert sample(samples, f"{duration}_sum", **create) == 7200.02
    assert sample(samples, f"{duration}_count", operation="log.collect") is None


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


@pytest.fixture
def endpoint(port: int) -> Iterator[MetricsExporter]:
    exporter = open_exporter(port=port)
    yield exporter
    exporter.close()


def scrape(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        text: str = response.read().decode()
        return text


def test_the_endpoint_shows_the_last_snapshot(port: int, endpoint: MetricsExporter) -> None:
    assert samples_of(scrape(port)) == {}
    endpoint.export(snapshot())
    check(samples_of(scrape(port)))
    endpoint.export(MetricsService().get_metrics())
    assert samples_of(scrape(port)) == {}


def test_the_endpoint_is_for_this_machine_alone(port: int, endpoint: MetricsExporter) -> None:
    with socket.socket() as elsewhere:
        elsewhere.settimeout(10)
        assert elsewhere.connect_ex(("127.0.0.2", port)) != 0


def test_a_closed_endpoint_lets_go_of_its_port(port: int) -> None:
    for _ in range(2):
        exporter = open_exporter(port=port)
        scrape(port)
        exporter.close()


def test_a_port_that_is_taken_is_told(port: int, endpoint: MetricsExporter) -> None:
    with pytest.raises(MetricsError, match=rf"metrics endpoint 127\.0\.0\.1:{port} cannot be opened: .*\n.*port ="):
        open_exporter(port=port)


def test_the_file_holds_the_last_snapshot(tmp_path: Path) -> None:
    file = tmp_path / "botdock.prom"
    exporter = open_exporter(textfile=str(file))
    assert not file.exists()
    exporter.export(MetricsService().get_metrics())
    exporter.export(snapshot())
    exporter.close()
    check(samples_of(file.read_text()))
    assert list(tmp_path.iterdir()) == [file]
    assert file.stat().st_mode & 0o004


def test_a_file_that_cannot_be_written_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "botdock.prom"
    exporter = open_exporter(textfile=str(file))
    file.mkdir()
    with pytest.raises(MetricsError, match=r"metrics file .*botdock\.prom cannot be written: Is a directory"):
        exporter.export(snapshot())
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "port: set port or textfile, or both"),
        ({"port": 70000}, "port: 70000 must be 0 to 65535"),
        ({"port": "9000"}, "port: must be a whole number, not '9000'"),
        ({"prot": 9000}, "prot: unknown; did you mean port?"),
        ({"port": 1, "address": ""}, "address: must not be empty"),
        ({"textfile": "x.txt"}, "textfile: 'x.txt' must end with .prom"),
        ({"textfile": "/no/such/folder/x.prom"}, "textfile: the folder of '/no/such/folder/x.prom' does not exist"),
    ],
)
def test_a_wrong_setting_is_told(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_exporter(**options)
    (problem,) = caught.value.problems
    assert problem.startswith(f"options.prometheus: {said}")


def test_discovery_does_not_import_the_client() -> None:
    code = (
        "import sys; from botdock import PluginManager as M; M.load().metrics_exporters(); print(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert "botdock_metrics_prometheus.plugin" in done.stdout
    assert "'prometheus_client'" not in done.stdout


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
LABELS = st.dictionaries(TEXT | st.sampled_from(["le", "operation", "engine"]), TEXT, max_size=3)
STATS = st.lists(st.integers(0, 10**6), min_size=len(DURATION_BUCKETS) + 1, max_size=len(DURATION_BUCKETS) + 1).map(
    lambda counts: OperationStats(count=sum(counts), buckets=tuple(sorted(counts)), seconds=1.5)
)


@given(st.dictionaries(st.tuples(TEXT, LABELS.map(lambda labels: tuple(sorted(labels.items())))), STATS, max_size=4))
def test_whatever_is_counted_can_be_read_by_prometheus(operations: dict[Any, OperationStats]) -> None:
    from botdock_metrics_prometheus.collector import SnapshotCollector

    collector, registry = SnapshotCollector(), CollectorRegistry()
    registry.register(collector)
    now = datetime.now(UTC)
    collector.snapshot = MetricsSnapshot(taken_at=now, since=now, operations=operations)
    families = {family.name: family for family in text_string_to_metric_families(generate_latest(registry).decode())}
    found = families["botdock_operations"].samples if operations else []
    assert sorted(one.value for one in found) == sorted(stats.count for stats in operations.values())
