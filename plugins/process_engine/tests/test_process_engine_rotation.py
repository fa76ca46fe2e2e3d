"""The log of a bot that may write without an end: the newest is kept, and nothing is lost without a word."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.errors import ContainerError
from botdock.model import DEFAULT_LIMITS, LogChunk, LogCursor, LogGap, LogStream, Stream
from botdock.shim._container import ContainerFolder
from botdock.shim._log import ShimLogStream
from botdock.shim._program import files
from botdock.shim._program import log as writing
from botdock.shim._program.log import Log
from botdock_engine_process.engine import ProcessEngine
from testbed.drills import count

CALL = 30.0
KINDS = {Stream.STDOUT: files.STDOUT, Stream.STDERR: files.STDERR}
LIMIT = 100
OUTPUT = 100_000
LINES = 2_400_000
COUNTS = f"seq -f %09.0f 0 {LINES - 1}"


@cache
def whole() -> bytes:
    """Return what `COUNTS` writes: far more than is kept."""
    return b"".join(b"%09d\n" % number for number in range(LINES))


writes = st.tuples(st.sampled_from(Stream), st.binary(min_size=1, max_size=60))
steps = st.lists(st.one_of(writes, st.sampled_from(["read", "read all", "reopen", "look"])), max_size=60)


class Reading:
    """A reader like the collector: where a stream breaks, it goes on behind what it has, and counts what is lost."""

    def __init__(self, folder: Path, written: dict[Stream, bytes]) -> None:
        self.folder = ContainerFolder(folder)
        self.written = written
        self.at = dict.fromkeys(Stream, 0)
        self.lost = dict.fromkeys(Stream, 0)
        self.files = self.open(follow=True)

    def open(self, *, follow: bool) -> ShimLogStream:
        cursor = LogCursor(stdout=self.at[Stream.STDOUT], stderr=self.at[Stream.STDERR])
        return ShimLogStream(self.folder, cursor=cursor, follow=follow)

    def reopen(self) -> None:
        self.files.close()
        self.files = self.open(follow=True)
        self.skip(self.files.lost)

    def skip(self, gaps: Sequence[LogGap]) -> None:
        for gap in gaps:
            assert gap.size
            self.at[gap.stream] += gap.size
            self.lost[gap.stream] += gap.size

    def read(self) -> bool:
        """Take the next chunks; return whether there was something to read."""
        before = self.files, self.files.activity
        try:
            chunks = self.files.read(0.0)
        except ContainerError:
            with pytest.raises(ContainerError):
                self.files.read(0.0)
            self.reopen()
            chunks = self.files.read(0.0)
        for chunk in chunks:
            begin = self.at[chunk.stream]
            assert chunk.data == self.written[chunk.stream][begin : begin + len(chunk.data)]
            self.at[chunk.stream] += len(chunk.data)
        return bool(chunks) or before != (self.files, self.files.activity)

    def read_all(self) -> None:
        while self.read():
            pass
        assert self.at == {stream: len(data) for stream, data in self.written.items()}

    def look(self) -> None:
        """Read what is there once, from the first byte on."""
        found, lost = read_once(self.folder)
        for stream, data in found.items():
            assert data == self.written[stream][lost.get(stream, 0) :]


def read_once(folder: ContainerFolder) -> tuple[dict[Stream, bytes], dict[Stream, int]]:
    """Return what is in a log, and how much of each stream is gone before it."""
    found = dict.fromkeys(Stream, b"")
    with ShimLogStream(folder, cursor=LogCursor(), follow=False) as stream:
        for chunk in rest_of(stream):
            found[chunk.stream] += chunk.data
        return found, {gap.stream: gap.size or 0 for gap in stream.lost}


def begin_log(folder: Path) -> None:
    (folder / files.BELLS).mkdir()
    (folder / f"{files.LOG}0").write_bytes(files.HEAD.pack(0, 0))


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@given(steps=steps)
def test_whoever_reads_has_every_byte_or_is_told_that_it_is_gone(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as name, working_in(Path(name)), pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "BURST", 0)
        begin_log(Path(name))
        tail, written = Log(LIMIT, newest=True), dict.fromkeys(Stream, b"")
        reading = Reading(Path(name), written)
        acts: dict[str, Callable[[], object]] = {
            "read": reading.read,
            "read all": reading.read_all,
            "reopen": reading.reopen,
            "look": reading.look,
        }
        for step in steps:
            if isinstance(step, str):
                acts[step]()
            else:
                tail.append(KINDS[step[0]], step[1])
                written[step[0]] += step[1]
        reading.read_all()
        reading.look()
        reading.files.close()
        tail.close()
        assert sum(reading.lost.values()) <= max(0, sum(map(len, written.values())) - LIMIT)
        assert sum(path.stat().st_size for path in Path(name).glob(f"{files.LOG}*")) <= bound(written)


def bound(written: dict[Stream, bytes]) -> int:
    """Return how much may be on the disk: what is to be kept, two files more, and heads and frames."""
    kept = LIMIT + 2 * (LIMIT // writing.PARTS + 60)
    return min(kept, sum(map(len, written.values()))) + (kept + 8) * files.FRAME.size + 8 * files.HEAD.size


WRITES = count(600_000, 200_000)


@pytest.mark.parametrize(("newest", "limit"), [(False, 2_000_000), (True, 100_000)])
def test_tiny_writes_take_about_twice_their_bytes_of_the_disk(
    newest: bool, limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "BURST", 0)
    with working_in(tmp_path):
        begin_log(tmp_path)
        log, written = Log(limit, newest=newest), {Stream.STDOUT: bytearray(), Stream.STDERR: bytearray()}
        for number in range(WRITES):
            stream = Stream.STDERR if number % 3 else Stream.STDOUT
            written[stream].append(number % 251)
            log.append(KINDS[stream], bytes(written[stream][-1:]))
        log.close()
    taken = [path.stat().st_size for path in tmp_path.glob(f"{files.LOG}*")]
    assert sum(taken) <= 2 * min(2 * limit, WRITES) + len(taken) * (writing.FREE_FRAMES + 100)
    found, lost = read_once(ContainerFolder(tmp_path))
    assert found == {stream: bytes(data[lost.get(stream, 0) :]) for stream, data in written.items()}
    assert sum(lost.values()) <= WRITES - min(limit, WRITES)


def long_running(shell_spec: Any, script: str) -> Any:
    return shell_spec(script, keeps_newest=True, limits=attrs.evolve(DEFAULT_LIMITS, output=OUTPUT))


def test_a_bot_that_may_write_without_an_end_is_not_ended_for_it(
    engine: ProcessEngine, state: Path, shell_spec: Any
) -> None:
    container = engine.create(*long_running(shell_spec, f"{COUNTS}; exit 3"), timeout=CALL)
    engine.start(container, timeout=CALL)
    status = engine.wait(container, timeout=CALL)
    assert status is not None
    assert (status.exit_code, status.output_limited, status.error) == (3, False, "")
    sizes = [path.stat().st_size for path in (state / container.id).glob(f"{files.LOG}*")]
    kept = OUTPUT + writing.BURST
    assert kept <= sum(sizes) <= 2 * kept
    with engine.read_logs(container, cursor=LogCursor(last_ns=7), follow=True, timeout=CALL) as stream:
        chunks = list(rest_of(stream))
        (gap,) = stream.lost
    data = joined(chunks)
    assert (gap.stream, gap.since_ns, gap.until_ns) == (Stream.STDOUT, 7, chunks[0].time_ns)
    assert gap.size == len(whole()) - len(data)
    assert whole().endswith(data)


def test_who_follows_has_all_of_it(engine: ProcessEngine, shell_spec: Any, tmp_path: Path) -> None:
    """The bot goes on only when it was read so far, as no reader of a busy machine could be relied on to be in time."""
    step = LINES // 4
    part = f"seq -f %09.0f $i $((i + {step - 1})); i=$((i + {step})); until [ -e $i ]; do sleep 0.01; done"
    container = engine.create(
        *long_running(shell_spec, f"i=0; while [ $i -lt {LINES} ]; do {part}; done"), timeout=CALL
    )
    found = bytearray()
    with engine.attach(container, timeout=CALL) as stream:
        engine.start(container, timeout=CALL)
        for chunk in rest_of(stream):
            before = len(found)
            found += chunk.data
            if before // (10 * step) < len(found) // (10 * step):
                (tmp_path / str(len(found) // (10 * step) * step)).touch()
        assert stream.lost == ()
    assert found == whole()


def test_who_is_left_behind_is_told_so(engine: ProcessEngine, shell_spec: Any) -> None:
    container = engine.create(*long_running(shell_spec, COUNTS), timeout=CALL)
    found: list[LogChunk] = []
    with engine.attach(container, timeout=CALL) as stream:
        engine.start(container, timeout=CALL)
        found += stream.read(CALL)
        assert engine.wait(container, timeout=CALL) is not None
        with pytest.raises(ContainerError, match="removed before it was read"):
            found.extend(rest_of(stream))
    before = joined(found)
    assert whole().startswith(before)
    cursor = LogCursor(stdout=len(before))
    with engine.read_logs(container, cursor=cursor, follow=False, timeout=CALL) as stream:
        rest = joined(rest_of(stream))
        (gap,) = stream.lost
    assert gap.size == len(whole()) - len(before) - len(rest)
    assert whole().endswith(rest)


def test_a_log_whose_files_go_while_it_is_read_has_ended(
    engine: ProcessEngine, state: Path, shell_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = engine.create(*shell_spec("true"), timeout=CALL)
    (state / container.id / f"{files.LOG}1").write_bytes(files.HEAD.pack(1, 0))
    with engine.attach(container, timeout=CALL) as stream:
        go_on = ShimLogStream._open

        def removed_meanwhile(stream: ShimLogStream, number: int) -> None:
            engine.remove(container, timeout=CALL)
            go_on(stream, number)

        monkeypatch.setattr(ShimLogStream, "_open", removed_meanwhile)
        assert list(stream.read(CALL)) == []
        assert stream.ended
    assert engine.list({}, timeout=CALL) == []


def rest_of(stream: LogStream) -> Iterator[LogChunk]:
    while not stream.ended:
        yield from stream.read(CALL)


def joined(chunks: Iterable[LogChunk]) -> bytes:
    return b"".join(chunk.data for chunk in chunks)
