"""A newer Docker than the installed one, tried by chance; `make drills` runs contract, attacks and outcomes on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.provision import may_own_a_daemon
from testbed.suites import NEWER, VARIABLE, wanted_suite

ROOT = Path(__file__).parents[2]
PART = (
    "plugins/docker_engine/tests/real/test_docker_engine_real.py::test_the_kept_log_of_long_lines_is_exact",
    "tests/integration/test_attacks.py::test_there_is_no_network",
    "tests/integration/test_attacks.py::test_nothing_but_tmp_can_be_written",
    "tests/integration/test_attacks.py::test_a_fork_bomb_ends_at_the_limit",
    "tests/integration/test_outcomes.py::test_the_death_of_a_child_by_memory_is_evidence_and_not_the_outcome",
    "tests/integration/test_runtimes_in_docker.py::test_a_bot_sees_what_it_was_given",
)


@pytest.mark.skipif(bool(wanted_suite()), reason="this session runs on it")
@pytest.mark.skipif(not may_own_a_daemon(), reason="only root can start a Docker of its own")
@pytest.mark.docker
@pytest.mark.sampled(4)
def test_a_newer_docker_holds_what_the_installed_one_does() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", *PART],
        cwd=ROOT,
        env={**environment, VARIABLE: NEWER},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    if " passed" not in done.stdout:
        pytest.skip(f"it could not be had here:\n{done.stdout[-1000:]}")
