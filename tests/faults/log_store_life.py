"""Kills a process at every line of storing a log in turn, and judges what its successor makes of it.

    python log_store_life.py FOLDER SCENARIO

A program of its own, since it forks: in a process with threads that is unsafe.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from botdock.model.logs import LogChunk, LogCursor, LogGap, Stream
from botdock.services.log_store import LogWriter, StoredLog, layout, segment, tally, writer
from botdock.services.log_store.layout import compress_segment
from botdock.services.log_store.verify import verify
from testbed import every_line
from testbed.every_line import kill_at_every_line, lines_of

TRACED = lines_of(layout, segment, tally, writer)
SCRIPT = [(Stream.STDERR if number % 4 == 3 else Stream.STDOUT, b"line %d\n" % number) for number in range(8)]
SECRETS = [b"ne 5"]


class Life:
    """A process's view of a log that it writes; what was removed is noted beside it."""

    def __init__(self, home: Path, scenario: str) -> None:
        self.home = home
        self.logs = home / "logs"
        self.scenario = scenario

    def live(self) -> None:
        """Store everything that is not stored yet, and end."""
        if StoredLog(self.logs).ended:
            return
        log = LogWriter(self.logs, segment_bytes=16, secrets=SECRETS)
        for at, chunk in enumerate(rest_of(log.cursor)):
            log.append(chunk)
            if at % 3 == 2:
                log.sync()
                self._keep_house(log)
        log.flush()
        log.finish(complete=True)
        log.close()

    def _keep_house(self, log: LogWriter) -> None:
        for number in log.seal_closed():
            if self.scenario == "compress":
                compress_segment(self.logs, number)
        if self.scenario == "remove" and log.kept().bytes > 24:
            log.remove_oldest()


def rest_of(cursor: LogCursor) -> list[LogChunk]:
    """Return what an engine delivers from a cursor on."""
    skip = {Stream.STDOUT: cursor.stdout, Stream.STDERR: cursor.stderr}
    chunks = []
    for number, (stream, data) in enumerate(SCRIPT):
        cut = min(skip[stream], len(data))
        skip[stream] -= cut
        if data[cut:]:
            chunks.append(LogChunk(stream, data[cut:], 1 + number))
    return chunks


def judge(life: Life) -> Iterator[str]:
    """Yield what is wrong after a process was killed, and after its successor has done its work."""
    if life.logs.exists():
        yield from (f"left damaged: {finding}" for finding in verify(life.logs).findings)
    life.live()
    found = verify(life.logs)
    yield from (f"made damaged: {finding}" for finding in found.findings)
    if not found.ended:
        yield "it has not ended"
    if odd := [path.name for path in life.logs.iterdir() if path.name.startswith(".")]:
        yield f"left behind: {odd}"
    for stream in Stream:
        yield from _judge_stream(life, stream)
    shutil.rmtree(life.home)


def _judge_stream(life: Life, stream: Stream) -> Iterator[str]:
    entries = [entry for entry in StoredLog(life.logs).entries() if entry.stream is stream]
    gone = sum(entry.size or 0 for entry in entries if isinstance(entry, LogGap))
    whole = b"".join(data for of, data in SCRIPT if of is stream).replace(SECRETS[0], b"*" * len(SECRETS[0]))
    if gone and life.scenario != "remove":
        yield f"{gone} bytes of {stream} are missing"
    found = b"".join(entry.data for entry in entries if isinstance(entry, LogChunk))
    if found != whole[gone:]:
        yield f"{stream} is {found!r} behind {gone} bytes"


def main(folder: Path, scenario: str) -> None:
    """Kill at the first line, at the second, and so on, until a process lives to its end."""
    os.fsync = os.fdatasync = lambda fd: None  # what a killed process has written stays, and this is quicker

    def lives(kills: int) -> every_line.Life:
        life = Life(folder / str(kills), scenario)
        life.home.mkdir()
        return life.live, partial(judge, life)

    print(json.dumps(kill_at_every_line(lives, TRACED)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
