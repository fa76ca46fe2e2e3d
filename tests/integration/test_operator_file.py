"""The operator's file at its real place: in a mount name space whose `/etc` is a copy of the machine's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COPY = "mount -t tmpfs none mnt && cp -a /etc mnt/etc && mount --bind mnt/etc /etc && mkdir -p /etc/botdock"
POLICY = "/etc/botdock/policy.toml"
Shell = Callable[[str], str]


@pytest.fixture
def on_a_machine(tmp_path: Path, clean_environment: dict[str, str]) -> Shell:
    """Return a function that runs shell commands on a machine whose operator has bounded the wall time."""
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this user may not make a mount name space")
    (tmp_path / "mnt").mkdir()
    (tmp_path / "bot.sh").write_text("echo ran\n")
    bin_folder = str(Path(sys.executable).parent)
    environment = {**clean_environment, "BOTDOCK_HOME": str(tmp_path / "home")}
    environment["PATH"] = f"{bin_folder}:{environment['PATH']}"

    def run(script: str) -> str:
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", f"{COPY} && printf '[policy]\\nmax_timeout = 60' >{POLICY} && {script}"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.stdout + done.stderr

    return run


RUN = "botdock run bot.sh --engine process --timeout"


def test_no_door_of_the_command_leads_past_it(on_a_machine: Shell) -> None:
    doors = [
        f"{RUN} 2m --set policy.max_timeout=0",
        f"BOTDOCK_POLICY__MAX_TIMEOUT=0 {RUN} 2m",
        f"BOTDOCK_POLICY=$PWD/mine.toml {RUN} 2m",
        "botdock start bot.sh --engine process --timeout 2m",
    ]
    told = on_a_machine(f"printf '[policy]' >mine.toml; {'; '.join(doors)}; {RUN} 1m")
    assert told.count("timeout: 120.0 s is more than the 60.0 s that the policy allows") == len(doors), told
    assert told.count(f"policy.max_timeout in {POLICY}") == len(doors)
    assert told.count("ran\n") == 1, "what is within it runs"


def test_one_that_is_not_roots_alone_lets_nothing_run(on_a_machine: Shell) -> None:
    told = on_a_machine(f"chown 1234 {POLICY}; {RUN} 1m")
    assert f"{POLICY} belongs to 1234, not to root" in told, told
    assert f"chown -h root {POLICY}" in told
    assert "ran\n" not in told
