"""What the shim reads of control groups, of either version, in folders that only look like them."""

from __future__ import annotations

from pathlib import Path

import pytest

from botdock.shim._program import cgroups
from botdock.shim._program.cgroups import kill_all, oom_killed, remove_all

EVENTS = "low 0\nhigh 0\nmax 12\noom 3\noom_kill {}\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"


def folder(path: Path, **contents: str) -> str:
    path.mkdir()
    for name, text in contents.items():
        path.joinpath(name.replace("_", ".", 1)).write_text(text, encoding="ascii")
    return str(path)


@pytest.mark.parametrize("kills", [0, 2])
def test_groups_of_either_version_tell_of_a_kill_for_memory(tmp_path: Path, kills: int) -> None:
    second = folder(tmp_path / "v2", memory_events=EVENTS.format(kills))
    first = folder(tmp_path / "v1", memory_oom_control=CONTROL.format(kills))
    for group in (second, first):
        assert oom_killed([str(tmp_path / "absent"), folder(tmp_path / f"{group}-cpu"), group]) is (kills > 0)


def test_what_no_group_tells_is_not_known(tmp_path: Path) -> None:
    assert oom_killed([folder(tmp_path / "old", memory_oom_control="under_oom 0\n")]) is None


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
