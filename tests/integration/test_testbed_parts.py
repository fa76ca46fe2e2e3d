"""The parts of the testbed that need no Docker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed import machine
from testbed.branches import branch_coverage
from testbed.cache import VARIABLE, Slot, built, cache_dir
from testbed.cgroups import prepare_cgroups
from testbed.console import TestbedError, run
from testbed.mirror import DEFAULT, deb822_mirrors, find_mirror, one_line_mirrors
from testbed.packages import ensure_programs
from testbed.provision import find_engine

ONE_LINE = """
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/x.gpg] http://mirror.example/debian/ bookworm main contrib
deb http://vendor.example/apt cloud-bookworm main
deb-src http://source.example/debian bookworm main
"""

DEB822 = """
Types: deb
# a comment
URIs: https://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: https://vendor.example
Suites: nodistro
Components: main

Enabled: no
Types: deb
URIs: https://off.example/debian
Suites: bookworm
Components: main
"""


def test_the_mirror_is_that_of_the_machine(tmp_path: Path) -> None:
    assert list(one_line_mirrors(ONE_LINE)) == ["http://mirror.example/debian"]
    assert list(deb822_mirrors(DEB822)) == ["https://mirror.example/debian"]
    assert find_mirror(tmp_path) == DEFAULT
    (tmp_path / "sources.list").write_text(ONE_LINE)
    assert find_mirror(tmp_path) == "http://mirror.example/debian"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return tmp_path


def test_sessions_at_one_time_have_slots_of_their_own(cache: Path) -> None:
    first, second = Slot("daemon"), Slot("daemon")
    assert (first.path, second.path) == (cache / "daemon-0", cache / "daemon-1")
    first.free()
    third = Slot("daemon")
    assert third.path == cache / "daemon-0"
    second.free()
    third.free()
    assert cache_dir() == cache


def test_one_build_leaves_the_others_alone(cache: Path) -> None:
    def build(work: Path) -> Path:
        assert list(work.iterdir()) == [], "what a killed build had left is gone"
        (work / "made").mkdir()
        return work / "made"

    def fail(work: Path) -> Path:
        raise TestbedError(str(work))

    for name in ("one", "another"):
        (cache / f"build-{name}").mkdir()
        (cache / f"build-{name}" / "file").touch()
    assert built("one", build) == built("one", fail) == cache / "one"
    with pytest.raises(TestbedError):
        built("third", fail)
    assert {path.name for path in cache.iterdir() if path.is_dir()} == {"one", "build-another"}


def test_branches_are_counted_alone(tmp_path: Path) -> None:
    report = tmp_path / "coverage.json"
    report.write_text(json.dumps({"totals": {"covered_branches": 9, "num_branches": 12, "percent_covered": 99}}))
    assert branch_coverage(report) == 75.0


def test_a_program_that_fails_is_tried_again_and_then_shown(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    with pytest.raises(TestbedError, match="no luck"):
        run(["sh", "-c", f"echo x >> {tries}; echo no luck; exit 3"], timeout=10, attempts=2)
    assert tries.read_text() == "x\nx\n"


def test_without_docker_the_help_is_in_the_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(TestbedError, match="as root on a Debian-like system"):
        find_engine(None)


def test_programs_are_installed_by_root_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.packages.find_program", lambda name: None)
    with pytest.raises(TestbedError, match=r"docker\.io iptables"):
        ensure_programs("dockerd", "iptables")


def test_a_delegated_cgroup_has_its_processes_moved_below_it(tmp_path: Path) -> None:
    for name, text in {"cgroup.type": "domain", "cgroup.procs": "1\n7\n", "cgroup.controllers": "pids"}.items():
        (tmp_path / name).write_text(text)
    prepare_cgroups(tmp_path)
    assert (tmp_path / "testbed/cgroup.procs").read_text() == "7"
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+pids"


def test_a_machine_ends_by_itself_or_is_killed_in_time() -> None:
    told: list[str] = []
    ended = machine._boot(["echo", "machine: pytest ended with 3"], 60.0, told.append)
    assert (ended.exit_code, ended.is_late) == (3, False)
    assert told == [ended.output]
    killed = machine._boot(["sleep", "600"], 0.1, told.append)
    assert (killed.exit_code, killed.output, killed.is_late) == (None, "", True)
