"""The picture of the README shows what the commands print today."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
recording: Any = import_module("recording")
SVG = "{http://www.w3.org/2000/svg}"
CHANCE = re.compile(
    r"\b01[0-9a-hjkmnp-tv-z]{24}\b|\b(\d+(\.\d+)?(h|ms|m|s))+\b|\b[0-9a-f]{64}\b|\b\d+ records?\b|\b(docker|oci)\b"
)
"""Ids, times, digests, in how many pieces a log came, and the engine that is there."""


def steady(shown: str) -> list[str]:
    """Return the words of a text without those that differ from run to run, wherever its lines are folded."""
    return CHANCE.sub("...", shown).split()


def shown_by(picture: ET.Element) -> list[tuple[str, str]]:
    """Return the commands of a picture, each with the lines below it."""
    found = []
    for step in picture.iter(f"{SVG}g"):
        command, *lines = ("".join(text.itertext()) for text in step.iter(f"{SVG}text"))
        found.append((command.removeprefix("$ "), "\n".join(lines)))
    return found


@pytest.mark.docker
def test_the_picture_is_what_the_commands_print(newcomer: Mapping[str, str]) -> None:
    recorded = recording.record(newcomer)
    pictured = shown_by(ET.parse(recording.PICTURE).getroot())
    assert [command for command, _ in pictured] == list(recording.COMMANDS)
    for (command, today), (_, then) in zip(recorded, pictured, strict=True):
        plain = re.sub(r"\x1b\[\d*m", "", today)
        assert steady(plain) == steady(then), f"{command}: run docs/generate/recording.py again"
        assert max(map(len, then.splitlines())) <= recording.COLUMNS


def test_a_picture_holds_text_as_it_is_and_shows_it_in_its_order() -> None:
    recorded = [("botdock run 'a&b'", "<one>\n\x1b[2mdim\n dim too\x1b[0m\n"), ("botdock ps", "two\n")]
    drawn = recording.drawn(recorded)
    picture = ET.fromstring(drawn)
    assert shown_by(picture) == [("botdock run 'a&b'", "<one>\ndim\n dim too"), ("botdock ps", "two")]
    dim = ["".join(span.itertext()) for span in picture.iter(f"{SVG}tspan") if span.get("class") == "dim"]
    assert dim == ["$ ", "dim", " dim too", "$ "]
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", ""), "nothing is fetched"


def test_the_picture_is_on_the_first_screen() -> None:
    first = (ROOT / "README.md").read_text().partition("\n## ")[0]
    assert f"]({recording.PICTURE.relative_to(ROOT)})" in first
