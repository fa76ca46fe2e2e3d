"""What Docker is asked to create: strict, whatever the spec says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botdock.errors import PolicyError
from botdock.model import DEFAULT_LIMITS, Feature, Limits
from botdock.model.limits import RANGES
from botdock_engine_docker.profile import Machine, Tuning, create_request, own_profile
from botdock_testing.engine import Asked

MIB = 1024 * 1024
USUAL = ["USER=bot", "LOGNAME=bot", "LANG=C.UTF-8", "TINI_KILL_PROCESS_GROUP=1"]


@pytest.fixture
def request_of(make_spec: Callable[..., Asked]) -> Callable[..., dict[str, Any]]:
    """Returns a function from fields of a spec to what Docker is asked."""

    def make(
        *, machine: Machine | None = None, tuning: Tuning | None = None, volumes: tuple[str, ...] = (), **fields: Any
    ) -> dict[str, Any]:
        machine, tuning = machine or Machine(), tuning or Tuning()
        return create_request(*make_spec(**fields), user=2000005, machine=machine, tuning=tuning, volumes=volumes)

    return make


def host(request: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = request["HostConfig"]
    return config


def test_nothing_is_left_of_what_a_container_could_do_to_the_host(request_of: Callable[..., Any]) -> None:
    config = host(request_of())
    assert config["Privileged"] is False
    assert config["CapDrop"] == ["ALL"]
    assert config["SecurityOpt"] == ["no-new-privileges", f"seccomp={own_profile()}"]
    assert config["ReadonlyRootfs"] is True
    assert config["NetworkMode"] == "none"
    assert (config["IpcMode"], config["CgroupnsMode"]) == ("private", "private")
    assert not any(config[name] for name in ("CapAdd", "Devices", "DeviceRequests", "GroupAdd", "PidMode", "UTSMode"))
    assert "Binds" not in config


def test_every_limit_is_asked_for(request_of: Callable[..., Any]) -> None:
    limits = Limits(
        memory=100 * MIB, cpus=0.5, pids=7, output=MIB, open_files=64, file_size=2 * MIB, tmpfs=3 * MIB, result=99
    )
    config = host(request_of(limits=limits))
    assert config["Memory"] == config["MemorySwap"] == 100 * MIB
    assert (config["NanoCpus"], config["PidsLimit"], config["OomKillDisable"]) == (500_000_000, 7, False)
    assert config["ShmSize"] == 3 * MIB
    assert config["Ulimits"] == [
        {"Name": "nofile", "Soft": 64, "Hard": 64},
        {"Name": "fsize", "Soft": 2 * MIB, "Hard": 2 * MIB},
        {"Name": "core", "Soft": 0, "Hard": 0},
        {"Name": "sigpending", "Soft": 1024, "Hard": 1024},
        {"Name": "msgqueue", "Soft": 819_200, "Hard": 819_200},
        {"Name": "memlock", "Soft": 65_536, "Hard": 65_536},
    ]
    assert config["Tmpfs"] == {"/tmp": f"rw,noexec,nosuid,nodev,mode=1777,size={3 * MIB},nr_inodes=1024"}


def test_the_log_on_the_hosts_disk_is_bounded_and_holds_more_than_the_output_limit(
    request_of: Callable[..., Any],
) -> None:
    log = host(request_of(limits=attrs.evolve(DEFAULT_LIMITS, output=10 * MIB)))["LogConfig"]
    assert log == {"Type": "local", "Config": {"max-size": str(21 * MIB), "max-file": "2", "compress": "false"}}


def test_the_images_own_ideas_are_overridden(request_of: Callable[..., Any]) -> None:
    request = request_of()
    assert (request["Entrypoint"], request["Cmd"]) == (
        ["/bin/sh"],
        ["/botdock/program/entrypoint.sh", "/botdock/context"],
    )
    assert (request["Healthcheck"], request["StopSignal"]) == ({"Test": ["NONE"]}, "SIGTERM")
    assert (request["User"], request["WorkingDir"]) == ("2000005:2000005", "/bot")
    assert (request["Hostname"], request["Tty"], request["OpenStdin"]) == ("botdock", False, False)
    assert host(request)["Init"] is True
    assert host(request)["RestartPolicy"] == {"Name": "no"}


def test_the_volumes_of_an_image_become_sized_and_temporary(request_of: Callable[..., Any]) -> None:
    tmpfs = host(request_of(volumes=("/data/", "/tmp", "/bot")))["Tmpfs"]
    assert set(tmpfs) == {"/tmp", "/data"}
    assert tmpfs["/data"] == tmpfs["/tmp"]


def test_the_mounts_are_read_only_but_for_the_result(request_of: Callable[..., Any]) -> None:
    mounts = host(request_of())["Mounts"]
    assert [(mount["Target"], mount["ReadOnly"]) for mount in mounts] == [
        ("/bot", True),
        ("/botdock/program", True),
        ("/botdock/context", True),
        ("/botdock/result", False),
        ("/etc/passwd", True),
        ("/etc/group", True),
    ]
    assert all(mount["Type"] == "bind" for mount in mounts)
    assert all(mount["BindOptions"] == {"Propagation": "private", "NonRecursive": True} for mount in mounts)


def test_the_environment_is_a_home_and_what_was_given(request_of: Callable[..., Any]) -> None:
    assert request_of(environment={"A": "1=2"})["Env"] == ["HOME=/tmp", "TMPDIR=/tmp", *USUAL, "A=1=2"]
    assert request_of(environment={"HOME": "/bot"})["Env"] == ["HOME=/bot", "TMPDIR=/tmp", *USUAL]


def test_the_hosts_resolver_is_shown_only_where_there_is_a_network(request_of: Callable[..., Any]) -> None:
    assert host(request_of())["Dns"] == ["127.0.0.1"]
    assert "Dns" not in host(request_of(network="market"))
    assert host(request_of(network="market"))["NetworkMode"] == "market"


def test_the_operators_settings_are_passed_on(request_of: Callable[..., Any]) -> None:
    config = host(request_of(tuning=Tuning(cpu_shares=512, runtime="runsc")))
    assert (config["CpuShares"], config["Runtime"]) == (512, "runsc")
    assert not {"CpuShares", "Runtime"} & set(host(request_of()))


def test_no_more_processors_are_asked_for_than_there_are(request_of: Callable[..., Any]) -> None:
    limits = attrs.evolve(DEFAULT_LIMITS, cpus=8.0)
    assert host(request_of(limits=limits, machine=Machine(cpus=2)))["NanoCpus"] == 2_000_000_000
    assert host(request_of(limits=limits, machine=Machine(cpus=0)))["NanoCpus"] == 8_000_000_000


@pytest.mark.parametrize(
    ("lacks", "names"),
    [
        (Feature.MEMORY, {"Memory", "MemorySwap"}),
        (Feature.SWAP, {"MemorySwap"}),
        (Feature.CPU, {"NanoCpus"}),
        (Feature.PIDS, {"PidsLimit"}),
    ],
)
def test_what_cannot_be_enforced_is_not_asked_for(
    request_of: Callable[..., Any], lacks: Feature, names: set[str]
) -> None:
    everything = set(host(request_of()))
    rest = set(host(request_of(machine=Machine(enforced=frozenset(Feature) - {lacks}))))
    assert everything - rest == names


def test_swappiness_is_a_knob_of_cgroup_v1(request_of: Callable[..., Any]) -> None:
    assert host(request_of(machine=Machine(cgroup_version=1)))["MemorySwappiness"] == 0
    assert "MemorySwappiness" not in host(request_of(machine=Machine(cgroup_version=2)))


def test_the_seccomp_profile_is_the_operators_or_ours_and_the_daemons_where_ours_does_not_fit(
    request_of: Callable[..., Any],
) -> None:
    def options(**changed: Any) -> list[str]:
        found: list[str] = host(request_of(**changed))["SecurityOpt"]
        return found[1:]

    assert options(tuning=Tuning(seccomp="{}")) == ["seccomp={}"]
    assert options(machine=Machine(architecture="s390x")) == []
    assert options(machine=Machine(enforced=frozenset(Feature) - {Feature.SECCOMP})) == []


def test_a_daemon_that_maps_users_has_those_below_65536_alone() -> None:
    wide, narrow, maps = Tuning(), Tuning(users=range(5000, 5004)), Machine(maps_users=True)
    assert (wide.users_on(Machine()), narrow.users_on(Machine())) == (wide.users, narrow.users)
    assert (wide.users_on(maps), narrow.users_on(maps)) == (range(1000, 65534), narrow.users)


@pytest.mark.parametrize("network", ["host", "container:other", ""])
def test_a_network_that_is_not_its_own_is_refused(request_of: Callable[..., Any], network: str) -> None:
    with pytest.raises(PolicyError, match="not its own"):
        request_of(network=network)


texts = st.text(max_size=20)
numbers: dict[str, Any] = {
    name: st.floats(low, high) if name == "cpus" else st.integers(int(low), int(high))
    for name, (low, high) in RANGES.items()
}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(texts, texts, max_size=4),
    st.lists(texts, min_size=1, max_size=4),
    st.builds(Limits, **numbers),
    st.lists(st.text(alphabet="ab/", min_size=1, max_size=5), max_size=3),
)
def test_no_spec_loosens_the_profile(
    request_of: Callable[..., Any],
    environment: dict[str, str],
    command: list[str],
    limits: Limits,
    volumes: list[str],
) -> None:
    strict = host(request_of())
    request = request_of(environment=environment, command=tuple(command), limits=limits, volumes=tuple(volumes))
    config = host(request)
    varying = {"Memory", "MemorySwap", "NanoCpus", "PidsLimit", "ShmSize", "Ulimits", "LogConfig", "Tmpfs"}
    assert {name: value for name, value in config.items() if name not in varying} == {
        name: value for name, value in strict.items() if name not in varying
    }
    assert config["Memory"] == config["MemorySwap"] == limits.memory
    assert all("noexec,nosuid,nodev" in options for options in config["Tmpfs"].values())
    assert [*request["Entrypoint"], *request["Cmd"]] == [*command, "/botdock/context"]
