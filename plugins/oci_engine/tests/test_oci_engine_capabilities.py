"""What is said to be enforced is what a container that was tried was held to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.config import Config
from botdock.errors import EngineUnavailableError
from botdock.model import CheckStatus, Feature
from botdock_engine_oci import plugin, probing, runtimes
from botdock_engine_oci.capabilities import missing_features
from botdock_engine_oci.ids import Users
from botdock_engine_oci.probing import CGROUP, cache_of, probe
from botdock_engine_oci.settings import OciSettings

ROOT = Users(ids=range(2_100_000, 2_100_010), groups=range(2_100_000, 2_100_010))
ORDINARY = Users(ids=range(0), groups=range(0), own=(1000, 1000))
HELD = {
    "status": [
        "Uid:\t2100005\t2100005\t2100005\t2100005",
        *(f"Cap{kind}:\t0000000000000000" for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")),
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "Seccomp_filters:\t1",
    ],
    "mounts": [
        "40 39 254:0 /c/rootfs / ro,relatime - ext4 /dev/vda ro",
        "46 40 0:60 / /tmp rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,size=1024k,nr_inodes=1024",
        "47 40 254:0 /code /bot ro,nosuid,nodev,relatime - ext4 /dev/vda rw",
    ],
    "limits": [
        "Max file size             1048576              1048576              bytes     ",
        "Max open files            64                   64                   files     ",
    ],
    "routes": ["Iface\tDestination\tGateway"],
    "memory": ["67108864"],
    "swap": ["0"],
    "cpu": ["50000 100000"],
    "pids": ["32"],
}
"""What a container writes that is held to the whole profile, with cgroup v2."""


def lacking(topic: str, before: str, after: str) -> dict[str, list[str]]:
    """Return what a container writes that lacks something."""
    assert any(before in line for line in HELD[topic])
    return {**HELD, topic: [line.replace(before, after) for line in HELD[topic]]}


LACKING = [
    (Feature.NETWORK, {**HELD, "routes": [*HELD["routes"], "eth0\t00000000\t0100000A"]}),
    (Feature.NON_ROOT, lacking("status", "2100005", "0")),
    (Feature.READ_ONLY_ROOT, lacking("mounts", "/ ro,", "/ rw,")),
    (Feature.READ_ONLY_ROOT, {**HELD, "written": ["/"]}),
    (Feature.READ_ONLY_CODE, lacking("mounts", "/bot ro,", "/bot rw,")),
    (Feature.CAPABILITIES, lacking("status", "CapBnd:\t0000000000000000", "CapBnd:\t0000000000000400")),
    (Feature.NO_NEW_PRIVILEGES, lacking("status", "NoNewPrivs:\t1", "NoNewPrivs:\t0")),
    (Feature.SECCOMP, lacking("status", "Seccomp:\t2", "Seccomp:\t0")),
    (Feature.MEMORY, lacking("memory", "67108864", "max")),
    (Feature.SWAP, lacking("swap", "0", "max")),
    (Feature.CPU, lacking("cpu", "50000", "max")),
    (Feature.PIDS, {**HELD, "pids": []}),
    (Feature.OPEN_FILES, lacking("limits", "64  ", "1048576  ")),
    (Feature.FILE_SIZE, lacking("limits", "1048576  ", "unlimited  ")),
    (Feature.TMPFS, lacking("mounts", "noexec,", "")),
]


@pytest.fixture
def nothing_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that installs a runtime which says something and fails, and no other."""
    monkeypatch.setattr(runtimes, "SYSTEM_PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def install(name: str, said: str) -> Path:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f'#!/bin/sh\n[ "$1" != --version ] || {{ echo "{name} version 9.9"; exit 0; }}\necho "{said}" >&2\nexit 1\n'
        )
        path.chmod(0o755)
        return path

    return install


def test_a_container_that_is_held_to_all_of_it_misses_nothing() -> None:
    assert missing_features(HELD, ROOT) == {}
    v1 = {**HELD, "swap": ["67108864"], "cpu": ["50000"]}
    assert missing_features(v1, ROOT) == {}


@pytest.mark.parametrize(("feature", "seen"), LACKING)
def test_each_feature_is_missed_by_name_where_a_container_lacks_it(
    feature: Feature, seen: dict[str, list[str]]
) -> None:
    missing = missing_features(seen, ROOT)
    assert list(missing) == [feature]
    assert missing[feature].endswith(".")


def test_a_container_that_says_nothing_misses_everything() -> None:
    assert set(missing_features({}, ROOT)) == set(Feature)


def test_an_ordinary_user_is_told_how_to_get_ids_and_limits() -> None:
    seen = {**lacking("status", "2100005", "0"), **{feature.value: [] for feature in CGROUP}}
    missing = missing_features(seen, ORDINARY)
    assert set(missing) == {Feature.NON_ROOT, *CGROUP}
    assert "the bot runs as you (user id 1000) in a user namespace" in missing[Feature.NON_ROOT]
    assert "usermod --add-subuids" in missing[Feature.NON_ROOT]
    assert all("as root" in missing[feature] for feature in CGROUP)


def test_each_runtime_that_does_not_work_is_named_with_its_own_words(
    nothing_works: Callable[[str, str], Path], tmp_path: Path
) -> None:
    nothing_works("crun", "cgroups in hybrid mode not supported")
    nothing_works("runc", "no such luck")
    with pytest.raises(EngineUnavailableError) as caught:
        probe(tmp_path / "oci", OciSettings())
    assert "crun 9.9 does not work here: cgroups in hybrid mode not supported" in caught.value.message
    assert "runc 9.9 does not work here: no such luck" in caught.value.message
    assert "Install runc" in str(caught.value.hint)
    assert not cache_of(tmp_path / "oci").exists()


def test_a_probe_that_fails_leaves_no_control_group(
    nothing_works: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_works("crun", "no such luck")
    group = tmp_path / "group"
    group.mkdir()
    monkeypatch.setattr(probing, "folders_of", lambda name: [str(group)])
    with pytest.raises(EngineUnavailableError):
        probe(tmp_path / "oci", OciSettings())
    assert not group.exists()


def test_doctor_says_what_to_install(nothing_works: Callable[[str, str], Path], tmp_path: Path) -> None:
    del nothing_works
    (check,) = plugin.run_checks(Config(home=str(tmp_path)))
    assert (check.name, check.status) == ("oci.runtime", CheckStatus.FAILED)
    assert "apt-get install crun" in check.remedy


def test_what_was_found_is_kept_until_a_runtime_changes(
    nothing_works: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def seen(runtime: Any, *_: object) -> dict[str, list[str]]:
        tries.append(str(runtime))
        return {**HELD, "swap": ["max"]}

    monkeypatch.setattr(probing, "_look", seen)
    path = nothing_works("crun", "")
    first = probe(tmp_path / "oci", OciSettings())
    assert probe(tmp_path / "oci", OciSettings()) == first
    assert (first.enforced, list(first.missing)) == (frozenset(Feature) - {Feature.SWAP}, [Feature.SWAP])
    path.write_text(path.read_text() + "# newer\n")
    probe(tmp_path / "oci", OciSettings())
    probe(tmp_path / "oci", OciSettings(rootfs="/srv/bots"))
    assert tries == ["crun 9.9"] * 3


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"key": 1}', "\0"])
def test_a_damaged_answer_is_asked_for_again(
    nothing_works: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(probing, "_look", lambda *_: HELD)
    nothing_works("crun", "")
    probe(tmp_path / "oci", OciSettings())
    kept = json.loads(cache_of(tmp_path / "oci").read_bytes())
    cache_of(tmp_path / "oci").write_text(damage or json.dumps({**kept, "missing": {"nosuch": ""}}))
    assert probe(tmp_path / "oci", OciSettings()).missing == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's bots may lack some of it")
def test_doctor_says_what_works_here(probed: Path, state: Path) -> None:
    del probed
    checks = {check.name: check for check in plugin.run_checks(Config(home=str(state.parent)))}
    assert checks["oci.runtime"].status is CheckStatus.OK
    assert "held to the whole strict profile" in checks["oci.isolation"].detail
    assert "each bot has a user id of its own" in checks["oci.users"].detail
