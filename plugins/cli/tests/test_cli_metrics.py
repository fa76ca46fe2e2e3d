"""`botdock metrics`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.services.metrics import MetricsService, metrics_folder, read_total

LABELS = (("engine", "docker"), ("outcome", "failed"), ("runtime", "bash"))


@pytest.fixture
def ran(own_home: Path) -> Callable[..., MetricsService]:
    """A runner that counted something, and that has ended unless it is told to live on."""

    def run(*, times: int = 1, lives: bool = False) -> MetricsService:
        service = MetricsService(folder=metrics_folder(own_home))
        for _ in range(times):
            service.record("execution", labels=LABELS, seconds=2.0, size=2048, success=False)
            service.record_log_operation("gap", False, 5)
        if lives:
            assert service._total
            service._total.export()
        else:
            service.close()
        return service

    return run


def test_nothing_counted_is_said(cli: Callable[..., Any], own_home: Path) -> None:
    shown = cli("metrics")
    assert (shown.code, shown.err) == (0, "")
    first, blank, last = shown.out.splitlines()
    assert first.endswith("UTC: 0 runners")
    assert (blank, last) == ("", "nothing has been counted yet")
    assert not own_home.exists(), "looking made something"


def test_the_sum_over_all_runners_is_a_table(cli: Callable[..., Any], ran: Callable[..., MetricsService]) -> None:
    ran(times=2)
    living = ran(lives=True)
    shown = cli("metrics")
    living.close()
    assert (shown.code, shown.err) == (0, "")
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    assert lines[0].endswith("UTC: 2 runners")
    assert lines[2:] == [
        "EXECUTION count errors bytes total p50 p95 p99",
        "docker failed bash 3 3 6 KiB 6 s 1.75 s 2.42 s 2.48 s",
        "",
        "LOG count errors bytes total p50 p95 p99",
        "gap 3 3 15 B - - - -",
    ]


def test_json_holds_the_estimates_and_the_buckets(cli: Callable[..., Any], ran: Callable[..., MetricsService]) -> None:
    ran()
    document = json.loads(cli("metrics", "--json").out)
    assert (document["runners"], document["reset"]) == (1, False)
    execution, gap = document["operations"]
    assert execution["operation"] == "execution"
    assert execution["labels"] == dict(LABELS)
    assert (execution["count"], execution["errors"], execution["bytes"], execution["seconds"]) == (1, 1, 2048, 2.0)
    assert 1.0 < execution["p50_seconds"] < execution["p95_seconds"] < execution["p99_seconds"] <= 2.5
    assert (execution["buckets"]["1.0"], execution["buckets"]["2.5"], execution["buckets"]["+Inf"]) == (0, 1, 1)
    assert (gap["timed"], gap["p50_seconds"]) == (0, None)


def test_a_reset_shows_it_once_more_and_says_what_it_did(
    cli: Callable[..., Any], ran: Callable[..., MetricsService], own_home: Path
) -> None:
    ran()
    living = ran(lives=True)
    shown = cli("metrics", "--reset")
    assert shown.code == 0
    assert "docker failed bash" in shown.out
    assert "forgotten: all that was counted since" in shown.err
    assert "nothing has been counted yet" in cli("metrics").out
    living.record("execution", labels=LABELS)
    living.close()
    (stats,) = read_total(metrics_folder(own_home)).snapshot.operations.values()
    assert stats.count == 1
    assert json.loads(cli("metrics", "--reset", "--json").out)["reset"] is True
    assert "there was nothing to forget" in cli("metrics", "--reset").err


def test_a_damaged_file_is_put_aside_with_a_warning(
    botdock: Callable[..., Any], ran: Callable[..., MetricsService], own_home: Path
) -> None:
    ran()
    damaged = metrics_folder(own_home) / "total.sqlite"
    damaged.write_text("{" * 600)
    shown = botdock("metrics")
    assert shown.code == 0
    assert shown.err.startswith(f"botdock: warning: {damaged} is damaged; a new one begins")
    assert len(shown.err.splitlines()) == 1
    assert "nothing has been counted yet" in shown.out


def test_a_file_that_cannot_be_read_is_an_error_of_one_line(cli: Callable[..., Any], own_home: Path) -> None:
    (metrics_folder(own_home) / "total.sqlite").mkdir(parents=True)
    shown = cli("metrics")
    assert (shown.code, shown.out) == (125, "")
    assert shown.err.startswith(f"botdock: metrics folder {metrics_folder(own_home)}: unable to open database file")
    assert len(shown.err.splitlines()) == 1


def test_a_run_by_hand_is_counted(botdock: Callable[..., Any], own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot" / "main.sh").write_text("echo hello\n")
    for _ in range(2):
        assert botdock("run", str(tmp_path / "bot"), "--engine", "process").code == 0
    operations = json.loads(botdock("metrics", "--json").out)["operations"]
    (execution,) = (one for one in operations if one["operation"] == "execution")
    assert execution["labels"] == {"engine": "process", "outcome": "succeeded", "runtime": "bash"}
    assert (execution["count"], execution["errors"], execution["bytes"]) == (2, 0, 12)
    assert {path.name for path in metrics_folder(own_home).iterdir()} == {"total.lock", "total.sqlite"}
