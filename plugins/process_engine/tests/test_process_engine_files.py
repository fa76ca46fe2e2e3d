"""The records of a container, and by what a process is known."""

from __future__ import annotations

from pathlib import Path

from botdock.shim._program.files import read_record, write_record


def test_records_are_replaced_and_claimed(tmp_path: Path) -> None:
    path = str(tmp_path / "record")
    assert read_record(path) is None
    assert write_record(path, {"n": 1}, once=True)
    assert not write_record(path, {"n": 2}, once=True)
    assert read_record(path) == {"n": 1}
    assert write_record(path, {"n": 3})
    assert read_record(path) == {"n": 3}
    assert [found.name for found in tmp_path.iterdir()] == ["record"]
    assert (tmp_path / "record").stat().st_mode & 0o777 == 0o600


def test_a_record_that_is_not_whole_is_none(tmp_path: Path) -> None:
    (tmp_path / "record").write_text('{"n": ')
    assert read_record(str(tmp_path / "record")) is None
