"""Many executions through a cap, on a Kubernetes: none is lost, and none runs twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from botdock import Config, Executable
from botdock.config import ContainersConfig, SupervisorConfig, document, to_toml
from botdock.executions import Executions
from botdock.supervisor import Supervisor, submit
from botdock_engine_kubernetes.settings import KubernetesSettings
from testbed.drills import count
from testbed.kubernetes_namespaces import Kubernetes
from testbed.waiting import wait_until

PATIENCE = 3600.0
EXECUTIONS = count(300, 12)
CAP = count(30, 4)


@pytest.fixture
def config_file(kubernetes_config: Config, tmp_path: Path) -> Iterator[Path]:
    config = attrs.evolve(
        kubernetes_config,
        containers=ContainersConfig(call_timeout=600.0),
        supervisor=SupervisorConfig(parallel=CAP),
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


def test_all_of_many_executions_run_once(
    kubernetes: Kubernetes, kubernetes_config: Config, config_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/main.sh").write_text("echo here")
    bots = [Executable(id=f"bot-{number}", file_path=str(tmp_path / "code")) for number in range(EXECUTIONS)]
    for bot in bots:
        submit(bot, config_file=config_file, spawn=False)
    executions = Executions(tmp_path / "home")
    assert wait_until(lambda: all(record.outcome for record in executions.list()), timeout=PATIENCE, interval=1.0), (
        executions.list()
    )
    assert sorted((record.id, record.outcome) for record in executions.list()) == sorted(
        (bot.id, "succeeded") for bot in bots
    )

    namespace = kubernetes_config.options_for("kubernetes", KubernetesSettings).namespace
    told = kubernetes.kubectl("--namespace", namespace, "get", "events", "--output", "json")
    made = [
        event["involvedObject"]["uid"]
        for event in json.loads(told)["items"]
        if event["reason"] == "SuccessfulCreate" and not event["involvedObject"]["name"].startswith("botdock-probe")
    ]
    assert len(set(made)) == len(made) == EXECUTIONS, "one pod of each Job, and one Job of each execution"
