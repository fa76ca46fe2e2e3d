"""Where the control groups of a container are, by what is mounted."""

from __future__ import annotations

from botdock_engine_oci.cgroups import folders_of, group_of

V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = (
    "31 24 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"
    "32 31 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    "33 31 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "34 31 0:30 / /odd\\040place/pids rw - cgroup cgroup rw,pids\n"
)


def test_version_2_has_one_folder() -> None:
    assert folders_of("b", V2) == ["/sys/fs/cgroup/botdock/b"]


def test_each_hierarchy_of_version_1_has_one_and_the_other_version_beside_it() -> None:
    places = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory", "/odd place/pids"]
    assert folders_of("b", HYBRID) == [place + group_of("b") for place in places]


def test_without_control_groups_there_is_none() -> None:
    assert folders_of("b", "22 1 0:20 / /proc rw - proc proc rw\n") == []
