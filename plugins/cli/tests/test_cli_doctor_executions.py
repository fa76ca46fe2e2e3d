"""What `botdock doctor` says of executions that are not finished, and of what belongs to none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from botdock.config import Config
from botdock.errors import EngineUnavailableError
from botdock.model import CheckStatus, ContainerInfo, ContainerState, EngineCapabilities, EnginePlugin, Feature
from botdock.model.container import LABEL_EXECUTION
from botdock_cli.check_machine import check_executions, check_strays
from botdock_cli.commands.doctor import check_engines


@pytest.fixture
def config(own_home: Path) -> Config:
    return Config(home=str(own_home))


def test_executions_that_are_not_finished_are_told_with_what_finishes_them(
    config: Config, logged: Callable[..., Any]
) -> None:
    dead, owed, _ = logged(), logged().lives(), logged().concludes()
    left = {"evidence": {"left_behind": ["container: connection refused"]}}
    (owed.directory / "concluded.json").write_text(json.dumps(left))
    found = {check.name: check for check in check_executions(config)}
    assert found.keys() == {"executions.orphaned", "executions.owed"}
    assert dead.execution_id in found["executions.orphaned"].detail
    assert f"1 over, but not all removed yet: {owed.execution_id}: container: c" in found["executions.owed"].detail
    assert found["executions.owed"].remedy.startswith("botdock recover")


def manager(containers: Callable[[], list[ContainerInfo]]) -> Any:
    """Return what knows one engine, which lists those containers."""
    engine: Any = SimpleNamespace(list=lambda labels, timeout: containers(), close=lambda: None)
    plugin = EnginePlugin(name="dock", factory=lambda config: engine, automatic=True, checks=lambda config: [])
    return SimpleNamespace(engines=lambda: {"dock": plugin}, engine=lambda name: plugin)


def test_what_belongs_to_no_execution_is_told(config: Config, logged: Callable[..., Any]) -> None:
    over = logged().concludes()
    (over.directory / "workspace").mkdir()
    containers = [
        ContainerInfo(
            container_id=f"c{number}",
            name="",
            image="",
            state=ContainerState.RUNNING,
            labels={LABEL_EXECUTION: over.execution_id},
        )
        for number in range(4)
    ]
    (check,) = check_strays(manager(lambda: containers), config, ["dock"])
    assert check.detail == ("5 that belong to no execution: container c0, container c1, container c2, and 2 more")
    assert list(check_strays(manager(lambda: containers), config, [])) == [], "it does not work: its checks say so"


def test_an_engine_that_stops_answering_is_left_to_its_own_checks(config: Config) -> None:
    def away() -> list[ContainerInfo]:
        raise EngineUnavailableError("refused")

    assert list(check_strays(manager(away), config, ["dock"])) == []


def test_what_the_logs_of_an_engine_lack_is_a_warning(config: Config) -> None:
    said = EngineCapabilities(engine="dock", enforced=frozenset(Feature), exact_bytes=False)
    engine: Any = SimpleNamespace(capabilities=lambda: said, close=lambda: None)
    plugin = EnginePlugin(name="dock", factory=lambda config: engine, automatic=True, checks=lambda config: [])
    knows: Any = SimpleNamespace(engines=lambda: {"dock": plugin})
    answers, logs = check_engines(knows, config)["dock"].checks
    assert (answers.status, logs.name, logs.status) == (CheckStatus.OK, "dock.logs", CheckStatus.WARNING)
    assert logs.detail == "bytes may differ from what was written"
