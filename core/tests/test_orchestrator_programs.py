"""The programs of runtimes: kept as long as an execution uses them, whatever became of its runner."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock._locks import locked
from botdock.config import Config
from botdock.entrypoints import program as entrypoints
from botdock.orchestrator.retention import Removed, remove_old

Begun = Callable[..., Any]


def programs(home: Path) -> list[Path]:
    """Return the programs that are there, none of which has been used for long."""
    found = list((home / "cache/program").iterdir())
    for path in found:
        os.utime(path, (0, 0))
    return found


def old(home: Path, *, dry_run: bool = False) -> list[Removed]:
    return list(remove_old(home, Config(), executions={}, caches=3600.0, dry_run=dry_run))


def test_a_program_stays_until_the_last_execution_that_uses_it_is_finished(begun: Begun) -> None:
    stage, _, _ = begun()
    assert len(programs(stage.home)) == 1
    old(stage.home)
    assert len(programs(stage.home)) == 1, "its runner is dead, and its container lives"
    (execution,) = stage.successor().orchestrator.recover()
    assert execution.wait(0) is None
    old(stage.home)
    assert len(programs(stage.home)) == 1
    execution.kill()
    assert execution.wait(20) is not None
    (foreseen,) = old(stage.home, dry_run=True)
    assert len(programs(stage.home)) == 1
    assert old(stage.home) == [foreseen]
    assert (foreseen.kind, foreseen.bytes > 0) == ("program", True)
    assert programs(stage.home) == []


@pytest.mark.parametrize("written", [None, "{", '{"version": 2}'])
def test_an_execution_that_does_not_say_what_it_uses_keeps_all(begun: Begun, written: str | None) -> None:
    stage, execution, folder = begun()
    if written is None:
        (folder / "run.json").unlink()
    else:
        (folder / "run.json").write_text(written)
    assert len(programs(stage.home)) == 1
    old(stage.home)
    assert len(programs(stage.home)) == 1
    stage.engine.finish(execution.container_id)


def test_a_runner_removes_what_none_has_used_for_long_and_keeps_the_others(
    make_stage: Callable[..., Any], make_bot: Callable[..., Any]
) -> None:
    stage = make_stage()
    stage.orchestrator.execute_bot(make_bot())
    (program,) = programs(stage.home)
    other = program.with_name("0" * 64)
    other.mkdir()
    os.utime(other, (0, 0))
    program.with_name(f"{entrypoints._DRAFT}crashed").mkdir()
    stage.orchestrator.execute_bot(make_bot())
    stage.orchestrator.close()
    assert programs(stage.home) == [program]


def test_a_look_for_what_is_old_makes_no_cache_of_code(tmp_path: Path) -> None:
    (tmp_path / "cache/program").mkdir(parents=True)
    assert old(tmp_path, dry_run=True) == old(tmp_path) == []
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["program"]


def test_nothing_goes_while_a_run_looks_for_its_program(
    make_stage: Callable[..., Any], make_bot: Callable[..., Any]
) -> None:
    stage = make_stage()
    stage.orchestrator.execute_bot(make_bot())
    assert len(programs(stage.home)) == 1
    with locked(stage.home / "cache/program.lock", shared=True, timeout=1):
        old(stage.home)
    assert len(programs(stage.home)) == 1


def test_what_is_in_the_place_of_the_programs_hinders_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/program").write_text("not a folder")
    assert list(remove_old(tmp_path, Config(), executions={"keep": 0}, caches=0.0)) == []
