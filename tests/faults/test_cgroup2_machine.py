"""A machine with cgroup v2 alone, emulated: Docker and the oci engine hold bots there as they do here."""

from __future__ import annotations

import pytest

from testbed.console import TestbedError
from testbed.drills import FULL
from testbed.fixtures import unavailable
from testbed.machine import run_tests

LIMITS = "tests/integration/test_limits_in_cgroups.py"
OUTCOMES, APART = "tests/integration/test_outcomes.py", "tests/integration/test_outcomes_apart.py"
LIFE = "plugins/oci_engine/tests/test_oci_engine_life.py"
ORDINARY = "tests/integration/test_ordinary_user.py"
ATTACKS, KERNEL = "tests/integration/test_attacks.py", "tests/integration/test_kernel_attacks.py"
PART = (
    LIMITS,
    f"{OUTCOMES}::test_succeeded",
    f"{OUTCOMES}::test_timed_out",
    f"{OUTCOMES}::test_stopped_and_the_bot_sees_the_signal",
    f"{OUTCOMES}::test_oom_killed",
    f"{APART}::test_a_child_that_dies_of_memory_is_noted_and_the_bots_own_code_is_the_outcome",
    f"{LIFE}::test_it_is_recorded_that_memory_was_not_too_much",
    f"{LIFE}::test_a_stop_without_grace_ends_all_of_it_and_a_removal_leaves_nothing",
    f"{LIFE}::test_a_bot_whose_shim_is_killed_is_lost_and_its_removal_leaves_nothing",
    f"{ATTACKS}::test_a_fork_bomb_ends_at_the_limit[crun]",
    f"{ATTACKS}::test_a_memory_bomb_of_many_processes_stays_within_the_limit[runc]",
    f"{ATTACKS}::test_nothing_but_tmp_can_be_written[crun]",
    f"{ATTACKS}::test_nothing_of_the_host_is_to_be_seen[runc]",
    f"{KERNEL}::test_what_one_bot_takes_of_the_kernel_its_neighbour_does_not_miss[crun]",
    f"{ORDINARY}::test_a_bot_is_held_to_all_limits_where_cgroups_were_given_to_the_user[runc]",
    "tests/faults/test_restart_daemon_away.py",
    "tests/faults/test_runner_killed.py::test_bots_end_as_if_their_runner_had_not_been_killed_again_and_again[docker-10]",
)
"""On both engines, the oci engine with crun and with runc."""


@pytest.mark.skipif(not FULL, reason="booting another machine takes minutes: `make drills`")
def test_a_machine_with_cgroup_v2_alone_holds_what_this_one_does() -> None:
    try:
        ended = run_tests(*PART, timeout=1800)
    except TestbedError as error:
        unavailable(error)
    if ended.is_late and " FAILED" not in ended.output:
        unavailable(TestbedError(f"this machine is too busy to emulate another:\n{ended.output[-2000:]}"))
    assert ended.exit_code == 0, ended.output[-8000:]
    assert " skipped" not in ended.output, ended.output[-8000:]
