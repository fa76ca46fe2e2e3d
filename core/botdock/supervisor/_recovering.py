"""What a supervisor finds when it begins: executions without a runner, by what it takes to go on with them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import attrs

from botdock.executions._files import EXECUTIONS, OUTCOME, REQUEST, execution_ids, is_orphan, read_json
from botdock.executions._lease import HOLDER, Lease
from botdock.orchestrator.journal import sweep_drafts, tidy
from botdock.orchestrator.strays import dead_members, engine_of


@attrs.frozen(kw_only=True)
class Group:
    """Executions that one runner can go on with.

    Attributes:
        overrides: What makes the configuration the one of that runner.
        bots: The id of the bot of each, by the execution's.
    """

    overrides: dict[str, Any]
    bots: dict[str, str] = attrs.field(factory=dict)


def groups(home: Path, only: Collection[str] | None, known: Collection[str]) -> Iterator[Group]:
    """Yield the executions whose runner has died, by engine and storage; no execution where only a pool is left.

    Args:
        home: The state folder.
        only: Which, by their ids; None for all.
        known: Those that are under way.
    """
    found: dict[tuple[str, str], Group] = {}
    for name in execution_ids(home) if only is None else sorted(only):
        directory = home / EXECUTIONS / name
        if name in known or not is_orphan(directory):
            continue
        request = read_json(directory / REQUEST) or {}
        named = {"engine": engine_of(directory) or "", "storage": str(request.get("storage") or "")}
        overrides = {key: value for key, value in named.items() if value}
        group = found.setdefault((named["engine"], named["storage"]), Group(overrides=overrides))
        group.bots[name] = str(request.get("id") or "")
    if only is None and not found and dead_members(home):
        found["", ""] = Group(overrides={})
    yield from found.values()


def tidy_up(home: Path) -> None:
    """Remove what runners had not removed to its end when they died, of what needs no engine."""
    Lease(home).sweep()
    sweep_drafts(home)
    for name in execution_ids(home):
        directory = home / EXECUTIONS / name
        if (directory / HOLDER).exists() and (directory / OUTCOME).exists():
            tidy(directory)
