"""What Prometheus gets to see, at the endpoint and in the file."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock import MetricsExporter
from botdock.errors import ConfigError, MetricsError
from botdock.model import MetricsSnapshot
from botdock.services.metrics import MetricsService

EXECUTION = {"engine": "docker", "outcome": "failed", "runtime": "bash"}


def snapshot() -> MetricsSnapshot:
    service = MetricsService()
    service.record_container_operation("create", 0.02, True)
    service.record_container_operation("create", 7200, False)
    service.record_log_operation("collect", True, 100)
    service.record_log_operation("gap", False, 7)
    service.record_storage_operation("put", 30, True, 0.5)
    service.record("execution", labels=tuple(EXECUTION.items()), seconds=0.3, size=9, success=False)
    service.record("phase.pull", labels=(("engine", "docker"), ("runtime", "bash")), seconds=2)
    service.record("cache.hit", seconds=0.001, size=5)
    return service.get_metrics()


@pytest.fixture
def is_the_snapshot(value_of: Callable[..., float | None]) -> Callable[[str], None]:
    def check(text: str) -> None:
        def value(name: str, **labels: str) -> float | None:
            return value_of(text, f"botdock_{name}", **labels)

        assert value("container_operations_total", operation="create", result="success") == 1
        assert value("container_operations_total", operation="create", result="error") == 1
        duration = "container_operation_duration_seconds"
        assert value(f"{duration}_bucket", operation="create", le="0.01") == 0
        assert value(f"{duration}_bucket", operation="create", le="0.025") == 1
        assert value(f"{duration}_bucket", operation="create", le="3600.0") == 1
        assert value(f"{duration}_bucket", operation="create", le="+Inf") == 2
        assert value(f"{duration}_count", operation="create") == 2
        assert value(f"{duration}_sum", operation="create") == pytest.approx(7200.02)
        assert value("log_bytes_total", operation="collect") == 100
        assert value("log_operations_total", operation="gap", result="error") == 1
        assert value("log_bytes_total", operation="gap") == 7
        assert value("storage_bytes_total", operation="put") == 30
        assert value("storage_operation_duration_seconds_sum", operation="put") == 0.5
        assert value("cache_operations_total", operation="hit", result="success") == 1
        assert value("executions_total", **EXECUTION) == 1
        assert value("execution_duration_seconds_bucket", le="0.25", **EXECUTION) == 0
        assert value("execution_duration_seconds_bucket", le="0.5", **EXECUTION) == 1
        assert value("execution_output_bytes_total", **EXECUTION) == 9
        assert value("phase_duration_seconds_sum", phase="pull", engine="docker", runtime="bash") == 2
        assert value("metrics_folded_records_total") == 0
        assert value("metrics_since_timestamp_seconds") == pytest.approx(datetime.now(UTC).timestamp(), abs=60)

    return check


def test_the_endpoint_shows_the_last_snapshot(
    endpoint: MetricsExporter, scrape: Callable[[], str], is_the_snapshot: Callable[[str], None]
) -> None:
    assert scrape() == ""
    endpoint.export(snapshot())
    is_the_snapshot(scrape())
    endpoint.export(MetricsService().get_metrics())
    assert "botdock_executions_total" not in scrape()


def test_the_endpoint_shows_this_runner_and_the_file_all_of_them(
    port: int, open_exporter: Callable[..., MetricsExporter], scrape: Callable[[], str], tmp_path: Path
) -> None:
    exporter = open_exporter(port=port, textfile=str(tmp_path / "botdock.prom"))
    nothing = MetricsService().get_metrics()
    exporter.export(attrs.evolve(nothing, total=snapshot()))
    assert "botdock_executions_total" not in scrape()
    assert "botdock_executions_total" in (tmp_path / "botdock.prom").read_text()
    exporter.close()


def test_a_port_that_is_taken_is_told(
    port: int, endpoint: MetricsExporter, open_exporter: Callable[..., MetricsExporter]
) -> None:
    with pytest.raises(MetricsError, match=rf"metrics endpoint 127\.0\.0\.1:{port} cannot be opened: .*\n.*port ="):
        open_exporter(port=port)


def test_the_file_holds_the_last_snapshot_and_can_be_read_by_others(
    tmp_path: Path, open_exporter: Callable[..., MetricsExporter], is_the_snapshot: Callable[[str], None]
) -> None:
    file = tmp_path / "botdock.prom"
    before = os.umask(0o077)
    try:
        exporter = open_exporter(textfile=str(file))
        assert not file.exists()
        exporter.export(MetricsService().get_metrics())
        exporter.export(snapshot())
        exporter.close()
    finally:
        os.umask(before)
    is_the_snapshot(file.read_text())
    assert [path.name for path in tmp_path.glob("*.prom")] == ["botdock.prom"]
    assert file.stat().st_mode & 0o777 == 0o644


def test_numbers_that_were_taken_earlier_never_replace_later_ones(
    tmp_path: Path, open_exporter: Callable[..., MetricsExporter]
) -> None:
    file = tmp_path / "botdock.prom"
    late, early = open_exporter(textfile=str(file)), open_exporter(textfile=str(file))
    older, newer = MetricsService().get_metrics(), snapshot()
    late.export(newer)
    text = file.read_text()
    early.export(older)
    assert file.read_text() == text
    wrong_clock = attrs.evolve(newer, taken_at=datetime.now(UTC) + timedelta(days=1))
    late.export(wrong_clock)
    early.export(snapshot())
    assert file.read_text() != text, "a file from the future stays for ever"


def test_a_reader_never_sees_half_a_file(tmp_path: Path, open_exporter: Callable[..., MetricsExporter]) -> None:
    file = tmp_path / "botdock.prom"
    exporters = [open_exporter(textfile=str(file)) for _ in range(3)]
    exporters[0].export(snapshot())
    whole = len(file.read_text().splitlines())
    done = threading.Event()

    def write(exporter: MetricsExporter) -> None:
        while not done.is_set():
            exporter.export(snapshot())

    threads = [threading.Thread(target=write, args=(exporter,)) for exporter in exporters]
    for thread in threads:
        thread.start()
    lengths = {len(file.read_text().splitlines()) for _ in range(200)}
    done.set()
    for thread in threads:
        thread.join()
    assert lengths == {whole}


def test_a_file_that_cannot_be_written_is_told_and_leaves_no_half_of_it(
    tmp_path: Path, open_exporter: Callable[..., MetricsExporter]
) -> None:
    file = tmp_path / "botdock.prom"
    exporter = open_exporter(textfile=str(file))
    file.mkdir()
    with pytest.raises(MetricsError, match=r"metrics file .*botdock\.prom cannot be written: Is a directory"):
        exporter.export(snapshot())
    assert {path.name for path in tmp_path.iterdir()} == {"botdock.prom", ".botdock.prom.lock"}


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
def test_a_wrong_setting_is_told(
    options: dict[str, Any], said: str, open_exporter: Callable[..., MetricsExporter]
) -> None:
    with pytest.raises(ConfigError) as caught:
        open_exporter(**options)
    (problem,) = caught.value.problems
    assert problem.startswith(f"options.prometheus.{said}")


def test_discovery_does_not_import_the_client() -> None:
    code = (
        "import sys; from botdock import PluginManager as M; M.load().metrics_exporters(); print(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert "botdock_metrics_prometheus.plugin" in done.stdout
    assert "'prometheus_client'" not in done.stdout
