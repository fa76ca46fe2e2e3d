"""The commands of the how-to about a remote Docker work, on one that sees none of our files."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from testbed.foreign import ForeignDaemon
from testbed.sshd import PrivateSshd

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/how-to/use-a-remote-docker.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))


def blocks(language: str, section: str) -> str:
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```$", SECTIONS[section], re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("section", ["Over ssh", "Over TCP with TLS", "With Docker's contexts"])
def test_the_commands_of_a_section_run_a_bot_there(
    section: str,
    over_ssh: PrivateSshd,
    foreign_daemon: ForeignDaemon,
    foreign_images: Mapping[str, str],
    clean_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    if "context" in section and not shutil.which("docker"):
        pytest.skip("there is no docker command here")
    settings = blocks("toml", section)
    for shown, real in (
        ("tcp://farm.example:2376", foreign_daemon.url),
        ("/home/me/.docker/farm", str(foreign_daemon.certificates)),
    ):
        settings = settings.replace(shown, real)
    (tmp_path / "botdock.toml").write_text(settings)
    commands = "".join(line.removeprefix("$ ") + "\n" for line in blocks("console", section).splitlines())
    done = subprocess.run(
        ["sh", "-e", "-c", commands],
        cwd=ROOT,
        env={
            **clean_environment,
            "PATH": f"{over_ssh.bin}:{Path(sys.executable).parent}:{clean_environment['PATH']}",
            "HOME": str(tmp_path),
            "BOTDOCK_HOME": str(tmp_path / "state"),
            "BOTDOCK_CONFIG": str(tmp_path / "botdock.toml"),
            **{f"BOTDOCK_RUNTIME__IMAGES__{name.upper()}": image for name, image in foreign_images.items()},
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hello" in done.stdout.lower()
