"""What `botdock doctor` asks of this engine."""

from __future__ import annotations

from collections.abc import Iterator

from botdock.model import Check, CheckStatus
from botdock_engine_process.capabilities import REMEDY
from botdock_engine_process.environment import find_interpreter

INTERPRETERS = ("sh", "bash", "python3", "node")
"""Of the bundled runtimes; every bot needs the first."""


def checks() -> Iterator[Check]:
    """Say that there is no isolation, and which interpreters there are."""
    yield Check(
        name="process.isolation",
        status=CheckStatus.WARNING,
        detail="bots run as you, with your files and your network",
        remedy=f"for code that you do not trust, {REMEDY}",
    )
    yield from map(_interpreter, INTERPRETERS)


def _interpreter(name: str) -> Check:
    if found := find_interpreter(name):
        return Check(name=f"process.{name}", status=CheckStatus.OK, detail=found)
    return Check(
        name=f"process.{name}",
        status=CheckStatus.FAILED if name == INTERPRETERS[0] else CheckStatus.WARNING,
        detail=f"{name} is not on PATH, so bots that need it do not run on this engine",
        remedy=f"install {name}, or {REMEDY}",
    )
