"""What is said to be enforced is what a container that was tried was held to."""

from __future__ import annotations

import pytest

from botdock.model import Feature
from botdock_engine_kubernetes.capabilities import missing_features

HELD = {
    "tool": ["python3"],
    "status": [
        "Uid:\t2000005\t2000005\t2000005\t2000005",
        *(f"Cap{kind}:\t0000000000000000" for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")),
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "Seccomp_filters:\t1",
    ],
    "mounts": [
        "115 69 0:51 / / ro,relatime - overlay overlay rw,lowerdir=/ctd/4/fs",
        "131 115 0:39 / /tmp rw,noexec,relatime - tmpfs tmpfs rw,size=1024k,noswap",
        "132 115 254:0 /kubelet/pods/c866/volumes/code /bot ro,relatime - ext4 /dev/vda rw",
    ],
    "limits": [
        "Max file size             1048576              1048576              bytes     ",
        "Max processes             24                   24                   processes ",
        "Max open files            64                   64                   files     ",
    ],
    "swaps": ["Filename\tType\tSize\tUsed\tPriority", "/swapfile file 1000000 0 -2"],
    "memory": ["100663296"],
    "swap": ["0"],
    "cpu": ["50000 100000"],
}
"""What a container writes that is held to the whole profile, with cgroup v2."""
FREE = {"tool": ["python3"], "reached": ["10.96.0.1:443"]}


def lacking(topic: str, before: str, after: str) -> dict[str, list[str]]:
    """Return what a container writes that lacks something."""
    assert any(before in line for line in HELD[topic])
    return {**HELD, topic: [line.replace(before, after) for line in HELD[topic]]}


LACKING = [
    (Feature.NETWORK, {**HELD, "reached": ["10.0.0.1:10250"]}),
    (Feature.NON_ROOT, lacking("status", "2000005", "0")),
    (Feature.READ_ONLY_ROOT, lacking("mounts", "/ ro,", "/ rw,")),
    (Feature.READ_ONLY_ROOT, {**HELD, "written": ["/"]}),
    (Feature.READ_ONLY_CODE, lacking("mounts", "/bot ro,", "/bot rw,")),
    (Feature.READ_ONLY_CODE, {**HELD, "written": ["/bot/"]}),
    (Feature.CAPABILITIES, lacking("status", "CapBnd:\t0000000000000000", "CapBnd:\t0000000000000400")),
    (Feature.NO_NEW_PRIVILEGES, lacking("status", "NoNewPrivs:\t1", "NoNewPrivs:\t0")),
    (Feature.SECCOMP, lacking("status", "Seccomp:\t2", "Seccomp:\t0")),
    (Feature.MEMORY, lacking("memory", "100663296", "max")),
    (Feature.SWAP, lacking("swap", "0", "max")),
    (Feature.CPU, lacking("cpu", "50000", "max")),
    (Feature.PIDS, lacking("limits", "24  ", "96365  ")),
    (Feature.PIDS, {**HELD, "forked": ["48"]}),
    (Feature.OPEN_FILES, lacking("limits", "64  ", "1048576  ")),
    (Feature.FILE_SIZE, lacking("limits", "1048576  ", "unlimited  ")),
    (Feature.TMPFS, lacking("mounts", "noexec,", "")),
    (Feature.TMPFS, lacking("mounts", "size=1024k", "size=8192k")),
]


def test_a_container_that_is_held_to_all_of_it_misses_nothing() -> None:
    assert missing_features(HELD, FREE) == {}
    v1 = {**HELD, "swap": ["100663296"], "cpu": ["50000"]}
    assert missing_features(v1, FREE) == {}


def test_a_node_without_swap_needs_no_limit_of_it() -> None:
    assert missing_features({**HELD, "swap": [], "swaps": HELD["swaps"][:1]}, FREE) == {}


@pytest.mark.parametrize(("feature", "seen"), LACKING)
def test_each_feature_is_missed_by_name_where_a_container_lacks_it(
    feature: Feature, seen: dict[str, list[str]]
) -> None:
    missing = missing_features(seen, FREE)
    assert list(missing) == [feature]
    assert missing[feature].endswith(".")


def test_a_container_that_says_nothing_misses_everything() -> None:
    assert set(missing_features({}, {})) == set(Feature)


def test_a_policy_that_no_agent_enforces_is_missed_with_what_was_reached_and_what_mends_it() -> None:
    missing = missing_features({**HELD, "reached": ["10.0.0.1:10250", "10.96.0.1:443"]}, FREE)
    assert "10.0.0.1:10250 and 10.96.0.1:443" in missing[Feature.NETWORK]
    assert "Calico or Cilium" in missing[Feature.NETWORK]


def test_that_nothing_was_reached_proves_nothing_where_nothing_can_be_reached_or_tried() -> None:
    assert "could not be tried" in missing_features(HELD, {"tool": ["nc"]})[Feature.NETWORK]
    without = {**HELD, "tool": []}
    assert "none of python3, node, bash and nc" in missing_features(without, FREE)[Feature.NETWORK]


def test_what_no_volume_of_kubernetes_can_is_told_as_that() -> None:
    assert "noexec" in missing_features(lacking("mounts", "noexec,", ""), FREE)[Feature.TMPFS]
