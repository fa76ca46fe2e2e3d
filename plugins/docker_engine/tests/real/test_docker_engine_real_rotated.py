"""Logs that a real Docker has rotated, and streams that were silent for longer than anything of ours waits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.errors import ContainerError
from botdock.model import DEFAULT_LIMITS, ContainerHandle, LogChunk, LogCursor, LogGap, LogStream, Stream
from botdock_engine_docker import streams

pytestmark = pytest.mark.docker

CALL = 60.0
LINES = 60_000
LINE = 100
"""Bytes of each."""
PROGRAM = f"""
import os, sys, time
for number in range({LINES}):
    if number == int(sys.argv[1]):
        sys.stdout.flush()
        while not os.path.exists('/bot/go'):
            time.sleep(0.01)
    sys.stdout.write('%08d %s\\n' % (number, 'x' * 90))
    if number % 500 == 0:
        sys.stderr.write('err %d\\n' % number)
        sys.stderr.flush()
sys.stdout.write('tail')
"""
"""Writes its lines, and waits before one of them until it may go on."""
WHOLE = {
    Stream.STDOUT: b"".join(b"%08d %s\n" % (number, b"x" * 90) for number in range(LINES)) + b"tail",
    Stream.STDERR: b"".join(b"err %d\n" % number for number in range(0, LINES, 500)),
}
SMALL = attrs.evolve(DEFAULT_LIMITS, output=64 * 1024)
"""With it, Docker keeps two files of 1.1 MiB."""


@pytest.fixture
def read_partly(python_lab: Any, tmp_path: Path) -> Any:
    """Returns a function that runs the program, reads so many lines of stdout, and goes away until its end."""

    def run(lines: int) -> tuple[str, LogCursor]:
        engine = python_lab.engine
        container = engine.create(*python_lab.spec("python3", "-c", PROGRAM, str(lines), limits=SMALL), timeout=CALL)
        chunks: list[LogChunk] = []
        with engine.attach(container, timeout=CALL) as stream:
            engine.start(container, timeout=CALL)
            while sum(len(chunk.data) for chunk in chunks if chunk.stream is Stream.STDOUT) < lines * LINE:
                chunks += stream.read(1.0)
        (tmp_path / "code" / "go").touch()
        assert engine.wait(container, timeout=CALL).exit_code == 0
        texts = {kind: b"".join(chunk.data for chunk in chunks if chunk.stream is kind) for kind in Stream}
        assert all(WHOLE[kind].startswith(text) for kind, text in texts.items())
        return container, LogCursor(
            stdout=len(texts[Stream.STDOUT]),
            stderr=len(texts[Stream.STDERR]),
            first_ns=chunks[0].time_ns,
            last_ns=chunks[-1].time_ns,
            stdout_tail=texts[Stream.STDOUT][-4096:],
            stderr_tail=texts[Stream.STDERR][-4096:],
        )

    return run


def rest_of(lab: Any, container: ContainerHandle, cursor: LogCursor, *, follow: bool) -> tuple[Any, Sequence[LogGap]]:
    with lab.engine.read_logs(container, cursor=cursor, follow=follow, timeout=CALL) as stream:
        return lab.drain(stream), stream.lost


def kept_of(lab: Any, container: ContainerHandle) -> bytes:
    """Return what Docker still has of stdout."""
    kept: bytes = rest_of(lab, container, LogCursor(), follow=False)[0][Stream.STDOUT]
    return kept


@pytest.mark.parametrize("follow", [False, True])
def test_a_log_whose_beginning_is_gone_is_continued_where_it_stood(
    python_lab: Any, read_partly: Any, follow: bool
) -> None:
    container, cursor = read_partly(LINES - 6000)
    assert len(kept_of(python_lab, container)) < len(WHOLE[Stream.STDOUT]), "it was to be rotated"
    rest, lost = rest_of(python_lab, container, cursor, follow=follow)
    assert rest[Stream.STDOUT] == WHOLE[Stream.STDOUT][cursor.stdout :]
    assert WHOLE[Stream.STDERR].endswith(rest[Stream.STDERR])
    is_whole = len(rest[Stream.STDERR]) == len(WHOLE[Stream.STDERR]) - cursor.stderr
    assert {gap.stream for gap in lost} <= {Stream.STDERR}
    assert is_whole or lost, "Docker logs each stream at its own pace: what it rotated away is told"


def test_what_was_rotated_away_before_it_was_read_is_told(python_lab: Any, read_partly: Any) -> None:
    container, cursor = read_partly(2000)
    rest, lost = rest_of(python_lab, container, cursor, follow=True)
    assert WHOLE[Stream.STDOUT].endswith(rest[Stream.STDOUT])
    assert 1_000_000 < len(rest[Stream.STDOUT]) < 3_000_000
    gap = next(gap for gap in lost if gap.stream is Stream.STDOUT)
    assert (gap.size, gap.since_ns) == (None, cursor.last_ns)
    assert gap.until_ns > gap.since_ns


@pytest.mark.parametrize("attached", [True, False])
def test_a_line_after_a_long_silence_arrives(bash_lab: Any, monkeypatch: pytest.MonkeyPatch, attached: bool) -> None:
    monkeypatch.setattr(streams, "SETTLE", 0.2)
    engine, patience = bash_lab.engine, 1.0  # instead of the minute that a call has otherwise
    script = "echo before; sleep 1.5; echo after; sleep 1.5; printf tail"
    container = engine.create(*bash_lab.spec("/bin/sh", "-c", script), timeout=CALL)
    if attached:
        stream = engine.attach(container, timeout=patience)
        engine.start(container, timeout=CALL)
    else:
        engine.start(container, timeout=CALL)
        stream = engine.read_logs(container, cursor=LogCursor(), follow=True, timeout=patience)
    with stream:
        assert bash_lab.drain(stream)[Stream.STDOUT] == b"before\nafter\ntail"


FLOOD = """
import os, sys, time
for number in range(200_000):
    if number == 2000:
        sys.stdout.flush()
        while not os.path.exists('/bot/go'):
            time.sleep(0.01)
    sys.stdout.write('%08d %s\\n' % (number, 'x' * 90))
sys.stdout.flush()
time.sleep(2)
"""


def read_on(stream: LogStream, chunks: list[LogChunk]) -> None:
    while not stream.ended:
        chunks += stream.read(1.0)


def test_a_follower_that_was_left_behind_says_so_and_repeats_nothing(python_lab: Any, tmp_path: Path) -> None:
    engine = python_lab.engine
    container = engine.create(*python_lab.spec("python3", "-c", FLOOD, limits=SMALL), timeout=CALL)
    engine.start(container, timeout=CALL)
    chunks: list[LogChunk] = []
    with engine.read_logs(container, cursor=LogCursor(), follow=True, timeout=CALL) as stream:
        while not chunks:
            chunks += stream.read(1.0)
        (tmp_path / "code" / "go").touch()  # and it is not read meanwhile
        assert engine.wait(container, timeout=CALL).exit_code == 0
        with pytest.raises(ContainerError, match="rotated"):
            read_on(stream, chunks)
    read = b"".join(chunk.data for chunk in chunks)
    cursor = LogCursor(
        stdout=len(read), first_ns=chunks[0].time_ns, last_ns=chunks[-1].time_ns, stdout_tail=read[-4096:]
    )
    rest, lost = rest_of(python_lab, container, cursor, follow=True)
    whole = b"".join(b"%08d %s\n" % (number, b"x" * 90) for number in range(200_000))
    assert whole.startswith(read)
    assert whole.endswith(rest[Stream.STDOUT])
    assert len(read) + len(rest[Stream.STDOUT]) < len(whole)
    assert Stream.STDOUT in {gap.stream for gap in lost}
