"""The how-to about reports is followed, and what the reference of results shows has its form."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from botdock_reports import check, schema

ROOT = Path(__file__).parents[2]
HOW_TO = (ROOT / "docs/how-to/reports.md").read_text()
REFERENCE = (ROOT / "docs/reference/results.md").read_text()
SHOWN = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", REFERENCE, re.MULTILINE | re.DOTALL)]


@pytest.mark.docker
def test_the_shown_commands_write_the_shown_pages(tmp_path: Path, newcomer: dict[str, str]) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for command in re.findall(r"^\$ (botdock .*)", HOW_TO, re.MULTILINE):
        done = subprocess.run(
            shlex.split(command), cwd=tmp_path, env=newcomer, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
    assert "★" not in (tmp_path / "fast.html").read_text()
    compared = (tmp_path / "compared.html").read_text()
    assert compared.count("★") == 4
    assert "config slow" in compared


@pytest.mark.parametrize("value", SHOWN)
def test_each_shown_value_has_its_form(value: object) -> None:
    assert not check(value)
    import_module("fastjsonschema").validate(schema(), value)


def test_the_shown_fault_is_what_is_said() -> None:
    (shown,) = re.findall(r"^```text\n(.*?)\n```$", REFERENCE, re.MULTILINE | re.DOTALL)
    assert [str(fault) for fault in check({"metrics": {"sharpe": []}})] == [shown]
