"""The bots of `bots-with-dependencies.md` are packed and run as it shows, with packages from an index on loopback."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from testbed.package_index import package_index

TEXT = (Path(__file__).parents[2] / "docs/how-to/bots-with-dependencies.md").read_text()
FILE = re.compile(r"^In `(\w+/[\w.-]+)`:\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (botdock .*)", re.MULTILINE)
PANDAS = "class Series(list):\n    def mean(self): return sum(self) / len(self)\n"
STATISTICS = "exports.mean = (of) => of.reduce((sum, each) => sum + each) / of.length;"


@pytest.mark.docker
def test_the_shown_bots_are_packed_and_run(tmp_path: Path, newcomer: dict[str, str]) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not on PATH")
    for name, content in FILE.findall(TEXT):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    values = []
    with package_index(tmp_path / "index") as index:
        index.add_wheel("pandas", {"pandas.py": PANDAS}, version="2.2.3")
        index.add_wheel("ccxt", {"ccxt.py": "exchanges = ['kraken']"}, version="4.4.35")
        index.add_npm("simple-statistics", STATISTICS, version="7.8.8")
        addresses = {"PIP_INDEX_URL": f"{index.url}/simple", "npm_config_registry": index.url}
        for command in COMMAND.findall(TEXT):
            arguments = [*shlex.split(command), *(["--json"] if " run " in command else [])]
            done = subprocess.run(
                arguments,
                cwd=tmp_path,
                env={**newcomer, **addresses, "PIP_CONFIG_FILE": os.devnull},
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            assert done.returncode == 0, f"{command}: {done.stderr}"
            if " run " in command:
                values.append(json.loads(done.stdout)["value"])
    assert values == [{"mean": 3, "exchanges": 1}, {"mean": 3}]
