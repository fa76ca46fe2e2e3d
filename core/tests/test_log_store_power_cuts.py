"""A log over a power cut: what was synced is there, and what is there without its other half goes."""

import os
from pathlib import Path

import pytest

from botdock.model.logs import LogChunk, LogGap, Stream
from botdock.services.log_store import LogWriter, StoredLog
from botdock.services.log_store.verify import verify


def stored(directory: Path) -> bytes:
    return b"".join(chunk.data for chunk in StoredLog(directory).chunks())


def test_a_segment_that_lost_its_end_in_a_power_cut_takes_the_later_ones_with_it(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, segment_bytes=4)
    for text in (b"one\n", b"two\n", b"tri\n"):
        writer.append(LogChunk(Stream.STDOUT, text, 1))
    writer.close()
    (tmp_path / "stdout.1").write_bytes(b"tw")
    again = LogWriter(tmp_path, segment_bytes=4)
    assert again.cursor.stdout == 4
    again.append(LogChunk(Stream.STDOUT, b"two\n", 1))
    again.append(LogChunk(Stream.STDOUT, b"tri\n", 1))
    again.finish(complete=True)
    again.close()
    assert stored(tmp_path) == b"one\ntwo\ntri\n"
    assert verify(tmp_path).findings == ()


def test_zeros_that_a_power_cut_left_in_an_index_end_what_counts(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    for text in (b"one\n", b"two\n"):
        writer.append(LogChunk(Stream.STDOUT, text, 1))
    writer.note_gap(LogGap(stream=Stream.STDOUT, size=3))
    writer.close()
    index = (tmp_path / "index.0").read_bytes()
    (tmp_path / "index.0").write_bytes(index[:20] + bytes(20) + index[40:])
    again = LogWriter(tmp_path)
    assert again.cursor.stdout == len(b"one\n"), "the gap proves itself, but not that the bytes before it are there"
    again.finish(complete=True)
    again.close()
    assert verify(tmp_path).findings == ()


def test_a_segment_is_synced_before_it_is_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seals_there: list[bool] = []
    monkeypatch.setattr(os, "fdatasync", lambda _: seals_there.append((tmp_path / "segment.0.json").exists()))
    writer = LogWriter(tmp_path, segment_bytes=4)
    writer.append(LogChunk(Stream.STDOUT, b"one\n", 1))
    assert writer.seal_closed() == [0]
    assert seals_there == [False, False], "of a stream that has bytes, and of the index"
    writer.close()


def test_the_end_of_a_log_brings_the_names_of_all_its_files_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, set[str]]] = []
    real = os.fsync

    def noted(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((path.name, {entry.name for entry in path.iterdir()} if path.is_dir() else set()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    writer = LogWriter(tmp_path)
    writer.append(LogChunk(Stream.STDERR, b"one\n", 1))
    writer.finish(complete=True)
    writer.close()
    *files, (folder, there) = synced
    assert [name for name, _ in files] == [".segment.0.json.tmp", ".end.json.tmp"]
    assert folder == tmp_path.name
    assert there == {"stdout.0", "stderr.0", "index.0", "segment.0.json", "end.json"}


def test_what_was_stored_is_synced_after_its_files_were_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fdatasync

    def noted(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", noted)
    writer = LogWriter(tmp_path)
    writer.append(LogChunk(Stream.STDOUT, b"one\n", 1))
    writer.close()
    writer.sync()
    assert synced == ["stdout.0", "index.0"]
    writer.close()
    writer.append(LogChunk(Stream.STDOUT, b"two\n", 1))
    writer.close()
    assert stored(tmp_path) == b"one\ntwo\n"
