"""A process killed at any line of storing a log: its successor stores each byte once, and a follower sees it once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from botdock.model.logs import LogChunk, Stream
from botdock.services.log_store import LogWriter
from botdock.services.log_store.layout import compress_segment
from testbed.drills import count
from testbed.every_line import told_by

FOLLOWER = """
import sys
from pathlib import Path
from botdock.model.logs import LogGap
from botdock.services.log_store import StoredLog
print("here", flush=True)
for entry in StoredLog(Path(sys.argv[1])).entries(follow=True):
    if isinstance(entry, LogGap):
        sys.stdout.write("*" * entry.size)
    else:
        sys.stdout.write(entry.data.decode())
"""


@pytest.mark.parametrize("scenario", ["roll", "compress", "remove"])
def test_a_process_killed_at_any_line_loses_nothing_and_stores_nothing_twice(quick_folder: Path, scenario: str) -> None:
    found = told_by(Path(__file__).with_name("log_store_life.py"), quick_folder, scenario)
    assert found["wrong"] == []
    assert found["code"] == 0
    assert found["kills"] > count(500, 8)


@pytest.mark.parametrize("retain", [None, 5_000])
def test_a_follower_sees_each_byte_once_while_the_writer_rolls_compresses_and_removes(
    quick_folder: Path, retain: int | None
) -> None:
    writer = LogWriter(quick_folder / "logs", segment_bytes=1000)
    command = [sys.executable, "-c", FOLLOWER, str(quick_folder / "logs")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == "here\n"
        texts = [f"line {number:05}\n" for number in range(5000)]
        for text in texts:
            writer.append(LogChunk(Stream.STDOUT, text.encode(), 1))
            for number in writer.seal_closed():
                compress_segment(quick_folder / "logs", number)
                if retain and writer.kept().bytes > retain:
                    writer.remove_oldest()
        writer.finish(complete=True)
        writer.close()
        found, _ = follower.communicate(timeout=60)
    whole = "".join(texts)
    assert len(found) == len(whole)
    if retain is None:
        assert found == whole
    assert all(here in {right, "*"} for here, right in zip(found, whole, strict=True))
