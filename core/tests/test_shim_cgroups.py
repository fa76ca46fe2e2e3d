"""What the shim reads of control groups, of either version, in folders that only look like them."""

from __future__ import annotations

from pathlib import Path

import pytest

from botdock.shim._program import cgroups
from botdock.shim._program.cgroups import kill_all, read_usage, remove_all

EVENTS = "low 0\nhigh 0\nmax 12\noom 3\noom_kill {}\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"


def folder(path: Path, **contents: str) -> str:
    path.mkdir()
    for name, text in contents.items():
        path.joinpath(name.replace("_", ".", 1)).write_text(text, encoding="ascii")
    return str(path)


@pytest.mark.parametrize("kills", [0, 2])
def test_the_one_group_of_version_2_tells_all(tmp_path: Path, kills: int) -> None:
    group = folder(
        tmp_path / "v2",
        memory_events=EVENTS.format(kills),
        memory_peak="4096\n",
        cpu_stat="usage_usec 2500000\nuser_usec 2000000\n",
    )
    assert read_usage([group]) == {"oom_killed": kills > 0, "memory_peak": 4096, "cpu_seconds": 2.5}


@pytest.mark.parametrize("kills", [0, 2])
def test_the_groups_of_version_1_tell_each_its_part(tmp_path: Path, kills: int) -> None:
    memory = folder(tmp_path / "m", memory_oom_control=CONTROL.format(kills), memory_max_usage_in_bytes="8192\n")
    processors = folder(tmp_path / "c", cpuacct_usage="1500000000\n", cpu_stat="nr_periods 0\nthrottled_time 0\n")
    read = read_usage([str(tmp_path / "absent"), memory, processors])
    assert read == {"oom_killed": kills > 0, "memory_peak": 8192, "cpu_seconds": 1.5}


def test_what_no_group_tells_is_not_known(tmp_path: Path) -> None:
    empty = folder(tmp_path / "old", memory_oom_control="under_oom 0\n")
    assert read_usage([empty]) == {"oom_killed": None, "memory_peak": None, "cpu_seconds": None}


def test_groups_are_removed_and_those_that_are_gone_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    remove_all([str(tmp_path / "there"), str(tmp_path / "gone")])
    assert list(tmp_path.iterdir()) == []


def test_groups_in_which_nothing_runs_need_no_kill_and_go_at_once(tmp_path: Path) -> None:
    used = folder(tmp_path / "used", cgroup_procs="")
    kill_all([folder(tmp_path / "unused"), used, str(tmp_path / "gone")])
    assert [path.name for path in tmp_path.iterdir()] == ["used"]


def test_a_group_that_stays_in_use_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "KILL_SECONDS", 0.0)
    with pytest.raises(OSError, match="used"):
        remove_all([folder(tmp_path / "used", cgroup_procs="")])
