"""`logs --tail 100` of a log of 1 GB, against all of it: as bytes and as lines in one process, and by the command.

The log comes from the page cache, so all of it is read as fast as memory is copied; the command's time is mostly that
of starting Python.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from botdock.model import LogChunk, LogLine, Stream, new_execution_id
from botdock.services.log_store import LogWriter, StoredLog
from botdock.services.log_store.layout import compress_segment

SIZE = 1_000_000_000
LINES = 2000
"""Of one chunk."""
TAIL = 100
ROUNDS = {False: 5, True: 1}
"""By whether the log is compressed: it takes long to be read then."""
COMMAND = str(Path(sys.executable).with_name("botdock"))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for compressed in (False, True):
            home = Path(folder) / f"home-{compressed}"
            execution_id = write_log(home, compressed=compressed)
            log = StoredLog(home / "executions" / execution_id / "logs")
            rounds = ROUNDS[compressed]
            print(f"{SIZE / 1e9:.0f} GB, closed segments {'compressed' if compressed else 'as they are'}:")
            compare("bytes", partial(read_tail, log), partial(read_whole, log), rounds)
            compare("lines", partial(read_tail, log), partial(read_lines, log), 1)
            whole = command(home, execution_id)
            compare("command", command(home, execution_id, "--tail", str(TAIL)), whole, rounds)


def write_log(home: Path, *, compressed: bool) -> str:
    """Write the log and the record of an execution that has ended, and return its id."""
    execution_id, chance, size, number = new_execution_id(), random.Random(1), 0, 0
    folder = home / "executions" / execution_id
    writer = LogWriter(folder / "logs")
    while size < SIZE:
        lines = [b"%09d %s\n" % (number + n, chance.randbytes(45).hex().encode()) for n in range(LINES)]
        number += LINES
        data = b"".join(lines)
        size += len(data)
        writer.append(LogChunk(chance.choice((Stream.STDOUT, Stream.STDOUT, Stream.STDERR)), data, time.time_ns()))
        for closed in writer.seal_closed():
            if compressed:
                compress_segment(folder / "logs", closed)
    summary = writer.finish(complete=True)
    writer.close()
    assert summary.bytes == size
    (folder / "request.json").write_text(json.dumps({"id": "flood", "execution_id": execution_id}))
    (folder / "outcome.json").write_text(json.dumps({"execution_id": execution_id, "outcome": "succeeded"}))
    return execution_id


def read_tail(log: StoredLog) -> None:
    assert len(list(log.lines(tail=TAIL))) == TAIL


def read_whole(log: StoredLog) -> None:
    assert sum(len(chunk.data) for chunk in log.chunks()) >= SIZE


def read_lines(log: StoredLog) -> None:
    assert sum(len(line.data) + 1 for line in log.lines() if isinstance(line, LogLine)) >= SIZE


def command(home: Path, execution_id: str, *options: str) -> Callable[[], None]:
    environment = {**os.environ, "BOTDOCK_HOME": str(home)}
    environment.pop("PYTHONUNBUFFERED", None)

    def run() -> None:
        arguments = [COMMAND, "logs", execution_id, *options]
        subprocess.run(arguments, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return run


def compare(what: str, tail: Callable[[], None], whole: Callable[[], None], rounds: int) -> None:
    tails, wholes = [], []
    for _ in range(rounds):
        tails.append(timed(tail))
        wholes.append(timed(whole))
    percent = statistics.median(100 * short / long for short, long in zip(tails, wholes, strict=True))
    print(
        f"  {what:8} the last {TAIL} lines {statistics.median(tails) * 1000:8.1f} ms,"
        f" all of it {statistics.median(wholes) * 1000:8.1f} ms: {percent:.2f} %"
    )


def timed(action: Callable[[], None]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
