"""A machine with cgroup v2 alone, emulated: Docker's limits, stops and deaths are there what they are here."""

from __future__ import annotations

import pytest

from testbed.console import TestbedError
from testbed.drills import FULL
from testbed.fixtures import unavailable
from testbed.machine import run_tests

OUTCOMES, APART = "tests/integration/test_outcomes.py", "tests/integration/test_outcomes_apart.py"
LIMITS = "tests/integration/test_limits_in_cgroups.py"
DOCKER = (
    f"{LIMITS}::test_doctor_finds_the_whole_profile_enforced[docker]",
    f"{LIMITS}::test_a_bot_s_group_has_the_limits_that_were_asked_for[docker]",
    f"{OUTCOMES}::test_succeeded[docker]",
    f"{OUTCOMES}::test_timed_out[docker]",
    f"{OUTCOMES}::test_stopped_and_the_bot_sees_the_signal[docker]",
    f"{OUTCOMES}::test_oom_killed[docker]",
    f"{APART}::test_a_child_that_dies_of_memory_is_noted_and_the_bots_own_code_is_the_outcome",
)


@pytest.mark.skipif(not FULL, reason="booting another machine takes minutes: `make drills`")
def test_a_machine_with_cgroup_v2_alone_holds_what_this_one_does() -> None:
    try:
        ended = run_tests(*DOCKER)
    except TestbedError as error:
        unavailable(error)
    assert ended.exit_code == 0, ended.output[-8000:]
    assert " skipped" not in ended.output, ended.output[-8000:]
