"""What the how-to about logs shows works, with tools that are not botdock's as well."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock import Config
from botdock.config import LoggingConfig

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/how-to/logs.md").read_text()
EXPLAINED = (ROOT / "docs/explanation/logs.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    binaries = Path(sys.executable).parent
    return {"PATH": f"{binaries}:{os.environ['PATH']}", "HOME": str(tmp_path), "BOTDOCK_HOME": str(tmp_path / "state")}


LARGE, SMALL = 64 << 20, 300 << 10


@pytest.fixture(params=[LARGE, SMALL])
def flood(environment: dict[str, str], request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the example's run says of itself, its log in one segment and in several."""
    command = ["botdock", "run", "examples/flood-python", "--engine", "process", "--json"]
    command += ["--set", f"logging.segment_bytes={request.param}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return {**json.loads(done.stdout), "segment_bytes": request.param}


def test_the_example_says_what_is_stored(flood: dict[str, Any]) -> None:
    assert flood["log"]["streams"] == flood["value"]
    if flood["segment_bytes"] == LARGE:
        assert flood["log"]["segments"] == 1
    else:  # a segment ends with the piece that fills it, whose size is the reader's luck
        stored = sum(stream["bytes"] for stream in flood["value"].values())
        assert 1 < flood["log"]["segments"] <= stored // flood["segment_bytes"] + 1


def test_the_tools_of_a_shell_work_on_the_files(flood: dict[str, Any], environment: dict[str, str]) -> None:
    of_one_segment, *of_any = blocks("sh")
    proof = flood["value"]["stdout"]["sha256"]
    if flood["log"]["segments"] == 1:
        output = shell(of_one_segment, environment)
        assert proof in output
        assert "newline at the end of stderr" in output
    for block in of_any:
        assert shell(block, environment).split()[-2] == proof


def shell(block: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["sh", "-ec", block], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), block
    return done.stdout


def test_the_first_chunk_that_is_damaged_is_named(flood: dict[str, Any], environment: dict[str, str]) -> None:
    folder = Path(environment["BOTDOCK_HOME"]) / "executions" / flood["execution_id"] / "logs"
    plain = [path for path in folder.glob("std*") if path.suffix != ".gz"]
    damaged = max(plain, key=lambda path: path.stat().st_size)
    data = bytearray(damaged.read_bytes())
    place = len(data) // 2
    data[place] ^= 1
    damaged.write_bytes(data)
    done = subprocess.run(
        ["botdock", "logs", "--verify", "flood-python"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    found = re.search(rf"{damaged.name}: bytes (\d+) to (\d+) ", done.stdout.replace(",", ""))
    assert found is not None, done.stdout
    assert int(found[1]) <= place <= int(found[2])


@pytest.mark.parametrize("block", blocks("toml"))
def test_a_shown_configuration_is_valid(block: str, tmp_path: Path) -> None:
    path = tmp_path / "botdock.toml"
    path.write_text(block)
    assert Config.load(path, environ={}).logging != LoggingConfig()


def test_every_setting_of_logs_is_described() -> None:
    named = set(re.findall(r"`logging\.(\w+)`", TEXT + EXPLAINED))
    described_elsewhere = {"sinks", "sink_queue"}
    assert named == {field.name for field in attrs.fields(LoggingConfig)} - described_elsewhere
