"""What the daemon says that it can enforce, and what `botdock doctor` makes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from botdock.config import Config
from botdock.errors import EngineUnavailableError
from botdock.model import Check, CheckStatus, Feature
from botdock_engine_docker import capabilities
from botdock_engine_docker.engine import DockerEngine
from botdock_engine_docker.settings import DockerSettings


def info(**changed: Any) -> dict[str, Any]:
    everything = {
        "MemoryLimit": True,
        "SwapLimit": True,
        "CpuCfsQuota": True,
        "PidsLimit": True,
        "NCPU": 4,
        "Architecture": "aarch64",
        "CgroupVersion": "2",
        "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"],
        "LiveRestoreEnabled": True,
        "DockerRootDir": "/",
    }
    return {**everything, **changed}


def examine(fake_docker: Any, **fields: Any) -> dict[str, Check]:
    config = Config(options={"docker": DockerSettings(host=fake_docker.url, **fields)})
    return {check.name: check for check in capabilities.checks(config)}


def test_a_daemon_that_enforces_everything_isolates(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.says("GET", "/info", info())
    capabilities = engine.capabilities()
    assert capabilities.enforced == frozenset(Feature)
    assert capabilities.missing == {}
    assert capabilities.engine == "docker"
    assert capabilities.version == "Docker 20.10.24 (API 1.41, cgroup v2)"


def test_the_daemon_is_looked_at_once(fake_docker: Any, engine: DockerEngine) -> None:
    engine.capabilities()
    engine.capabilities()
    assert fake_docker.targets("GET") == ["/version", "/info"]


@pytest.mark.parametrize(
    ("changed", "feature", "remedy"),
    [
        ({"MemoryLimit": False}, Feature.MEMORY, "cgroup"),
        ({"SwapLimit": False}, Feature.SWAP, "swapaccount=1"),
        ({"CpuCfsQuota": False}, Feature.CPU, "cgroup"),
        ({"PidsLimit": False}, Feature.PIDS, "cgroup"),
        ({"SecurityOptions": ["name=seccomp,profile=unconfined"], "Architecture": "s390x"}, Feature.SECCOMP, "seccomp"),
        ({"SecurityOptions": None}, Feature.SECCOMP, "seccomp"),
    ],
)
def test_what_is_missing_has_a_reason_and_a_remedy(
    fake_docker: Any, engine: DockerEngine, changed: dict[str, Any], feature: Feature, remedy: str
) -> None:
    fake_docker.says("GET", "/info", info(**changed))
    capabilities = engine.capabilities()
    assert set(capabilities.missing) == {feature}
    assert remedy in capabilities.missing[feature]
    assert capabilities.enforced == frozenset(Feature) - {feature}
    check = examine(fake_docker)[f"docker.{feature}"]
    assert check.status is CheckStatus.FAILED
    assert remedy in check.remedy


def test_an_old_daemon_does_not_say_its_cgroup_version(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.says("GET", "/info", info(CgroupVersion=""))
    assert "cgroup v1" in engine.capabilities().version


def test_windows_containers_are_none_of_ours(fake_docker: Any, engine: DockerEngine) -> None:
    said = {"Version": "28", "ApiVersion": "1.47", "MinAPIVersion": "1.24", "Os": "windows"}
    fake_docker.says("GET", "/version", said)
    with pytest.raises(EngineUnavailableError, match="windows containers"):
        engine.capabilities()


def test_an_answer_that_is_no_info_is_refused(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.says("GET", "/info", ["no"])
    with pytest.raises(EngineUnavailableError, match="not a Docker engine"):
        engine.capabilities()


def test_doctor_finds_a_good_daemon_good(fake_docker: Any) -> None:
    fake_docker.says("GET", "/info", info())
    found = examine(fake_docker)
    assert set(found) == {"docker.engine", "docker.isolation", "docker.seccomp", "docker.disk", "docker.live_restore"}
    assert found["docker.engine"].detail == f"Docker 20.10.24 (API 1.41, cgroup v2) at {fake_docker.url}"
    assert found["docker.seccomp"].detail == "botdock's own profile"
    del found["docker.disk"]  # this machine's may be full
    assert {check.status for check in found.values()} == {CheckStatus.OK}


def test_doctor_says_what_else_could_be_better(fake_docker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "LOW_DISK", 2**80)
    options = ["name=seccomp,profile=default", "name=selinux"]
    fake_docker.says("GET", "/info", info(LiveRestoreEnabled=False, SecurityOptions=options))
    found = examine(fake_docker)
    for name, remedy in {"live_restore": "daemon.json", "selinux": "chcon", "disk": "docker system prune"}.items():
        assert found[f"docker.{name}"].status is CheckStatus.WARNING
        assert remedy in found[f"docker.{name}"].remedy


def test_doctor_says_what_it_was_tried_on_where_that_is_another_docker(fake_docker: Any) -> None:
    fake_docker.says("GET", "/info", info())
    fake_docker.says(
        "GET", "/version", {"Version": "28.5.1", "ApiVersion": "1.51", "MinAPIVersion": "1.24", "Os": "linux"}
    )
    assert examine(fake_docker)["docker.engine"].detail.endswith("; botdock was tried on 20.10 and 26.1")


def test_doctor_counts_what_may_be_written_and_the_files(fake_docker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    room = SimpleNamespace(f_bavail=2**20, f_frsize=4096, f_files=10**6, f_favail=10**6)
    monkeypatch.setattr("botdock_engine_docker.capabilities.os.statvfs", lambda path: room)
    for running, files, expected in ((0, 10**6, {"disk": "ok"}), (60, 9, {"disk": "warning", "files": "warning"})):
        room.f_favail = files
        fake_docker.says("GET", "/info", info(ContainersRunning=running))
        found = {name: check.status for name, check in examine(fake_docker).items()}
        disks = {name: found[f"docker.{name}"] for name in ("disk", "files") if f"docker.{name}" in found}
        assert disks == expected


def test_doctor_says_which_seccomp_profile_is_in_force(fake_docker: Any, tmp_path: Path) -> None:
    fake_docker.says("GET", "/info", info(SecurityOptions=["name=seccomp,profile=unconfined"]))
    assert examine(fake_docker)["docker.seccomp"].detail == "botdock's own profile"
    (tmp_path / "own.json").write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    own = examine(fake_docker, seccomp=str(tmp_path / "own.json"))["docker.seccomp"].detail
    assert own == f"the operator's own profile, {tmp_path}/own.json"
    fake_docker.says("GET", "/info", info(Architecture="s390x"))
    check = examine(fake_docker)["docker.seccomp"]
    assert (check.status, check.detail.split(":")[0]) == (CheckStatus.WARNING, "the daemon's default profile")
    for text in ("{", "[" * 100_000, "[]", "{}", None):
        (tmp_path / "own.json").unlink() if text is None else (tmp_path / "own.json").write_text(text)
        (check,) = examine(fake_docker, seccomp=str(tmp_path / "own.json")).values()
        assert (check.name, check.status) == ("docker.config", CheckStatus.FAILED)
        assert "docker.seccomp" in check.detail


def test_doctor_says_what_a_daemon_elsewhere_costs(fake_docker: Any) -> None:
    fake_docker.says("GET", "/info", info(SystemTime=(datetime.now(UTC) - timedelta(minutes=5)).isoformat()))
    found = examine(fake_docker, shared_disk=False)
    assert found["docker.remote"].status is CheckStatus.OK
    assert "each run sends its code" in found["docker.remote"].detail
    assert found["docker.clock"].status is CheckStatus.WARNING
    assert "+300 s ahead" in found["docker.clock"].detail
    assert "docker.disk" not in found
    assert "docker.remote" not in examine(fake_docker)


def test_doctor_warns_of_a_port_that_all_may_reach(fake_remote_docker: Any) -> None:
    daemon = fake_remote_docker(None)
    daemon.says("GET", "/info", info(SystemTime=datetime.now(UTC).isoformat()))
    check = examine(daemon)["docker.remote"]
    assert (check.status, "nothing is encrypted" in check.detail) == (CheckStatus.WARNING, True)
    assert "--tlsverify" in check.remedy


def test_a_disk_that_may_not_be_looked_at_is_not_mentioned(fake_docker: Any, tmp_path: Path) -> None:
    fake_docker.says("GET", "/info", info(DockerRootDir=str(tmp_path / "absent")))
    assert "docker.disk" not in examine(fake_docker)


def test_doctor_repeats_what_is_wrong_with_the_configuration(fake_docker: Any) -> None:
    fake_docker.url = "tcp://docker"
    (check,) = examine(fake_docker).values()
    assert (check.name, check.status) == ("docker.config", CheckStatus.FAILED)
    assert "needs a host and a port" in check.detail
