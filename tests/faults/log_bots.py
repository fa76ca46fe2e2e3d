"""Bots whose every byte is known beforehand, and what was made of these bytes."""

from __future__ import annotations

import hashlib
import runpy
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from botdock import Executable, ExecutionResult, Limits
from botdock.model import Stream
from botdock.services.log_store import StoredLog

FLOOD_FOLDER = Path(__file__).parents[2] / "examples/flood-python"
FLOOD = runpy.run_path(str(FLOOD_FOLDER / "main.py"))
KIB = 1024
SMALL = Limits(memory=64 * KIB * KIB, pids=16)

BASH = """
for piece in pieces/*; do
    [ -e "$piece" ] && cat "$piece" >&"${piece##*.}"
done
exit 0
"""
"""Writes its pieces as they lie there, each to the stream that its name ends in, and ends with the last byte."""
SLOW = """
import sys
import time

from flood import pieces


def main(id, config):
    pause, by_line, stays = config.pop("pause"), config.pop("by_line"), config.pop("stays")
    open_lines = {"stdout": b"", "stderr": b""}
    for stream, piece in pieces(**config):
        lines = (open_lines[stream] + piece).splitlines(keepends=True) if by_line else [piece]
        open_lines[stream] = lines.pop() if by_line and not lines[-1].endswith(b"\\n") else b""
        for line in lines:
            write(stream, line)
        time.sleep(pause)
    for stream, line in open_lines.items():
        write(stream, line)
    while stays:
        time.sleep(60)


def write(stream, data):
    output = getattr(sys, stream).buffer
    output.write(data)
    output.flush()
"""
"""Writes what the flood example does, with a pause of some seconds now and then; with `by_line`, line by line.

One that `stays` does not end by itself.
"""
_PROBE = 32
"""Bytes by which two streams are found to go on alike."""
_NOWHERE = 2**62
_NUMBERS = {Stream.STDOUT: 1, Stream.STDERR: 2}


def flood_pieces(config: Mapping[str, Any]) -> Iterator[tuple[Stream, bytes]]:
    """Yield what the flood example writes with a configuration, piece by piece."""
    for stream, piece in FLOOD["pieces"](**{**FLOOD["SETTINGS"], **config}):
        yield Stream(stream), piece


def whole(pieces: Iterable[tuple[Stream, bytes]]) -> dict[Stream, bytes]:
    """Return the bytes of each stream."""
    found: dict[Stream, list[bytes]] = {stream: [] for stream in Stream}
    for stream, piece in pieces:
        found[stream].append(piece)
    return {stream: b"".join(parts) for stream, parts in found.items()}


def flood_bot(config: Mapping[str, Any], **fields: Any) -> Executable:
    """Return the flood example with a configuration."""
    defaults: dict[str, Any] = {"id": "flood", "timeout": 900.0, "limits": SMALL}
    return Executable(runtime="python311", file_path=str(FLOOD_FOLDER), config=dict(config), **{**defaults, **fields})


def cat_bot(folder: Path, pieces: Iterable[tuple[Stream, bytes]], **fields: Any) -> Executable:
    """Write a bot that writes exactly these pieces and ends at once, and return it."""
    (folder / "pieces").mkdir(parents=True)
    (folder / "main.sh").write_text(BASH)
    for number, (stream, piece) in enumerate(pieces):
        (folder / f"pieces/{number:06}.{_NUMBERS[stream]}").write_bytes(piece)
    defaults: dict[str, Any] = {"id": "cat", "timeout": 900.0, "limits": SMALL}
    return Executable(runtime="bash", file_path=str(folder), **{**defaults, **fields})


def slow_bot(
    folder: Path,
    config: Mapping[str, Any],
    *,
    pause: float,
    by_line: bool = False,
    stays: bool = False,
    **fields: Any,
) -> Executable:
    """Write a bot that writes what the flood example does, with pauses, and return it."""
    folder.mkdir(parents=True)
    (folder / "flood.py").write_text((FLOOD_FOLDER / "main.py").read_text())
    (folder / "main.py").write_text(SLOW)
    settings = {**FLOOD["SETTINGS"], **config, "pause": pause, "by_line": by_line, "stays": stays}
    defaults: dict[str, Any] = {"id": "slow", "timeout": 900.0, "limits": SMALL}
    return Executable(runtime="python311", file_path=str(folder), config=settings, **{**defaults, **fields})


def log_folder(home: Path, execution_id: str) -> Path:
    """Return where the log of an execution lies."""
    return home / "executions" / execution_id / "logs"


def stored_bytes(folder: Path) -> dict[Stream, bytes]:
    """Return the bytes of each stream that are stored in the folder of a log."""
    return whole((chunk.stream, chunk.data) for chunk in StoredLog(folder).chunks())


@attrs.define
class Counts:
    """What a drill found.

    Attributes:
        runs: How many logs were compared.
        size: Bytes that their bots wrote.
        lost: Bytes of these that are not stored where they belong.
        doubled: Bytes that are stored and were not written there.
        problems: What is wrong, in words.
    """

    runs: int = 0
    size: int = 0
    lost: int = 0
    doubled: int = 0
    problems: list[str] = attrs.field(factory=list)

    def compare(self, what: str, written: Mapping[Stream, bytes], stored: Mapping[Stream, bytes]) -> None:
        """Count how what is stored differs from what was written."""
        self.runs += 1
        self.size += sum(map(len, written.values()))
        for stream in Stream:
            lost, doubled = differing(written[stream], stored[stream])
            self.lost += lost
            self.doubled += doubled
            if lost or doubled:
                self.problems.append(f"{what}: {stream} has lost {lost} bytes, and {doubled} too many")

    def check_summary(self, what: str, result: ExecutionResult, written: Mapping[Stream, bytes]) -> None:
        """Note where the counts and hashes of a result are not those of what was written."""
        log = result.log
        if not log.complete or log.gaps:
            self.problems.append(f"{what}: complete {log.complete}, gaps {log.gaps}")
        for stream, data in written.items():
            if log.streams.get(stream.value) != proof(data):
                self.problems.append(f"{what}: {stream} is said to hold {log.streams.get(stream.value)}")

    def report(self, drill: str, **more: Any) -> None:
        """Print the counts, and fail if something is wrong."""
        counted = {"runs": self.runs, "bytes": self.size, **more, "lost": self.lost, "doubled": self.doubled}
        print(f"\n{drill}: " + ", ".join(f"{number} {name}" for name, number in counted.items()))
        assert self.problems == [], self.problems[:10]


def proof(data: bytes) -> dict[str, int | str]:
    """Return what a summary has to say of a stream that holds these bytes."""
    lines = data.count(b"\n") + (bool(data) and not data.endswith(b"\n"))
    return {"bytes": len(data), "lines": lines, "sha256": hashlib.sha256(data).hexdigest()}


def differing(written: bytes, stored: bytes) -> tuple[int, int]:
    """Return how many bytes are missing and how many are too many, going through both side by side."""
    at, there, lost, doubled = 0, 0, 0, 0
    while True:
        same = _same(written[at:], stored[there:])
        at, there = at + same, there + same
        if at == len(written) or there == len(stored):
            return lost + len(written) - at, doubled + len(stored) - there
        skipped = _distance(written, at, stored[there : there + _PROBE])
        added = _distance(stored, there, written[at : at + _PROBE])
        skipped, added = (skipped, 0) if skipped <= added else (0, added)
        if max(skipped, added) == _NOWHERE:
            skipped = added = 1
        at, there, lost, doubled = at + skipped, there + added, lost + skipped, doubled + added


def _distance(data: bytes, start: int, wanted: bytes) -> int:
    """Return how far behind `start` some bytes come."""
    found = data.find(wanted, start)
    return _NOWHERE if found < 0 else found - start


def _same(first: bytes, second: bytes) -> int:
    """Return how many bytes at the beginning are the same."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
