"""Where the control groups of a container are, by what is mounted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from botdock_engine_oci import cgroups
from botdock_engine_oci.cgroups import delegated, folders_of, group_of

V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = (
    "31 24 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"
    "32 31 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    "33 31 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "34 31 0:30 / /odd\\040place/pids rw - cgroup cgroup rw,pids\n"
)


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_version_2_has_one_folder() -> None:
    assert folders_of("b", V2) == ["/sys/fs/cgroup/botdock/b"]


def test_each_hierarchy_of_version_1_has_one_and_the_other_version_beside_it() -> None:
    places = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory", "/odd place/pids"]
    assert folders_of("b", HYBRID) == [place + group_of("b") for place in places]


def test_without_control_groups_there_is_none() -> None:
    assert folders_of("b", "22 1 0:20 / /proc rw - proc proc rw\n") == []


def test_an_ordinary_user_has_the_highest_group_that_systemd_gave(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    service = tmp_path / "user.slice" / "user@1000.service"
    for folder in (service, service / "app.slice", service / "app.slice" / "run.scope"):
        folder.mkdir(parents=True)
        for name in ("cgroup.procs", "cgroup.subtree_control"):
            (folder / name).touch()
    assert delegated("0::/user.slice/user@1000.service/app.slice/run.scope\n") == "/user.slice/user@1000.service"
    assert group_of("b", "0::/user.slice/user@1000.service\n") == "/user.slice/user@1000.service/botdock/b"
    for nothing in ("0::/user.slice/session-2.scope\n", "0::/\n", "5:memory:/user.slice/user@1000.service\n", ""):
        assert (delegated(nothing), group_of("b", nothing)) == ("", "")
