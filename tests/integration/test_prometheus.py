"""A real Prometheus scrapes a runner that ran real bots, and answers with the right numbers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import attrs
import pytest

from botdock import Config, DockerRunner, Executable
from botdock.config import LoggingConfig, MetricsConfig, document, to_toml
from botdock.services.metrics import metrics_folder, read_total
from botdock.supervisor import Supervisor, submit
from testbed.prometheus import PrometheusServer
from testbed.waiting import until, wait_until

GOOD = "def main(id, config):\n    print('x' * 1000)\n    return 1\n"
BAD = "def main(id, config):\n    raise SystemExit(3)\n"
SLOW = "import time\n\ndef main(id, config):\n    time.sleep(1.2)\n"
TALKER = "import time\n\ndef main(id, config):\n    print('x' * 1000, flush=True)\n    time.sleep(600)\n"
SOON = LoggingConfig(sync_interval=0.05)
OUTCOMES = {"good": 3, "bad": 2, "slow": 1}
TIMEOUT = 60.0


@pytest.fixture
def bots(tmp_path: Path) -> dict[str, Path]:
    folders = {}
    for name, source in (("good", GOOD), ("bad", BAD), ("slow", SLOW)):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        (folders[name] / "main.py").write_text(source)
    return folders


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def config(tmp_path: Path, **options: Any) -> Config:
    return Config(
        engine="process",
        home=str(tmp_path / "home"),
        metrics=MetricsConfig(exporters=("prometheus",)),
        options={"prometheus": options},
    )


@pytest.fixture
def scraped(bots: dict[str, Path], port: int, tmp_path: Path) -> Iterator[str]:
    """The page of a runner that ran three good bots, two bad ones and a slow one, and still lives."""
    with DockerRunner(config(tmp_path, port=port)) as runner:
        for name, times in OUTCOMES.items():
            for _ in range(times):
                runner.run(Executable(id=name, runtime="python3.11", file_path=str(bots[name])))
        assert wait_until(lambda: sum_of(page(port), "botdock_executions_total") == 6, timeout=TIMEOUT)
        yield page(port)


def page(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        text: str = response.read().decode()
        return text


def sum_of(text: str, name: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name}{{"))


def test_promtool_has_nothing_against_the_page(scraped: str, promtool: Callable[[str], str]) -> None:
    assert promtool(scraped) == ""
    assert promtool(scraped.replace("_seconds", "_milliseconds")) != "", "it finds nothing at all"


def test_a_real_prometheus_answers_with_the_right_numbers(
    scraped: str, port: int, start_prometheus: Callable[..., PrometheusServer]
) -> None:
    server = start_prometheus(f"127.0.0.1:{port}")
    assert wait_until(lambda: server.value("sum(botdock_executions_total)") == 6, timeout=TIMEOUT), server.query("up")
    by_outcome = server.query("sum by (outcome) (botdock_executions_total{engine='process',runtime='python311'})")
    assert {labels["outcome"]: value for labels, value in by_outcome} == {"succeeded": 4, "failed": 2}
    assert server.value("sum(botdock_execution_output_bytes_total{outcome='succeeded'})") == 3 * 1001
    assert server.value("sum(botdock_execution_duration_seconds_count)") == 6
    slowest = "histogram_quantile(1, sum by (le) (botdock_execution_duration_seconds_bucket))"
    assert wait_until(lambda: 1.0 < (server.value(slowest) or 0) <= 2.5, timeout=TIMEOUT), server.query(slowest)
    phases = server.query("sum by (phase) (botdock_phase_duration_seconds_count)")
    assert {labels["phase"]: value for labels, value in phases}["wait"] == 6
    created = "botdock_container_operations_total{operation='create',result='success'}"
    assert server.value(created) == 6
    assert server.value("sum(botdock_container_operations_total{result='error'})") == 0
    stored = server.value("sum(botdock_log_bytes_total{operation='store'})")
    assert stored == sum_of(scraped, "botdock_execution_output_bytes_total") >= 3 * 1001
    assert server.value("sum(botdock_log_bytes_total)") == stored, "each byte once, over all operations"
    assert server.value("botdock_log_operations_total{operation='collect',result='success'}") == 6


def test_what_a_bot_writes_is_on_the_page_and_in_the_folder_while_it_runs(port: int, tmp_path: Path) -> None:
    (tmp_path / "talker").mkdir()
    (tmp_path / "talker" / "main.py").write_text(TALKER)
    quick = attrs.evolve(
        config(tmp_path, port=port), metrics=MetricsConfig(exporters=("prometheus",), interval=0.1), logging=SOON
    )
    with DockerRunner(quick) as runner:
        talker = Executable(id="talker", runtime="python3.11", file_path=str(tmp_path / "talker"))
        execution = runner.start(talker)
        try:
            assert wait_until(lambda: sum_of(page(port), "botdock_log_bytes_total") == 1001, timeout=TIMEOUT)
            assert wait_until(lambda: bytes_in(metrics_folder(tmp_path / "home")) == 1001, timeout=TIMEOUT)
            assert execution.result.outcome is None, "it still runs"
            assert sum_of(page(port), "botdock_executions_total") == 0
        finally:
            execution.stop()
        result = execution.wait()
        assert result is not None
        assert sum_of(page(port), "botdock_log_bytes_total") <= result.log.bytes
    assert bytes_in(metrics_folder(tmp_path / "home")) == result.log.bytes


def bytes_in(folder: Path) -> int:
    stats = read_total(folder).snapshot.operations.get(("log.store", ()))
    return stats.bytes if stats else 0


def run_by_hand(folder: Path, home: Path, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "BOTDOCK_HOME": str(home),
        "BOTDOCK_CONFIG": str(tmp_path / "botdock.toml"),
    }
    command = [sys.executable, "-m", "botdock_cli", "run", str(folder), "--engine", "process"]
    subprocess.run(command, env=environment, capture_output=True, timeout=120, check=True)


def test_many_short_runs_go_on_counting_in_the_file(
    bots: dict[str, Path], tmp_path: Path, promtool: Callable[[str], str]
) -> None:
    textfile = tmp_path / "botdock.prom"
    (tmp_path / "botdock.toml").write_text(
        f'[metrics]\nexporters = ["prometheus"]\n[options.prometheus]\ntextfile = "{textfile}"\n'
    )
    home, seen = tmp_path / "home", []
    for _ in range(4):
        run_by_hand(bots["good"], home, tmp_path)
        seen.append(sum_of(textfile.read_text(), "botdock_executions_total"))
    assert seen == [1, 2, 3, 4]
    assert promtool(textfile.read_text()) == ""
    assert sorted(path.name for path in metrics_folder(home).iterdir()) == ["total.lock", "total.sqlite"]
    assert read_total(metrics_folder(home)).runners == 4


def test_a_supervisor_with_several_runners_counts_at_one_endpoint(
    bots: dict[str, Path], port: int, tmp_path: Path
) -> None:
    config_file = tmp_path / "mine.toml"
    config_file.write_text(to_toml(document(config(tmp_path, port=port), show_secrets=True)))
    supervisor = Supervisor(config_file)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        until(lambda: answers(port), timeout=TIMEOUT)
        for changes in ({}, {"logging": {"sync_interval": 0.1}}, {"logging": {"sync_interval": 0.2}}):
            executable = Executable(id="good", runtime="python3.11", file_path=str(bots["good"]))
            submit(executable, config_file=config_file, overrides=changes, spawn=False)
        until(lambda: sum_of(page(port), "botdock_executions_total") == 3, timeout=TIMEOUT)
    finally:
        supervisor.hand_over()
        thread.join(TIMEOUT)
    assert not answers(port)
    total = read_total(metrics_folder(tmp_path / "home")).snapshot
    assert sum(stats.count for (name, _), stats in total.operations.items() if name == "execution") == 3


def answers(port: int) -> bool:
    with suppress(OSError):
        page(port)
        return True
    return False
