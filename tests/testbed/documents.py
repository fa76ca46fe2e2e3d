"""Documents that a test follows as their reader would: it writes their files, runs their commands, and compares."""

from __future__ import annotations

import doctest
import os
import re
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs

from testbed.waiting import wait_until

PATIENCE = 300.0
"""Seconds that a command may take, and that one may be repeated, on a busy machine."""
BLOCK = re.compile(r"(?:`([\w./-]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
REPEATED = re.compile(r"botdock (ps|logs|metrics|run hungry)\b")
"""Commands that look at what was begun in the background, until it is so far, as a reader would; and one that is killed
for memory, which Docker 20.10 does not note of three in a thousand."""
TERMINAL = {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "100"}
TICKER = """
import time

def main(id, config):
    try:
        for number in range(10**9):
            print("tick", number)
            time.sleep(0.01)
    finally:
        print("bye")
"""
"""The bot that never ends of the page on tests of bots."""


@attrs.frozen
class Block:
    """A block of a document.

    Attributes:
        file: The name of the file that it is, from the line above it; empty for none.
    """

    file: str
    language: str
    text: str

    def steps(self) -> Iterator[Step]:
        """Yield the commands of a `console` block."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield Step(command, shown)


@attrs.frozen
class Step:
    """A command that a document shows, and what it prints there.

    `...` stands for anything, as in a doctest, and on a line of its own for any lines, or none.
    """

    command: str
    shown: str

    def is_shown_by(self, printed: str) -> bool:
        """Whether the document shows this output."""
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        shown = re.sub(r"\s*^\.\.\.$\s*", "...", self.shown, flags=re.MULTILINE)
        return doctest.OutputChecker().check_output(shown, printed, flags)


def blocks(text: str) -> list[Block]:
    """Return the blocks of a document, in their order."""
    return [Block(*found) for found in BLOCK.findall(text)]


def follow(
    text: str, folder: Path, environment: Mapping[str, str], *, replaced: Callable[[str], str] = lambda command: command
) -> None:
    """Do in a folder what a document says, and hold what is printed against what it shows.

    Args:
        text: The document.
        folder: Where its files are written and its commands begin.
        environment: That of the commands.
        replaced: Returns what is run for a command; empty for nothing.
    """
    session = folder / ".session"
    session.write_text(f'cd "{folder}"\n')
    for block in blocks(text):
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)
        for step in block.steps() if block.language == "console" else ():
            if command := replaced(step.command):
                _take(step, f'. "{session}"; {command}\n{{ export -p; echo cd "$PWD"; }} >"{session}"', environment)


def _take(step: Step, line: str, environment: Mapping[str, str]) -> None:
    printed = ""

    def agrees() -> bool:
        nonlocal printed
        printed = on_a_terminal(line, environment)
        return step.is_shown_by(printed)

    patience = PATIENCE if REPEATED.search(step.command) else 0
    assert wait_until(agrees, timeout=patience, interval=0.5), (
        f"$ {step.command}\nshown:\n{step.shown}\nprinted:\n{printed}"
    )


def on_a_terminal(line: str, environment: Mapping[str, str]) -> str:
    """Return what a line of bash prints on a terminal."""
    terminal, other_end = os.openpty()
    try:
        process = subprocess.Popen(
            ["bash", "-c", line],
            env={**environment, **TERMINAL},
            stdin=subprocess.DEVNULL,
            stdout=other_end,
            stderr=other_end,
            start_new_session=True,
        )
        os.close(other_end)
        printed, deadline = b"", time.monotonic() + PATIENCE
        while True:
            has_ended = process.poll() is not None
            if select.select([terminal], [], [], 0.05)[0]:
                try:
                    printed += os.read(terminal, 65_536)
                except OSError:  # Linux says so when the other end is closed
                    break
            elif has_ended:  # what it left in the background may keep the terminal open
                break
            assert time.monotonic() < deadline, f"{line} does not end; so far:\n{printed.decode()}"
        process.wait(PATIENCE)
    finally:
        os.close(terminal)
    return printed.decode().replace("\r\n", "\n")
