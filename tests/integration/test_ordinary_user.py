"""An ordinary user runs bots by the oci engine, in a user namespace, with either runtime."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.model import Feature
from botdock_engine_oci.runtimes import cgroup_version
from testbed.console import TestbedError
from testbed.fixtures import unavailable
from testbed.oci import second_cgroups
from testbed.ordinary import USER, OrdinaryUser, delegated_group, ordinary_user
from testbed.packages import ensure_programs

LACKING = ["cpu", "memory", "non_root", "pids", "swap"]
"""What an ordinary user without subordinate ids cannot have enforced with cgroup v1."""
BOTDOCK = (sys.executable, "-m", "botdock_cli")
CONFIG = ".config/botdock/botdock.toml"
LOOKER = textwrap.dedent("""
    import os

    def refused(call):
        try:
            call()
        except OSError:
            return True
        return False

    def main(id, config):
        status = dict(map(str.strip, line.split(":", 1)) for line in open("/proc/self/status"))
        written = [path for path in ("/x", "/bot/x", "/usr/x", "/etc/passwd", "/dev/x", "/sys/x", "/proc/sys/x")
                   if not refused(lambda: open(path, "a").close())]
        return {
            "user": status["Uid"].split()[0],
            "capabilities": {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16},
            "privileges": (status["NoNewPrivs"], status["Seccomp"]),
            "written": written,
            "seen": sorted(name for folder in ("/home", "/root", "/var", "/srv") if os.path.isdir(folder)
                           for name in os.listdir(folder)),
            "interfaces": os.listdir("/sys/class/net"),
            "mapped": open("/proc/self/uid_map").read().split(),
        }
""")


@pytest.fixture(params=["runc", "crun"])
def user(request: pytest.FixtureRequest) -> Iterator[OrdinaryUser]:
    """An ordinary user on a machine with one runtime that works."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    try:
        ensure_programs(request.param)
    except TestbedError as error:
        unavailable(error)
    hidden = second_cgroups() if request.param == "crun" else ""
    with ordinary_user([hidden] if hidden else []) as user:
        user.write(CONFIG, f'[options.oci]\nruntime = "{request.param}"\n')
        user.write("looker/main.py", LOOKER)
        yield user


def run(user: OrdinaryUser, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = user.run(*BOTDOCK, "run", *arguments, "--engine", "oci", "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def accept(user: OrdinaryUser) -> None:
    before = (user.home / CONFIG).read_text()
    user.write(CONFIG, f"{before}\n[policy.unenforced]\noci = {json.dumps(LACKING)}\n")


def test_a_bot_is_isolated_where_the_policy_accepts_what_is_missing(user: OrdinaryUser) -> None:
    accept(user)
    code, result = run(user, str(Path(__file__).parents[2] / "examples" / "hello-python"))
    assert (code, result["outcome"]) == (0, "succeeded"), result["error"]
    code, result = run(user, "looker")
    assert (code, result["outcome"]) == (0, "succeeded"), result["error"]
    assert result["value"] == {
        "user": "0",
        "capabilities": True,
        "privileges": ["1", "2"],
        "written": [],
        "seen": [],
        "interfaces": ["lo"],
        "mapped": ["0", str(USER), "1"],
    }


@pytest.mark.skipif(cgroup_version() == 1, reason="only groups of cgroup v2 can be given to a user")
def test_a_bot_is_held_to_all_limits_where_cgroups_were_given_to_the_user(user: OrdinaryUser) -> None:
    before = (user.home / CONFIG).read_text()
    user.write(CONFIG, f'{before}\n[policy.unenforced]\noci = ["non_root"]\n')
    user.write("bomb/main.py", "def main(id, config):\n    return len(bytearray(2**30))\n")
    with delegated_group() as group:
        user = attrs.evolve(user, group=group)
        code, result = run(user, "looker")
        assert (code, result["outcome"]) == (0, "succeeded"), result["error"]
        code, result = run(user, "bomb")
        assert (code, result["outcome"]) == (137, "oom_killed"), result["error"]
        assert list((Path(group).parent / "botdock").glob("botdock-*")) == []


def test_what_is_missing_is_refused_by_name_with_what_mends_it(user: OrdinaryUser) -> None:
    done = user.run(*BOTDOCK, "run", "looker", "--engine", "oci")
    assert done.returncode == 125
    assert all(f"{name}: " in done.stderr for name in LACKING), done.stderr
    assert "usermod --add-subuids" in done.stderr
    assert "Traceback" not in done.stderr
    told = json.loads(user.run(*BOTDOCK, "doctor", "--json").stdout)
    checks = {check["name"]: check["detail"] for check in told["checks"]}
    assert f"the bot runs as you (user id {USER})" in checks["oci.non_root"]
    assert not {f"oci.{feature.value}" for feature in Feature if feature.value not in LACKING} & set(checks)
