"""Docker's words about a container, as botdock's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botdock.model import ContainerInfo, ContainerState, ContainerStatus

STATES = {
    "created": ContainerState.CREATED,
    "running": ContainerState.RUNNING,
    "paused": ContainerState.RUNNING,
    "restarting": ContainerState.RUNNING,
    "exited": ContainerState.EXITED,
    "dead": ContainerState.EXITED,
}
"""Docker's states; one that is being removed is in none that botdock knows."""
NEVER = 1
"""The year of Go's zero time, which Docker writes for 'not yet'."""


def read_status(inspected: Mapping[str, Any]) -> ContainerStatus:
    """Return the status that an answer of `inspect` tells.

    Docker says 128+n both for a signal and for a program that exits so; the signal stays unknown.
    """
    state = inspected["State"]
    where = STATES.get(state["Status"], ContainerState.UNKNOWN)
    started_at, finished_at = read_time(state.get("StartedAt", "")), read_time(state.get("FinishedAt", ""))
    if started_at and finished_at:  # the daemon notes the start after it, so a very short life may seem to end before
        started_at = min(started_at, finished_at)
    return ContainerStatus(
        container_id=inspected["Id"],
        state=where,
        exit_code=state["ExitCode"] if where is ContainerState.EXITED else None,
        oom_killed=bool(state.get("OOMKilled")),
        started_at=started_at,
        finished_at=finished_at,
        error=state.get("Error", ""),
    )


def read_info(listed: Mapping[str, Any]) -> ContainerInfo:
    """Return what a line of `list` tells."""
    return ContainerInfo(
        container_id=listed["Id"],
        name=next(iter(listed.get("Names") or ()), "").lstrip("/"),
        image=listed.get("Image", ""),
        state=STATES.get(listed.get("State", ""), ContainerState.UNKNOWN),
        labels=listed.get("Labels") or {},
        created_at=datetime.fromtimestamp(listed["Created"], UTC) if listed.get("Created") else None,
    )


def read_time(text: str) -> datetime | None:
    """Return a time of Docker's in UTC, None for one that has not come; nanoseconds are cut to microseconds."""
    if not text:
        return None
    time = datetime.fromisoformat(text)
    return None if time.year == NEVER else time.astimezone(UTC)
