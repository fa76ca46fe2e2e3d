"""The limits of a bot as its own control group has them, of cgroup v2 or of v1, on each engine that isolates."""

from __future__ import annotations

from collections.abc import Callable

from botdock import DockerRunner, Executable, Limits
from botdock_engine_docker import capabilities as docker_engine
from botdock_engine_oci import checks as oci_engine

MIB = 1024 * 1024
LOOK = """
cd /sys/fs/cgroup
if [ -e cgroup.controllers ]; then
    echo v2 $(cat memory.max memory.swap.max pids.max cpu.max)
else
    echo v1 $(cat memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us)
fi
"""


def test_a_bot_s_group_has_the_limits_that_were_asked_for(
    isolating_runner: DockerRunner, make_bot: Callable[..., Executable]
) -> None:
    limits = Limits(memory=96 * MIB, pids=77, cpus=0.5)
    version, *found = isolating_runner.run(make_bot(LOOK, runtime="bash", limits=limits)).output.split()
    memory = str(96 * MIB)
    # v1 counts memory and swap together
    assert found == ([memory, "0", "77", "50000", "100000"] if version == "v2" else [memory, memory, "77", "50000"])


def test_doctor_finds_the_whole_profile_enforced(isolating_runner: DockerRunner) -> None:
    config = isolating_runner.config
    found = (docker_engine if config.engine == "docker" else oci_engine).checks(config)
    assert f"{config.engine}.isolation" in {check.name for check in found}
