"""`botdock pool`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botdock.executions._lease import Lease
from botdock.pool import PoolReport, PoolStatus


def kept(home: Path, lease: Lease, **facts: Any) -> PoolReport:
    """Write down what a living runner keeps waiting, as its pool does."""
    runner = lease.hold()
    kind = PoolStatus(name="python311 bot", count=4, waiting=3, runner=runner, **facts)
    report = PoolReport(runner=runner, kinds=(kind,), misses={"template": 2})
    folder = home / "pool" / runner
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(json.dumps({"schema": 1, **report.document()}))
    return report


def test_nothing_waits_and_that_is_said(cli: Callable[..., Any], own_home: Path) -> None:
    shown = cli("pool")
    assert (shown.code, shown.err) == (0, "")
    assert "no runner keeps containers waiting" in shown.out
    assert json.loads(cli("pool", "--json").out) == []
    assert not own_home.exists(), "looking made something"


def test_what_waits_is_shown_with_hits_misses_and_times(cli: Callable[..., Any], own_home: Path) -> None:
    lease = Lease(own_home)
    facts = {"hits": 7, "misses": {"empty": 1}, "discarded": {"died": 1}, "refill_seconds": (0.2, 0.4, 0.3)}
    report = kept(own_home, lease, **facts, error="no room", given_up=True)
    shown = cli("pool")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines() == [
        f"runner {report.runner}",
        "  python311 bot: 3 of 4 wait, 7 hits",
        "    misses: 1 empty",
        "    removed unused: 1 died",
        "    until a new one waits: 0.30 s, at most 0.40 s",
        "    given up: no room",
        "  runs that no template fits: 2 template",
    ]
    (document,) = json.loads(cli("pool", "--json").out)
    assert document["kinds"][0]["hits"] == 7
    lease.give_up()
    assert "no runner keeps" in cli("pool").out, "a runner that died keeps none"
