"""What a pool tells of itself: in memory, and on disk for other processes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from botdock._log import logger
from botdock._whole_files import publish
from botdock.executions._files import POOL, read_json
from botdock.executions._lease import runner_lives
from botdock.pool._leavings import STATUS


@attrs.frozen(kw_only=True)
class PoolStatus:
    """What is kept waiting of one template, and what came of that.

    Attributes:
        name: Runtime and entrypoint, such as `python311 bot`; of one that was learned, with the digest's beginning.
        digest: Of the template; empty as long as it is not known.
        count: How many are to wait.
        waiting: How many do.
        hits: Runs that were put into one.
        misses: Runs that were not, though they are of this template, by the reason.
        discarded: Members that were removed unused, by the reason.
        refill_seconds: What the latest took to be ready, the newest last.
        error: Why the last one could not be started; empty where it could.
        given_up: Whether no more is tried, after so many failures.
        learned: Whether it is kept because of a run, and not of the configuration.
        runner: The runner that keeps it.
    """

    name: str
    digest: str = ""
    count: int = 0
    waiting: int = 0
    hits: int = 0
    misses: Mapping[str, int] = attrs.field(factory=dict)
    discarded: Mapping[str, int] = attrs.field(factory=dict)
    refill_seconds: Sequence[float] = ()
    error: str = ""
    given_up: bool = False
    learned: bool = False
    runner: str = ""


@attrs.frozen(kw_only=True)
class PoolReport:
    """What one runner keeps waiting.

    Attributes:
        runner: Its id.
        kinds: By template.
        misses: Runs that are of none of these templates, or could not be put into any member, by the reason.
    """

    runner: str
    kinds: tuple[PoolStatus, ...] = ()
    misses: Mapping[str, int] = attrs.field(factory=dict)

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        return attrs.asdict(self)


def write_report(folder: Path, report: PoolReport) -> bool:
    """Write down, for other processes, what a runner keeps waiting; return whether the disk took it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        publish(folder / STATUS, json.dumps({"schema": 1, **report.document()}).encode(), durable=False)
    except OSError as error:
        logger.bind(error=str(error)).debug("the status of the pool could not be written")
        return False
    return True


def read_reports(home: Path) -> list[PoolReport]:
    """Return what the living runners of a state folder keep waiting, as they last wrote it down.

    Example:
        >>> read_reports(Path("/nowhere"))
        []
    """
    found = []
    with suppress(OSError):
        for folder in sorted((home / POOL).iterdir()):
            document = read_json(folder / STATUS)
            if document is not None and runner_lives(home, folder.name):
                with suppress(TypeError, KeyError, ValueError):  # of another version
                    kinds = tuple(PoolStatus(**kind) for kind in document["kinds"])
                    found.append(PoolReport(runner=folder.name, kinds=kinds, misses=document["misses"]))
    return found
