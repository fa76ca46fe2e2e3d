"""The records of a container, and by what a process is known."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from botdock.shim._program.files import identity_of, read_record, write_record


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


@pytest.mark.parametrize(("there", "identity"), [(True, None), (False, "unverified")])
def test_without_proc_a_process_is_known_by_its_number_alone(
    monkeypatch: pytest.MonkeyPatch, there: bool, identity: str | None
) -> None:
    def no_proc(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", no_proc)
    monkeypatch.setattr(os.path, "exists", lambda _: there)
    assert identity_of(os.getpid()) == identity


def test_without_proc_a_dead_process_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "exists", lambda _: False)
    assert identity_of(4_194_305) is None  # above the kernel's largest number
