"""What the storage verbs do is counted in the state folder, as what runs do is, and fails no command."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from botdock.model.metrics import OperationStats
from botdock.services.metrics import metrics_folder, read_total

TEN = b"0123456789"


@pytest.fixture
def counted(own_home: Path) -> Callable[[], dict[str, tuple[int, int, int]]]:
    """Say of each operation on the storage how often there was one, how often it failed, and its bytes."""

    def look() -> dict[str, tuple[int, int, int]]:
        total = read_total(metrics_folder(own_home))
        found: Mapping[Any, OperationStats] = total.snapshot.operations
        assert all(stats.timed == stats.count for stats in found.values())
        return {name: (stats.count, stats.errors, stats.bytes) for (name, _), stats in found.items()}

    return look


Counts = Callable[[], dict[str, tuple[int, int, int]]]


def test_each_verb_is_counted(
    cli: Callable[..., Any], counted: Counts, tmp_path: Path, stored: Callable[..., Path]
) -> None:
    (tmp_path / "file").write_bytes(TEN)
    assert cli("storage", "put", str(tmp_path / "file"), "a.zip").code == 0
    assert counted() == {"storage.put": (1, 0, 10)}
    assert cli("storage", "get", "a.zip", "-o", "-").stdout == TEN
    assert cli("storage", "ls").code == 0
    assert cli("storage", "stat", "a.zip").code == 0
    assert cli("storage", "rm", "a.zip").code == 0
    assert not stored("a.zip").exists()
    assert counted() == {
        "storage.put": (1, 0, 10),
        "storage.get": (1, 0, 10),
        "storage.list": (1, 0, 0),
        "storage.stat": (2, 0, 0),
        "storage.delete": (1, 0, 0),
    }


def test_what_fails_is_counted_as_an_error(cli: Callable[..., Any], counted: Counts) -> None:
    assert cli("storage", "stat", "nothing").code == 2
    assert cli("storage", "get", "nothing").code == 2
    found = counted()
    assert found["storage.stat"] == (1, 1, 0)
    assert found["storage.get"] == (1, 1, 0)
    assert found["storage.list"][1] == 0, "looking for what was meant is not a failure"


def test_all_that_is_deleted_below_a_prefix_is_one_deletion(
    cli: Callable[..., Any], counted: Counts, store: Callable[..., None]
) -> None:
    store("old/a", "old/b")
    assert cli("storage", "rm", "--prefix", "old/", "--yes").code == 0
    assert counted()["storage.delete"] == (1, 0, 0)


def test_a_pack_that_is_put_is_counted(cli: Callable[..., Any], counted: Counts, tmp_path: Path) -> None:
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot" / "main.sh").write_text("echo hi\n")
    assert cli("pack", str(tmp_path / "bot"), "--put", "bot.zip").code == 0
    count, errors, size = counted()["storage.put"]
    assert (count, errors, size > 0) == (1, 0, True)


def test_a_mistake_that_calls_no_storage_is_not_counted(cli: Callable[..., Any], own_home: Path) -> None:
    assert cli("storage", "rm").code == 2
    assert cli("storage", "stat", "../x").code == 2
    assert not metrics_folder(own_home).exists()


def test_without_the_feature_nothing_is_kept(
    cli: Callable[..., Any], own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOTDOCK_FEATURES__METRICS", "false")
    assert cli("storage", "ls").code == 0
    assert not metrics_folder(own_home).exists()


def test_metrics_shows_them_and_counts_each_command_as_a_runner(cli: Callable[..., Any]) -> None:
    cli("storage", "ls")
    cli("storage", "ls")
    shown = json.loads(cli("metrics", "--json").out)
    assert shown["runners"] == 2
    assert [(row["operation"], row["count"]) for row in shown["operations"]] == [("storage.list", 2)]


def test_no_exporter_is_opened_for_a_short_command(
    botdock: Callable[..., Any], store: Callable[..., None], tmp_path: Path, counted: Counts
) -> None:
    """An endpoint of its own would be in the way of a runner that has one."""
    textfile = tmp_path / "botdock.prom"
    config = tmp_path / "botdock.toml"
    config.write_text(f'[metrics]\nexporters = ["prometheus"]\n[options.prometheus]\ntextfile = "{textfile}"\n')
    store("a.zip")
    listed = botdock("storage", "ls", BOTDOCK_CONFIG=str(config))
    assert (listed.code, listed.err) == (0, "")
    assert not textfile.exists()
    assert counted() == {"storage.list": (1, 0, 0)}


@pytest.mark.parametrize("verb", [("ls",), ("stat", "a.zip"), ("get", "a.zip", "-o", "-")])
def test_a_folder_that_cannot_be_written_is_a_warning_and_no_failure(
    botdock: Callable[..., Any], store: Callable[..., None], own_home: Path, verb: tuple[str, ...]
) -> None:
    store("a.zip")
    metrics_folder(own_home).write_bytes(b"in the way")
    done = botdock("storage", *verb)
    assert done.code == 0
    assert done.out
    warning, *rest = done.err.splitlines()
    assert "warning: metrics export failed" in warning
    assert rest == []
    assert metrics_folder(own_home).read_bytes() == b"in the way"


def test_a_reader_that_has_seen_enough_is_no_failure(
    botdock: Callable[..., Any], store: Callable[..., None], counted: Counts
) -> None:
    store(*(f"{number:04}" for number in range(5)))
    assert botdock("storage", "rm", "--prefix", "00").code == 2
    assert botdock("storage", "stat", "absent").code == 2
    assert counted()["storage.list"][1] == 0
