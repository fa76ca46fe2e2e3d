"""Lines of a stored log: all, the last ones, those of a time, of one stream; against reading everything naively."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from botdock.errors import LogError
from botdock.model.logs import GapReason, LogChunk, LogGap, LogLine, Stream
from botdock.services import lines
from botdock.services.lines import LineSplitter, last_text
from botdock.services.log_store import LogWriter, StoredLog, locate
from botdock.services.log_store.layout import compress_segment
from testbed.drills import count

TEXT = st.lists(st.sampled_from(b"ab\n"), min_size=1, max_size=12).map(bytes)
STEPS = st.lists(st.tuples(st.sampled_from(Stream), TEXT, st.integers(0, 3)), max_size=25)
START = 100
CHECKS = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=count(60, 15)
)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "fdatasync", lambda _: None)


def chunks_of(steps: list[tuple[Stream, bytes, int]]) -> list[LogChunk]:
    now, chunks = START, []
    for stream, data, later in steps:
        now += later
        chunks.append(LogChunk(stream, data, now))
    return chunks


def write(directory: Path, chunks: list[LogChunk], *, segment_bytes: int = 10**9, packed: int = 0) -> StoredLog:
    writer = LogWriter(directory, segment_bytes=segment_bytes)
    for chunk in chunks:
        writer.append(chunk)
    for number in writer.seal_closed():
        if packed >> number % 8 & 1:
            compress_segment(directory, number)
    writer.finish(complete=True)
    writer.close()
    return StoredLog(directory)


def naive(chunks: list[LogChunk], stream: Stream | None) -> list[LogLine]:
    splitter, lines = LineSplitter(), []
    for chunk in chunks:
        if stream in {None, chunk.stream}:
            lines += splitter.feed(chunk)
    return lines + splitter.finish()


def last(lines: list[LogLine], count: int) -> list[LogLine]:
    return lines[max(len(lines) - count, 0) :]


@CHECKS
@given(
    steps=STEPS,
    segment_bytes=st.sampled_from([4, 30, 10**9]),
    packed=st.integers(0, 255),
    tail=st.one_of(st.none(), st.integers(0, 30), st.just(10**9)),
    since=st.one_of(st.none(), st.integers(START - 1, START + 40)),
    until=st.one_of(st.none(), st.integers(START - 1, START + 40)),
    stream=st.sampled_from([None, *Stream]),
    window=st.sampled_from([1, 20, 64 * 1024]),
)
@example(
    steps=[(Stream.STDOUT, data, 0) for data in (b"a\n", b"b", b"b\n")],
    **dict.fromkeys(("since", "until", "stream")),
    segment_bytes=10**9,
    packed=0,
    tail=1,
    window=1,
).via("the last line began before the bytes that are looked at first")
def test_what_is_asked_for_is_what_reading_everything_gives(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[Stream, bytes, int]],
    segment_bytes: int,
    packed: int,
    tail: int | None,
    since: int | None,
    until: int | None,
    stream: Stream | None,
    window: int,
) -> None:
    chunks = chunks_of(steps)
    log = write(tmp_path_factory.mktemp("log") / "logs", chunks, segment_bytes=segment_bytes, packed=packed)
    wanted = [line for line in naive(chunks, stream) if (since or 0) <= line.time_ns <= (until or 10**18)]
    wanted = wanted if tail is None else last(wanted, tail)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locate, "_WINDOW", window)
        assert list(log.lines(tail=tail, since_ns=since, until_ns=until, stream=stream)) == wanted


@CHECKS
@given(steps=STEPS, segment_bytes=st.sampled_from([4, 30, 10**9]), packed=st.integers(0, 255), size=st.integers(0, 90))
def test_the_last_bytes_are_those_of_everything(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[Stream, bytes, int]],
    segment_bytes: int,
    packed: int,
    size: int,
) -> None:
    chunks = chunks_of(steps)
    log = write(tmp_path_factory.mktemp("log") / "logs", chunks, segment_bytes=segment_bytes, packed=packed)
    assert log.tail(size) == last_text(chunks, size)


def test_a_clock_that_was_set_back_hides_nothing(tmp_path: Path) -> None:
    chunks = [LogChunk(Stream.STDOUT, b"%d\n" % now, now) for now in (100, 200, 300, 120, 130, 310)]
    for segment_bytes in (4, 10**9):
        log = write(tmp_path / str(segment_bytes), chunks, segment_bytes=segment_bytes)
        assert [line.time_ns for line in log.lines(until_ns=150) if isinstance(line, LogLine)] == [100, 120, 130]
        assert [line.time_ns for line in log.lines(since_ns=125) if isinstance(line, LogLine)] == [200, 300, 130, 310]


def test_a_gap_ends_the_line_that_it_tears(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    gap = LogGap(stream=Stream.STDOUT, size=5, since_ns=1)
    writer.append(LogChunk(Stream.STDOUT, b"half a", 1))
    writer.note_gap(gap)
    writer.append(LogChunk(Stream.STDOUT, b"line\n", 2))
    writer.close()
    found = list(StoredLog(tmp_path).lines())
    assert found == [
        LogLine(Stream.STDOUT, b"half a", 1, complete=False),
        gap,
        LogLine(Stream.STDOUT, b"line", 2),
    ]
    assert list(StoredLog(tmp_path).lines(stream=Stream.STDERR)) == []


def test_what_retention_has_removed_is_told_with_its_size(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, segment_bytes=2)
    for number in range(4):
        writer.append(LogChunk(Stream.STDOUT, b"%d\n" % number, START + number))
    writer.seal_closed()
    lines = StoredLog(tmp_path).lines(follow=True, alive=lambda: False)
    first = next(lines)
    assert writer.remove_oldest()
    assert writer.remove_oldest()
    assert first == LogLine(Stream.STDOUT, b"0", START)
    removed = LogGap(stream=Stream.STDOUT, size=2, until_ns=START + 1, reason=GapReason.REMOVED)
    assert list(lines) == [removed, LogLine(Stream.STDOUT, b"2", START + 2), LogLine(Stream.STDOUT, b"3", START + 3)]
    again = list(StoredLog(tmp_path).lines())
    assert again[0] == LogGap(stream=Stream.STDOUT, size=4, until_ns=START + 1, reason=GapReason.REMOVED)
    writer.close()


def test_following_ends_by_itself_behind_a_time_that_is_over(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.append(LogChunk(Stream.STDOUT, b"one\ntwo", START))
    writer.append(LogChunk(Stream.STDOUT, b"...\n", START + 5))
    found = list(StoredLog(tmp_path).lines(follow=True, until_ns=START + 1))
    assert [line.data for line in found if isinstance(line, LogLine)] == [b"one", b"two..."]
    writer.close()


def test_a_follower_gets_the_line_that_was_begun_before_it_came(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.append(LogChunk(Stream.STDOUT, b"one\nhalf", START))
    asked: list[int] = []

    def alive() -> bool:
        if not asked:
            writer.append(LogChunk(Stream.STDOUT, b" done\n", START + 1))
        asked.append(1)
        return len(asked) < 3

    lines = StoredLog(tmp_path).lines(tail=0, follow=True, alive=alive)
    assert list(lines) == [LogLine(Stream.STDOUT, b"half done", START)]
    writer.close()


def test_a_tail_reads_only_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunk = b"a line that is long enough\n" * 4000
    log = write(tmp_path, [LogChunk(Stream.STDOUT, chunk, START)] * 100, segment_bytes=10**6)
    read, real = [], os.pread

    def counted(descriptor: int, size: int, offset: int) -> bytes:
        read.append(size)
        return real(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", counted)
    assert len(list(log.lines(tail=100))) == 100
    assert log.tail(10).encode() == chunk[-10:]
    assert len(read) < 50


def test_damage_is_one_clear_error(tmp_path: Path) -> None:
    log = write(tmp_path, [LogChunk(Stream.STDOUT, b"line\n" * 10, START)] * 5, segment_bytes=100)
    index = bytearray((tmp_path / "index.0").read_bytes())
    index[12:16] = b"\xff" * 4  # a length of 4 GiB
    (tmp_path / "index.0").write_bytes(index)
    with pytest.raises(LogError, match=r"stdout\.0 ends .* bytes before"):
        list(log.lines())
    (tmp_path / "stdout.1").unlink()
    (tmp_path / "index.0").write_bytes(bytes(index[20:]))
    with pytest.raises(LogError, match=r"stdout\.1 is missing"):
        list(log.lines())
    with pytest.raises(LogError, match="there is no log"):
        list(StoredLog(tmp_path / "nowhere").lines())


def test_an_empty_folder_has_no_lines(tmp_path: Path) -> None:
    assert list(StoredLog(tmp_path).lines(tail=3)) == []
    assert list(StoredLog(tmp_path).lines(since_ns=3)) == []


@CHECKS
@given(
    steps=STEPS,
    gaps=st.sets(st.integers(0, 24)),
    segment_bytes=st.sampled_from([4, 30, 10**9]),
    packed=st.integers(0, 255),
    gone=st.integers(0, 3),
    since=st.one_of(st.none(), st.integers(START - 1, START + 40)),
    stream=st.sampled_from([None, *Stream]),
    piece=st.sampled_from([2, 5, 64 * 1024]),
)
def test_reading_in_pieces_by_positions_gives_what_reading_at_once_does(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[Stream, bytes, int]],
    gaps: set[int],
    segment_bytes: int,
    packed: int,
    gone: int,
    since: int | None,
    stream: Stream | None,
    piece: int,
) -> None:
    writer = LogWriter(tmp_path_factory.mktemp("log") / "logs", segment_bytes=segment_bytes)
    for number, chunk in enumerate(chunks_of(steps)):
        if number in gaps:
            writer.note_gap(LogGap(stream=chunk.stream, size=number + 1, since_ns=chunk.time_ns))
        writer.append(chunk)
    for number in writer.seal_closed():
        if packed >> number % 8 & 1:
            compress_segment(writer.directory, number)
    for _ in range(gone):
        writer.remove_oldest()
    writer.close()
    log = StoredLog(writer.directory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "MAX_PIECE", piece)
        whole = list(log.lines(since_ns=since, stream=stream, positions=True))
        for number, item in enumerate(whole, start=1):
            rest = list(log.lines(since_ns=since, stream=stream, after=item.position, positions=True))
            assert rest == whole[number:]
            assert [one.position for one in rest[-1:]] == [one.position for one in whole[number:][-1:]]


def test_behind_the_gap_of_one_stream_is_that_of_the_other(tmp_path: Path) -> None:
    writer, log = LogWriter(tmp_path, segment_bytes=4), StoredLog(tmp_path)
    for stream, data in [(Stream.STDOUT, b"a\n"), (Stream.STDERR, b"b\n"), (Stream.STDOUT, b"c\n")]:
        writer.append(LogChunk(stream, data, START))
    writer.seal_closed()
    writer.remove_oldest()
    writer.close()
    items = list(log.lines(positions=True))
    assert [item.size for item in items if isinstance(item, LogGap)] == [2, 2]
    assert [list(log.lines(after=item.position)) for item in items] == [items[1:], items[2:], []]


def test_a_position_holds_over_growth_and_retention(tmp_path: Path) -> None:
    writer, log = LogWriter(tmp_path, segment_bytes=8), StoredLog(tmp_path)
    writer.append(LogChunk(Stream.STDERR, b"open", START))
    writer.append(LogChunk(Stream.STDOUT, b"one\nhal", START + 1))
    *_, last_one = log.lines(positions=True)
    assert [line.data for line in log.lines() if isinstance(line, LogLine)] == [b"one", b"hal", b"open"]
    writer.append(LogChunk(Stream.STDOUT, b"f\ntwo\n", START + 2))
    writer.append(LogChunk(Stream.STDERR, b"ed\n", START + 3))
    writer.seal_closed()
    rest = [
        LogLine(Stream.STDOUT, b"f", START + 1),
        LogLine(Stream.STDOUT, b"two", START + 2),
        LogLine(Stream.STDERR, b"ed", START),
    ]
    assert list(log.lines(after=last_one.position)) == rest
    assert list(log.lines(after=last_one.position, tail=1)) == rest[2:]
    assert writer.remove_oldest()
    assert list(log.lines(after=last_one.position)) == rest
    first, *_ = log.lines(after=last_one.position, positions=True)
    writer.append(LogChunk(Stream.STDOUT, b"a new segment\n", START + 4))
    writer.append(LogChunk(Stream.STDOUT, b"and one more\n", START + 5))
    writer.seal_closed()
    assert writer.remove_oldest()
    found = list(log.lines(after=first.position))
    assert [item.size for item in found if isinstance(item, LogGap)] == [4, 3]
    with pytest.raises(ValueError, match="is not a position"):
        log.lines(after="7")
    writer.close()
