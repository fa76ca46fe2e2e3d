"""The writer against a model: crashes, junk, rewinds, compression, limits; and disks that take no more."""

import errno
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from botdock.errors import LogError
from botdock.model.logs import GapReason, LogChunk, LogCursor, LogGap, LogLine, Stream
from botdock.services.log_store import LogWriter, StoredLog
from botdock.services.log_store.layout import compress_segment, newest_segment
from botdock.services.log_store.verify import verify
from botdock.services.masking import Masker
from testbed.drills import count

TEXT = st.lists(st.sampled_from(b"ab\n"), min_size=1, max_size=30).map(bytes)
SCRIPT = st.lists(st.tuples(st.sampled_from(Stream), TEXT), max_size=40)
WHATS = ["nothing", "nothing", "crash", "junk", "rewind", "seal", "compress", "sync", "close"]
CHECKS = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=count(100, 30)
)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "fdatasync", lambda _: None)


def from_cursor(script: list[tuple[Stream, bytes]], cursor: LogCursor) -> list[LogChunk]:
    skip = {Stream.STDOUT: cursor.stdout, Stream.STDERR: cursor.stderr}
    chunks = []
    for stream, data in script:
        cut = min(skip[stream], len(data))
        skip[stream] -= cut
        if data[cut:]:
            chunks.append(LogChunk(stream, data[cut:], 7))
    return chunks


def masked(script: list[tuple[Stream, bytes]], stream: Stream, secrets: list[bytes]) -> bytes:
    masker = Masker(secrets)
    fed = masker.feed(b"".join(data for of, data in script if of is stream))
    return fed.data + masker.finish(torn=True).data


class Life:
    def __init__(self, directory: Path, segment_bytes: int, secrets: list[bytes], limit: int | None) -> None:
        self.directory, self.segment_bytes, self.secrets, self.limit = directory, segment_bytes, secrets, limit
        self.writer = self.begin()

    def begin(self) -> LogWriter:
        return LogWriter(
            self.directory, segment_bytes=self.segment_bytes, secrets=self.secrets, limit=self.limit, tail=10
        )

    def act(self, what: str) -> bool:
        """Do something to the log; return whether it is read again from the cursor then."""
        if what in {"crash", "junk"}:
            self.writer.close()
            if what == "junk":
                self._add_junk()
            self.writer = self.begin()
        elif what in {"seal", "compress"}:
            for number in self.writer.seal_closed():
                if what == "compress":
                    compress_segment(self.directory, number)
        elif what in {"rewind", "sync", "close"}:
            getattr(self.writer, what)()
        return what in {"crash", "junk", "rewind"}

    def _add_junk(self) -> None:
        newest = newest_segment(self.directory)
        for name in ("stdout", "stderr", "index"):
            with (self.directory / f"{name}.{newest}").open("ab") as file:
                file.write(b"junk" if name != "index" else bytes(27))


def run(life: Life, script: list[tuple[Stream, bytes]], whats: list[str]) -> None:
    waiting, acts = from_cursor(script, life.writer.cursor), iter(whats)
    while waiting:
        life.writer.append(waiting.pop(0))
        if life.act(next(acts, "nothing")):
            waiting = from_cursor(script, life.writer.cursor)


def stored(log: StoredLog, stream: Stream) -> bytes:
    return b"".join(chunk.data for chunk in log.chunks() if chunk.stream is stream)


@CHECKS
@given(
    script=SCRIPT,
    whats=st.lists(st.sampled_from(WHATS)),
    segment_bytes=st.sampled_from([20, 100, 10**9]),
    secrets=st.sampled_from([[], [b"aab", b"ba"]]),
)
def test_whatever_happens_each_byte_is_stored_once(
    tmp_path_factory: pytest.TempPathFactory,
    script: list[tuple[Stream, bytes]],
    whats: list[str],
    segment_bytes: int,
    secrets: list[bytes],
) -> None:
    life = Life(tmp_path_factory.mktemp("log") / "logs", segment_bytes, secrets, None)
    run(life, script, whats)
    life.writer.flush()
    summary = life.writer.finish(complete=True)
    life.writer.close()
    log = StoredLog(life.directory)
    for stream in Stream:
        wanted = masked(script, stream, secrets)
        assert stored(log, stream) == wanted
        assert summary.streams[stream]["bytes"] == len(wanted)
        assert summary.streams[stream]["sha256"] == hashlib.sha256(wanted).hexdigest()
    assert log.summary() == summary
    assert verify(life.directory).findings == ()


@CHECKS
@given(script=SCRIPT, whats=st.lists(st.sampled_from(WHATS)), limit=st.integers(0, 200))
def test_over_the_limit_head_and_tail_are_kept_and_the_rest_is_counted(
    tmp_path_factory: pytest.TempPathFactory, script: list[tuple[Stream, bytes]], whats: list[str], limit: int
) -> None:
    life = Life(tmp_path_factory.mktemp("log") / "logs", 50, [], limit)
    run(life, script, whats)
    life.writer.flush()
    summary = life.writer.finish(complete=True)
    life.writer.close()
    sizes = {stream: len(masked(script, stream, [])) for stream in Stream}
    total = sum(sizes.values())
    assert summary.bytes == min(total, limit + min(10, limit))
    assert summary.bytes + summary.gap_bytes == total
    gaps = [entry for entry in StoredLog(life.directory).entries() if isinstance(entry, LogGap)]
    assert {gap.reason for gap in gaps} <= {GapReason.LIMIT}
    for stream in Stream:
        whole = masked(script, stream, [])
        missing = sum(gap.size or 0 for gap in gaps if gap.stream is stream)
        found = stored(StoredLog(life.directory), stream)
        assert len(found) + missing == len(whole)
        assert any(found == whole[:at] + whole[at + missing :] for at in range(len(found) + 1))
    assert verify(life.directory).findings == ()


@pytest.mark.parametrize("failing", ["stdout", "index", "stdout and taking back"])
def test_a_full_disk_leaves_no_half_of_a_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    writer = LogWriter(tmp_path, segment_bytes=10**6)
    writer.append(LogChunk(Stream.STDOUT, b"before\n", 1))
    real, writes = os.write, []

    def half(descriptor: int, data: bytes) -> int:
        writes.append(data)
        if failing == "index" and len(writes) == 1:
            return real(descriptor, data)
        if len(writes) == (2 if failing == "index" else 1):
            return real(descriptor, bytes(data)[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half)
        if failing.endswith("back"):
            patched.setattr(os, "ftruncate", lambda *_: half(-1, b""))
        with pytest.raises(LogError, match="No space left"):
            writer.append(LogChunk(Stream.STDOUT, b"not this\n", 2))
    writer.rewind()
    assert writer.cursor.stdout == len(b"before\n")
    writer.append(LogChunk(Stream.STDOUT, b"after\n", 3))
    writer.finish(complete=True)
    writer.close()
    assert stored(StoredLog(tmp_path), Stream.STDOUT) == b"before\nafter\n"
    assert verify(tmp_path).findings == ()


def test_a_segment_that_cannot_be_begun_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = LogWriter(tmp_path, segment_bytes=4)
    real = os.open

    def refuse(path: os.PathLike[str], *args: int) -> int:
        if str(path).endswith(".1"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, *args)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        assert writer.append(LogChunk(Stream.STDOUT, b"one\n", 1)) == b"one\n"
        with pytest.raises(LogError, match="No space left"):
            writer.append(LogChunk(Stream.STDOUT, b"two\n", 1))
    writer.rewind()
    assert writer.cursor.stdout == 4
    writer.append(LogChunk(Stream.STDOUT, b"two\n", 1))
    writer.finish(complete=True)
    writer.close()
    assert stored(StoredLog(tmp_path), Stream.STDOUT) == b"one\ntwo\n"


def test_nothing_is_added_to_a_log_that_has_ended_or_whose_removals_are_unknown(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "ended")
    writer.finish(complete=True)
    writer.close()
    with pytest.raises(LogError, match="has ended"):
        LogWriter(tmp_path / "ended")
    (tmp_path / "ended" / "end.json").write_text("{}")
    with pytest.raises(LogError, match=r"end\.json is damaged"):
        StoredLog(tmp_path / "ended").summary()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "removed.json").write_text("{}")
    with pytest.raises(LogError, match=r"removed\.json is damaged"):
        LogWriter(tmp_path / "odd")


@settings(CHECKS, max_examples=count(50, 15))
@given(text=st.text("aé€😀", min_size=1), limit=st.integers(1, 60), tail=st.integers(0, 20))
def test_a_limit_cuts_no_character(tmp_path_factory: pytest.TempPathFactory, text: str, limit: int, tail: int) -> None:
    writer = LogWriter(tmp_path_factory.mktemp("log") / "logs", limit=limit, tail=tail)
    writer.append(LogChunk(Stream.STDOUT, text.encode(), 1))
    writer.append(LogChunk(Stream.STDOUT, text.encode(), 2))
    writer.flush()
    writer.finish(complete=True)
    writer.close()
    shown = "".join(item.text for item in StoredLog(writer.directory).lines() if isinstance(item, LogLine))
    assert "\ufffd" not in shown


@settings(CHECKS, max_examples=10)
@given(
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=8),
    streams=st.lists(st.sampled_from(Stream), min_size=1, max_size=5),
    limit=st.integers(1, 30_000),
    tail=st.sampled_from([0, 3000]),
)
@example(sizes=[1], streams=[Stream.STDOUT], limit=128 * 1024, tail=4096).via("single bytes one by one")
@example(sizes=[1], streams=list(Stream), limit=30_000, tail=5000).via("and of both streams in turn")
def test_what_a_bot_puts_on_the_disk_is_bounded_index_included(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], streams: list[Stream], limit: int, tail: int
) -> None:
    folder = tmp_path_factory.mktemp("log") / "logs"
    writer = LogWriter(folder, limit=limit, tail=tail)
    written = 0
    for number in range(200_000):
        size = sizes[number % len(sizes)]
        writer.append(LogChunk(streams[number % len(streams)], b"x" * size, number + 1))
        written += size
        if writer.over_limit and written > writer.kept().bytes + 2 * tail:
            break
    writer.flush()
    summary = writer.finish(complete=True)
    writer.close()
    assert summary.bytes + summary.gap_bytes == written
    assert writer.over_limit
    used = sum(path.stat().st_size for path in folder.iterdir())
    assert used <= 1.25 * (limit + min(tail, limit)) + 64 * 1024
    assert summary.bytes >= limit / 25
