"""The reader of the log file, held to a model."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.errors import ContainerError, ContainerNotFoundError
from botdock.model import LogCursor, Stream
from botdock.shim import _log as reading
from botdock.shim._container import ContainerFolder
from botdock.shim._log import ShimLogStream
from botdock.shim._program import files
from botdock.shim._program import log as writing
from botdock.shim._program.log import HASTY_READS, LARGE_PIPE, MUCH, Bells, Pace
from botdock_engine_process.engine import ProcessEngine

CALL = 30.0
KINDS = {Stream.STDOUT: files.STDOUT, Stream.STDERR: files.STDERR}
Frames = list[tuple[Stream, bytes]]

frames = st.lists(st.tuples(st.sampled_from(Stream), st.binary(min_size=1, max_size=40)), max_size=20)


def packed(written: Frames) -> bytes:
    return b"".join(
        files.FRAME.pack(number, len(data), KINDS[stream]) + data for number, (stream, data) in enumerate(written)
    )


def joined(written: Frames, stream: Stream) -> bytes:
    return b"".join(data for kind, data in written if kind is stream)


def read_all(content: bytes, *, stdout: int = 0, stderr: int = 0, later: bytes = b"") -> Frames:
    with tempfile.TemporaryDirectory() as name:
        file, cursor = Path(name) / f"{files.LOG}0", LogCursor(stdout=stdout, stderr=stderr)
        file.write_bytes(files.HEAD.pack(0, 0) + content)
        (file.parent / files.BELLS).mkdir()
        found = Frames()
        with ShimLogStream(ContainerFolder(file.parent), cursor=cursor, follow=False) as stream:
            with file.open("ab") as more:
                more.write(later)
            while not stream.ended:
                found += [(chunk.stream, chunk.data) for chunk in stream.read(CALL)]
        return found


@given(written=frames, stdout=st.integers(0, 900), stderr=st.integers(0, 900))
def test_what_is_behind_the_cursor_is_read_and_nothing_else(written: Frames, stdout: int, stderr: int) -> None:
    found = read_all(packed(written), stdout=stdout, stderr=stderr)
    assert joined(found, Stream.STDOUT) == joined(written, Stream.STDOUT)[stdout:]
    assert joined(found, Stream.STDERR) == joined(written, Stream.STDERR)[stderr:]
    assert all(data for _, data in found)


@given(written=frames, torn=st.integers(1, 60))
def test_a_frame_that_is_not_whole_is_not_read(written: Frames, torn: int) -> None:
    content = packed([*written, (Stream.STDOUT, b"x" * 60)])[:-torn]
    assert read_all(content) == written


@given(written=frames, later=frames)
def test_what_is_written_after_the_end_is_not_read(written: Frames, later: Frames) -> None:
    assert read_all(packed(written), later=packed(later)) == written


@given(written=frames, block=st.integers(60, 200))
def test_blocks_may_end_anywhere(written: Frames, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK", block)
        assert read_all(packed(written)) == written


def test_a_stream_whose_log_is_gone_leaves_nothing_open(engine: ProcessEngine, state: Path, shell_spec: Any) -> None:
    container = engine.create(*shell_spec("true"), timeout=CALL)
    (state / container.id / f"{files.LOG}0").unlink()
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(ContainerNotFoundError):
        engine.attach(container, timeout=CALL)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert list((state / container.id / files.BELLS).iterdir()) == []


def test_a_closed_stream_has_no_descriptor_and_leaves_no_bell(
    engine: ProcessEngine, state: Path, shell_spec: Any
) -> None:
    container = engine.create(*shell_spec("true"), timeout=CALL)
    stream = engine.attach(container, timeout=CALL)
    assert stream.fileno() is not None
    stream.close()
    assert stream.fileno() is None
    assert list(stream.read(1.0)) == []
    assert list((state / container.id / files.BELLS).iterdir()) == []


def test_a_reader_that_no_shim_answers_learns_of_its_death(
    engine: ProcessEngine, state: Path, shell_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LOOK_SECONDS", 0.01)
    container = engine.create(*shell_spec("true"), timeout=CALL)
    with engine.attach(container, timeout=CALL) as stream:
        assert list(stream.read(0.02)) == []
        (state / container.id / files.SHIM).write_text('{"pid": 1, "identity": "long dead"}')
        assert list(stream.read(CALL)) == []
        assert stream.ended


def test_errors_of_the_system_are_errors_of_the_container(
    engine: ProcessEngine, shell_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = engine.create(*shell_spec("true"), timeout=CALL)

    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ContainerFolder, "remove", fail)
    with pytest.raises(ContainerError, match=r"cannot remove container .*Permission denied") as caught:
        engine.remove(container, timeout=CALL)
    assert caught.value.container_id == container.id
    monkeypatch.undo()


def test_a_bell_is_never_seen_before_somebody_listens_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / files.BELLS).mkdir()
    (tmp_path / f"{files.LOG}0").touch()
    make, shim = os.mkfifo, Bells(str(tmp_path / files.BELLS))

    def made_and_looked_at(path: Path, mode: int) -> None:
        make(path, mode)
        shim.scan()

    monkeypatch.setattr(os, "mkfifo", made_and_looked_at)
    with ShimLogStream(ContainerFolder(tmp_path), cursor=LogCursor(), follow=True):
        shim.scan()
        assert len(list((tmp_path / files.BELLS).iterdir())) == 1, "it was not taken down"
    shim.close()


def test_only_what_a_bot_writes_all_the_time_is_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    now, rests = [100.0], list[float]()
    monkeypatch.setattr(writing, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=rests.append))
    pace, (pipe, other) = Pace(), os.pipe()
    for pause, size, reads, rested in [
        (0.01, 10, 1000, 0),  # line by line, and not soon behind one another
        (0.0001, 10, HASTY_READS, 0),  # a few at once
        (0.0001, 10, 5, 5),
        (0.01, 10, 1, 0),  # silent for a moment
        (0.0001, MUCH, HASTY_READS + 5, 0),  # there is more
    ]:
        rests.clear()
        for _ in range(reads):
            now[0] += pause
            pace.has_read(pipe, size)
        assert len(rests) == rested
    assert fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) in {2 * MUCH, LARGE_PIPE}  # a user with many pipes gets no more
    for descriptor in (pipe, other):
        os.close(descriptor)
