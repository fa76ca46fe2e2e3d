"""A log that was cut or overwritten behind the shim's back, or whose shim died: readers are told."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import ContainerError
from botdock.model import ContainerHandle, LogChunk, LogCursor, Stream
from botdock.shim import _log
from botdock.shim._program import files
from botdock.shim._program.files import read_record, write_record
from botdock_engine_process.engine import ProcessEngine

CALL = 30.0
WRITTEN = {Stream.STDOUT: b"one\ntwo\nthree", Stream.STDERR: b"uno\n"}
BOT = "printf 'one\\n'; sleep 0.05; printf 'uno\\n' >&2; sleep 0.05; printf 'two\\nthree'"


def ended(engine: ProcessEngine, spec: Any) -> ContainerHandle:
    container = engine.create(*spec, timeout=CALL)
    engine.start(container, timeout=CALL)
    assert engine.wait(container, timeout=CALL) is not None
    return container


def collected(
    engine: ProcessEngine, container: ContainerHandle
) -> tuple[dict[Stream, bytes], dict[Stream, int | None]]:
    """Read as the collector does: where a stream breaks, go on behind what is known; return bytes and gaps."""
    found, gaps, at = dict.fromkeys(Stream, b""), dict[Stream, int | None](), dict.fromkeys(Stream, 0)
    for _ in range(4):
        cursor = LogCursor(stdout=at[Stream.STDOUT], stderr=at[Stream.STDERR])
        with engine.read_logs(container, cursor=cursor, follow=True, timeout=CALL) as stream:
            chunks: list[LogChunk] = []
            with suppress(ContainerError):
                while not stream.ended:
                    chunks += stream.read(1.0)
            for gap in stream.lost if chunks or stream.ended else ():
                gaps[gap.stream] = gap.size
                at[gap.stream] += gap.size or 0
            for chunk in chunks:
                found[chunk.stream] += chunk.data
                at[chunk.stream] += len(chunk.data)
            if stream.ended:
                return found, gaps
    raise AssertionError("it breaks for ever")


DAMAGES: dict[str, Callable[[bytes, int], bytes]] = {
    "cut": lambda content, at: content[:at],
    "overwritten": lambda content, at: content[:at] + b"\xff" * (len(content) - at),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_whatever_is_missing_of_an_ended_log_is_counted(
    engine: ProcessEngine, state: Path, shell_spec: Any, damage: Callable[[bytes, int], bytes]
) -> None:
    container = ended(engine, shell_spec(BOT))
    log = state / container.id / f"{files.LOG}0"
    content = log.read_bytes()
    assert collected(engine, container) == (WRITTEN, {})
    for at in range(len(content)):
        log.write_bytes(damage(content, at))
        found, gaps = collected(engine, container)
        for stream, data in WRITTEN.items():
            assert len(found[stream]) + (gaps.get(stream) or 0) == len(data), (at, found, gaps)
            assert damage is not DAMAGES["cut"] or data.startswith(found[stream])


def test_what_is_damaged_in_the_middle_is_counted_and_the_rest_read(
    engine: ProcessEngine, state: Path, shell_spec: Any
) -> None:
    container = ended(engine, shell_spec("true"))
    folder = state / container.id
    second = files.FRAME.pack(1, 5, files.STDOUT) + b"after"
    for number, content in enumerate((files.FRAME.pack(1, 9, files.STDOUT) + b"cut", second)):
        head = files.HEAD.pack(9 * number, 0)
        (folder / f"{files.LOG}{number}").write_bytes(head + content)
    document = {**(read_record(str(folder / files.EXIT)) or {}), "logged": [14, 0]}
    write_record(str(folder / files.EXIT), document)
    found, gaps = collected(engine, container)
    assert (found[Stream.STDOUT], gaps) == (b"after", {Stream.STDOUT: 9})


def test_the_end_of_a_log_whose_shim_was_killed_is_not_known(
    engine: ProcessEngine, state: Path, shell_spec: Any
) -> None:
    container = engine.create(*shell_spec("printf begun; exec sleep 60"), timeout=CALL)
    with engine.attach(container, timeout=CALL) as stream:
        engine.start(container, timeout=CALL)
        assert b"".join(chunk.data for chunk in stream.read(CALL)) == b"begun"
        shim = read_record(str(state / container.id / files.SHIM))
        assert shim is not None
        os.kill(shim["pid"], signal.SIGKILL)
        status = engine.wait(container, timeout=CALL)
    assert status is not None
    assert status.exit_code is None
    found, gaps = collected(engine, container)
    assert found[Stream.STDOUT] == b"begun"
    assert gaps == dict.fromkeys(Stream, None)
    engine.remove(container, timeout=CALL)


def test_skipping_what_is_stored_is_a_block_a_read(
    engine: ProcessEngine, state: Path, shell_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = ended(engine, shell_spec("true"))
    frame = files.FRAME.pack(1, 9, files.STDOUT) + b"123456789"
    (state / container.id / f"{files.LOG}0").write_bytes(files.HEAD.pack(0, 0) + 50 * frame)
    monkeypatch.setattr(_log, "BLOCK", 3 * len(frame))
    cursor = LogCursor(stdout=50 * 9 - 1)
    with engine.read_logs(container, cursor=cursor, follow=True, timeout=CALL) as stream:
        skipped, seen = 0, stream.activity
        while not (chunks := stream.read(0.0)):
            assert stream.activity > seen, "it works its way through"
            skipped, seen = skipped + 1, stream.activity
        assert [chunk.data for chunk in chunks] == [b"9"]
        assert skipped
