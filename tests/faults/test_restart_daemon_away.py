"""The daemon is away while a bot that is to be restarted runs: it comes back once, and is never there twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from botdock import Config, Executable
from botdock.config import ContainersConfig, SupervisorConfig, document, to_toml
from botdock.executions import ExecutionRecord, Executions
from botdock.orchestrator import running
from botdock.supervisor import Supervisor, submit
from testbed.daemon import PrivateDaemon
from testbed.waiting import until

pytestmark = pytest.mark.docker
PATIENCE = 180.0


@pytest.fixture
def config_file(
    drill_daemon: PrivateDaemon,
    make_docker_config: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    monkeypatch.setattr(running, "LONGEST_PAUSE", 1.0)
    config = make_docker_config(
        host=drill_daemon.host,
        containers=ContainersConfig(reconnect_timeout=1.0, call_timeout=5.0, retries=0),
        supervisor=SupervisorConfig(backoff=0.2, max_backoff=1.0),
    )
    path = tmp_path / "mine.toml"
    path.write_text(to_toml(document(config, show_secrets=True)))
    supervisor = Supervisor(path)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    yield path
    supervisor.hand_over()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_bot_whose_daemon_was_away_is_restarted_when_it_is_back_and_not_counted(
    drill_daemon: PrivateDaemon, config_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.sh").write_text("echo here; exec sleep 600")
    bot = Executable(id="sma", file_path=str(tmp_path / "code"), restart="on-failure:1")
    submit(bot, config_file=config_file, spawn=False)
    executions = Executions(tmp_path / "home")

    def newest() -> ExecutionRecord:
        return executions.get("sma")

    until(lambda: newest().state == "running" and newest().is_over is False, timeout=PATIENCE)
    first = newest()
    drill_daemon.kill()
    until(lambda: newest().is_over, timeout=PATIENCE)
    assert [one.execution_id for one in executions.list()] == [first.execution_id], "its container may live"
    drill_daemon.start()
    until(lambda: newest().previous and newest().state == "running", timeout=PATIENCE)
    assert executions.get(first.execution_id).outcome == "infrastructure_error"
    with closing(drill_daemon.client()) as client:
        until(lambda: [container["State"] for container in client.containers()] == ["running"], timeout=PATIENCE)
    request = executions.inspect("sma")["request"]["restart"]
    assert (request["failures"], request["policy"]) == (0, "on-failure:1")
    executions.stop("sma", grace=0.1, timeout=PATIENCE)
    assert newest().outcome == "stopped"
