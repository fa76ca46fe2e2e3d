"""What a runtime is asked for: strict, whatever the spec says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.errors import PolicyError
from botdock.model import DEFAULT_LIMITS, Feature, Limits
from botdock.model.limits import MIB, RANGES
from botdock.seccomp import allow_list
from botdock_engine_oci.bundle import INIT, Machine, bundle
from botdock_engine_oci.ids import Ids
from botdock_engine_oci.rootfs import RootFs
from botdock_testing.engine import asked, replaced

ROOT = RootFs(binds={"/usr": "/usr"}, search_path="/usr/bin")
OWN = Ids(user=2_100_005, outside=2_100_005)
MAPPED = Ids(
    user=65532,
    outside=300_000,
    mappings=((0, 1000, 1), (65532, 300_000, 1)),
    group_mappings=((0, 1001, 1), (65532, 300_001, 1)),
)


def made(*, machine: Machine | None = None, ids: Ids = OWN, cgroup: str = "/botdock/one", **fields: Any) -> Any:
    """Return the configuration of a container, from fields of a spec."""
    template, run = replaced(asked(Path("/w")), **fields)
    return bundle(template, run, rootfs=ROOT, machine=machine or Machine(), cgroup=cgroup, ids=ids)


def mounts(config: Any) -> dict[str, Any]:
    return {mount["destination"]: mount for mount in config["mounts"]}


def test_nothing_is_left_of_what_a_container_could_do_to_the_machine() -> None:
    config = made()
    process, linux = config["process"], config["linux"]
    assert set(map(tuple, process["capabilities"].values())) == {()}
    assert len(process["capabilities"]) == 5
    assert (process["noNewPrivileges"], process["terminal"], config["root"]["readonly"]) == (True, False, True)
    assert [space["type"] for space in linux["namespaces"]] == ["pid", "mount", "ipc", "uts", "network", "cgroup"]
    assert not any("path" in space for space in linux["namespaces"]), "each is new"
    assert linux["resources"]["devices"] == [{"allow": False, "access": "rwm"}]
    assert "devices" not in linux, "there are those that every runtime makes"
    assert {"/proc/kcore", "/proc/keys", "/sys/firmware"} <= set(linux["maskedPaths"])
    assert {"/proc/sys", "/proc/sysrq-trigger"} <= set(linux["readonlyPaths"])
    assert "hooks" not in config


def test_the_system_calls_are_those_of_the_docker_engine_for_one_architecture() -> None:
    seccomp = made()["linux"]["seccomp"]
    assert seccomp["architectures"] == ["SCMP_ARCH_X86_64"], "calls of others kill"
    assert seccomp["defaultAction"] == allow_list()["defaultAction"]
    assert [rule["names"] for rule in seccomp["syscalls"]] == [rule["names"] for rule in allow_list()["syscalls"]]


def test_every_limit_is_asked_for() -> None:
    config = made(limits=Limits(memory=100 * MIB, cpus=0.5, pids=7, open_files=64, file_size=2 * MIB, tmpfs=3 * MIB))
    assert config["linux"]["resources"]["memory"] == {"limit": 100 * MIB, "swap": 100 * MIB}
    assert config["linux"]["resources"]["cpu"] == {"quota": 50_000, "period": 100_000}
    assert config["linux"]["resources"]["pids"] == {"limit": 7}
    assert {limit["type"]: (limit["soft"], limit["hard"]) for limit in config["process"]["rlimits"]} == {
        "RLIMIT_NOFILE": (64, 64),
        "RLIMIT_FSIZE": (2 * MIB, 2 * MIB),
        "RLIMIT_CORE": (0, 0),
        "RLIMIT_SIGPENDING": (1024, 1024),
        "RLIMIT_MSGQUEUE": (819_200, 819_200),
        "RLIMIT_MEMLOCK": (65_536, 65_536),
    }
    assert {f"size={3 * MIB}", "nr_inodes=1024", "noexec", "nosuid", "nodev"} <= set(mounts(config)["/tmp"]["options"])
    assert f"size={3 * MIB}" in mounts(config)["/dev/shm"]["options"]
    assert made(machine=Machine(cgroup_version=1))["linux"]["resources"]["memory"]["swappiness"] == 0


def test_what_cannot_be_enforced_is_not_asked_for() -> None:
    config = made(machine=Machine(enforced=frozenset()), ids=MAPPED, cgroup="")
    assert set(config["linux"]["resources"]) == {"devices"}
    assert not {"seccomp", "cgroupsPath"} & set(config["linux"])
    without_swap = made(machine=Machine(enforced=frozenset(Feature) - {Feature.SWAP}))
    assert set(without_swap["linux"]["resources"]["memory"]) == {"limit"}


def test_a_hard_limit_of_this_process_is_never_exceeded() -> None:
    config = made(machine=Machine(rlimits={"RLIMIT_NOFILE": 100}))
    assert {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100} in config["process"]["rlimits"]


def test_only_the_result_can_be_written_and_nothing_that_is_shown_has_rights() -> None:
    shown = [mount for mount in made(result="/w/result")["mounts"] if mount["type"] == "bind"]
    assert [(mount["source"], mount["destination"]) for mount in shown if "ro" not in mount["options"]] == [
        ("/w/result", "/botdock/result")
    ]
    assert {"/usr", "/bot", "/botdock/program", "/botdock/context"} <= {mount["destination"] for mount in shown}
    assert all({"bind", "nosuid", "nodev"} <= set(mount["options"]) for mount in shown)


def test_the_environment_is_a_home_and_what_was_given() -> None:
    usual = ["PATH=/usr/bin", "HOME=/tmp", "TMPDIR=/tmp", "USER=bot", "LOGNAME=bot", "LANG=C.UTF-8"]
    assert made(environment={"A": "1=2"})["process"]["env"] == [*usual, "A=1=2"]


def test_the_program_is_a_child_of_an_init_and_its_words_are_data() -> None:
    command = ("/bin/echo", "$(touch /x)", "; exit 7")
    assert made(command=command)["process"]["args"] == ["/bin/sh", "-c", INIT, "sh", *command, "/botdock/context"]


def test_a_user_of_its_own_needs_no_user_namespace_and_a_mapped_one_has_it() -> None:
    assert made()["process"]["user"] == {"uid": 2_100_005, "gid": 2_100_005, "umask": 0o022}
    linux = made(ids=MAPPED)["linux"]
    assert {"type": "user"} in linux["namespaces"]
    assert linux["uidMappings"] == [
        {"containerID": 0, "hostID": 1000, "size": 1},
        {"containerID": 65532, "hostID": 300_000, "size": 1},
    ]
    assert [mapping["hostID"] for mapping in linux["gidMappings"]] == [1001, 300_001]


def test_the_root_of_a_user_namespace_gets_no_tmpfs_of_cgroups_that_it_could_fill() -> None:
    assert "/sys/fs/cgroup" not in mounts(made(machine=Machine(cgroup_version=1), ids=MAPPED))
    assert "/sys/fs/cgroup" in mounts(made(machine=Machine(cgroup_version=2), ids=MAPPED))


def test_secrets_are_in_memory_that_the_bot_alone_can_enter() -> None:
    options = mounts(made(secrets_target="/run/secrets"))["/run/secrets"]["options"]
    assert {"mode=0700", "uid=2100005", "gid=2100005", "noexec"} <= set(options)
    assert "/run/secrets" not in mounts(made())


def test_a_network_is_refused_by_name() -> None:
    with pytest.raises(PolicyError, match="'bridge' is not there") as caught:
        made(network="bridge")
    assert "--engine docker" in str(caught.value.hint)


def within(name: str) -> st.SearchStrategy[Any]:
    low, high = RANGES[name]
    if name == "cpus":
        return st.floats(low, high, allow_nan=False)
    return st.integers(int(low), int(high))


@given(
    limits=st.fixed_dictionaries({name: within(name) for name in attrs.asdict(DEFAULT_LIMITS)}),
    enforced=st.sets(st.sampled_from(Feature)),
    ids=st.sampled_from((OWN, MAPPED)),
    version=st.sampled_from((1, 2)),
    secrets=st.sampled_from(("", "/run/secrets")),
)
def test_whatever_is_asked_for_the_rest_of_the_profile_is_the_same(
    limits: dict[str, Any], enforced: set[Feature], ids: Ids, version: int, secrets: str
) -> None:
    machine = Machine(enforced=frozenset(enforced), cgroup_version=version)
    config = made(limits=Limits(**limits), machine=machine, ids=ids, secrets_target=secrets)
    assert json.loads(json.dumps(config)) == config
    assert config["root"]["readonly"]
    assert config["process"]["noNewPrivileges"]
    assert not any(config["process"]["capabilities"].values())
    assert ("seccomp" in config["linux"]) is (Feature.SECCOMP in enforced)
    resources = config["linux"]["resources"]
    assert ("pids" in resources, "cpu" in resources) == (Feature.PIDS in enforced, Feature.CPU in enforced)
    assert ("memory" in resources) is (Feature.MEMORY in enforced)
    for limit in config["process"]["rlimits"]:
        assert limit["soft"] == limit["hard"] >= 0
    for mount in config["mounts"]:
        assert "nosuid" in mount["options"]
        assert mount["type"] != "tmpfs" or any(option.startswith("size=") for option in mount["options"])
