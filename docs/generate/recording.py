"""Makes docs/assets/first-screen.svg from a real run: `.venv/bin/python docs/generate/recording.py`.

It runs with the engine that is configured, or chosen, here. `tests/docs/test_recording.py` holds what the picture shows
to what the commands print today.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs/assets/first-screen.svg"
COMMANDS = (
    "botdock run examples/hello-python",
    "botdock run examples/sma-crossover --entrypoint backtest",
    "botdock ps -a",
    "botdock logs --verify hello-python",
)
COLUMNS = 92
_SGR = re.compile(r"\x1b\[(\d*)m")
_CHARACTER, _LINE, _MARGIN, _BAR = 7.6, 19, 18, 34
"""Pixels: of one character, from line to line, around the text, and of the bar above it."""
_PAUSE = 1.6
"""Seconds from one command to the next."""
_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">
<title>botdock runs two bots, lists them, and proves a log</title>
<style>
text {{ font: 12.6px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  fill: #d6dae0; white-space: pre }}
.command {{ fill: #ffffff; font-weight: 600 }}
.dim {{ fill: #8b93a1 }}
.step {{ animation: appear 0s both }}
@keyframes appear {{ from {{ visibility: hidden }} to {{ visibility: visible }} }}
@media (prefers-reduced-motion: reduce) {{ .step {{ animation: none }} }}
</style>
<rect width="{width}" height="{height}" rx="9" fill="#171a21"/>
<circle cx="20" cy="17" r="5" fill="#ec6a5e"/><circle cx="38" cy="17" r="5" fill="#f4bf4f"/>
<circle cx="56" cy="17" r="5" fill="#61c554"/>
"""


def record(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Run the commands on a terminal, one after the other, and return each with what it printed."""
    told = {**environment, "COLUMNS": str(COLUMNS), "TERM": "xterm"}
    return [(command, _on_terminal(shlex.split(command), told)) for command in COMMANDS]


def _on_terminal(words: list[str], environment: Mapping[str, str]) -> str:
    ours, theirs = os.openpty()
    with subprocess.Popen(words, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs):
        os.close(theirs)
        printed = b"".join(_read(ours))
    os.close(ours)
    return printed.decode().replace("\r\n", "\n")


def _read(terminal: int) -> Iterator[bytes]:
    try:
        while piece := os.read(terminal, 4096):
            yield piece
    except OSError:  # the last one that had it open has ended
        return


def drawn(recorded: list[tuple[str, str]]) -> str:
    """Return the picture: each command and its lines appear after those before."""
    steps, top = [], _BAR + _LINE
    for number, (command, printed) in enumerate(recorded):
        lines = [f'<tspan class="dim">$ </tspan><tspan class="command">{escape(command)}</tspan>', *_lines(printed)]
        texts = [f'<text x="{_MARGIN}" y="{top + at * _LINE}">{line}</text>' for at, line in enumerate(lines)]
        steps.append(f'<g class="step" style="animation-delay: {number * _PAUSE:g}s">\n' + "\n".join(texts) + "\n</g>")
        top += (len(lines) + 1) * _LINE
    width = round(COLUMNS * _CHARACTER + 2 * _MARGIN)
    return _HEAD.format(width=width, height=top - _LINE) + "\n".join(steps) + "\n</svg>\n"


def _lines(printed: str) -> Iterator[str]:
    is_dim = False
    for line in printed.rstrip("\n").split("\n"):
        shown = ""
        for at, piece in enumerate(_SGR.split(line)):
            if at % 2:
                is_dim = piece == "2"
            elif piece:
                shown += f'<tspan class="dim">{escape(piece)}</tspan>' if is_dim else escape(piece)
        yield shown


def main() -> None:
    """Draw the picture anew."""
    with tempfile.TemporaryDirectory(dir=Path.home()) as home:
        environment = {
            **os.environ,
            "BOTDOCK_HOME": home,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        PICTURE.write_text(drawn(record(environment)))


if __name__ == "__main__":
    main()
