"""The operator's guides, followed step by step: installed, run, upgraded, backed up, restored and looked after."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from testbed.waiting import wait_until

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/how-to/operate.md"
BACKUP = DOCUMENT.with_name("back-up.md")
STAND_IN = Path(__file__).with_name("service_manager.py")
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^`(/[\w./-]+)`(?:(?!^```|^`/).)*?^```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACES = ("/opt", "/etc/botdock", "/etc/systemd/system", "/var/lib", "/var/backups", "/srv", "/usr/local/bin")
OWNED = re.compile(r" -o botdock -g botdock| --same-owner")
SKIPPED = ("useradd ",)
"""What would change the machine's users."""


def shown_files() -> dict[str, str]:
    """Return the files that the guide shows, by the path that it names before each."""
    return dict(BLOCK.findall(DOCUMENT.read_text()))


class Server:
    """A machine that the guide is followed on, below a folder."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self.root = root
        self.environment = {**environment, "PATH": f"{root}/usr/local/bin:{root}/stand-ins:{environment['PATH']}"}
        for place in PLACES:
            (root / place.lstrip("/")).mkdir(parents=True)
        self._stand_in("systemctl", f'exec {sys.executable} {STAND_IN} {root}/etc/systemd/system "$@"')
        self._stand_in("runuser", 'shift 3; exec "$@"')
        for path, text in shown_files().items():
            if path.startswith(PLACES):
                target = root / path.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(self.placed(text))
        with (root / "etc/botdock/policy.toml").open("a") as policy:
            images = {name: image for name, image in environment.items() if "__IMAGES__" in name}
            policy.write(f'\n[options.docker]\nhost = "{environment["BOTDOCK_DOCKER__HOST"]}"\n\n[runtime.images]\n')
            policy.writelines(f'{name.rpartition("__")[2].lower()} = "{image}"\n' for name, image in images.items())

    def _stand_in(self, name: str, script: str) -> None:
        path = self.root / "stand-ins" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def placed(self, text: str) -> str:
        """Return a text whose paths lie below the folder."""
        return re.sub(rf"(?<![\w.])({'|'.join(PLACES)})(?=[/\s\"])", rf"{self.root}\1", text)

    def follow(self, command: str) -> str:
        """Do what a line of the guide says, and return what it printed."""
        if command.startswith(SKIPPED):
            return ""
        command = OWNED.sub("", self.placed(command))
        if made := re.fullmatch(r"python3 -m venv (\S+)", command):
            Path(made[1]).symlink_to(Path(sys.executable).parents[1])
            return ""
        if re.fullmatch(r'\S+/bin/pip install (--upgrade )?"botdock\[standard\]"', command):
            return ""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert "Traceback" not in done.stderr, command
        assert done.returncode in ({0, 1} if "botdock doctor" in command else {0}), (
            f"{command}: {done.stdout}{done.stderr}"
        )
        return done.stdout

    def ask(self, command: str) -> object:
        """Return the JSON document that a command prints."""
        return json.loads(self.follow(command))


@pytest.fixture
def server(newcomer: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("op")
    environment = {name: value for name, value in newcomer.items() if name != "BOTDOCK_HOME"}
    server = Server(root, {**environment, "BOTDOCK_POLICY": f"{root}/etc/botdock/policy.toml"})
    yield server
    with_supervisor = (root / "etc/systemd/system/botdock.pid").exists()
    if with_supervisor:
        for name in ("stop ticker", "rm -f ticker"):
            subprocess.run(["bash", "-c", f"botdock {name}"], env=server.environment, check=False, capture_output=True)
        server.follow("systemctl stop botdock")


def commands() -> list[str]:
    """Return what the guide says to do, and before its bot is stopped, what the guide to backups says."""
    shown = (text.read_text() for text in (DOCUMENT, BACKUP))
    guide, backup = ([line[2:] for block in CONSOLE.findall(text) for line in block.splitlines()] for text in shown)
    end = guide.index("botdock stop ticker")
    return [*guide[:end], *backup, *guide[end:]]


def ticks(server: Server) -> list[int]:
    lines = server.follow("botdock logs ticker").splitlines()
    return [int(line.split()[1]) for line in lines if line.startswith("tick ")]


def has_more(server: Server, seen: int) -> bool:
    return len(ticks(server)) > seen + 3


def running(server: Server) -> list[tuple[str, str]]:
    found = server.ask("botdock ps --json")
    assert isinstance(found, list)
    return [(one["execution_id"], one["state"]) for one in found if one["id"] == "ticker"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on PATH")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = shown_files()["/etc/systemd/system/botdock.service"]
    unit = unit.replace("/opt/botdock/bin/botdock", "/bin/true").replace("User=botdock", "User=root")
    path = tmp_path / "botdock.service"
    path.write_text(unit)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert [line for line in done.stderr.splitlines() if "botdock.service" in line] == []
    assert done.returncode == 0


@pytest.mark.docker
def test_the_guide_is_followed_step_by_step(server: Server) -> None:
    before: list[tuple[str, str]] = []
    for command in commands():
        printed = server.follow(command)
        match command:
            case "systemctl is-active botdock":
                assert printed == "active\n"
            case text if text.startswith("botdock start"):
                is_running = wait_until(lambda: [state for _, state in running(server)] == ["running"], timeout=300)
                assert is_running, server.follow("botdock inspect ticker")
                assert wait_until(lambda: len(ticks(server)) > 3, timeout=300)
                before = running(server)
            case "systemctl restart botdock" | "systemctl start botdock":
                seen = len(ticks(server))
                assert wait_until(partial(has_more, server, seen), timeout=300), "its log goes on"
                assert running(server) == before, "it is the same execution, and it still runs"
                found = ticks(server)
                assert found == list(range(len(found))), "not a line is missing"
            case "botdock ps -a" if (server.root / "var/lib/botdock.old").exists():
                assert before[0][0] in printed, "the index is made anew"
            case "botdock stop ticker":
                assert wait_until(lambda: not running(server), timeout=300), "it is not started again"
    assert (server.root / "var/backups/botdock.tar.gz").stat().st_mode & 0o077 == 0
