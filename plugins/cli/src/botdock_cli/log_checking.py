"""`botdock logs --verify`: whether a log is what was stored, here and in the storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botdock.model import Phase, Progress
from botdock_cli.log_findings import CopyCheck, LogCheck
from botdock_cli.log_storage import StoredCopy
from botdock_cli.output import print_json, print_text
from botdock_cli.progress import bars_on_terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdock.config import Config
    from botdock.executions import ExecutionRecord
    from botdock_cli.log_request import LogRequest
    from botdock_cli.progress import ProgressBars
    from botdock_cli.session import Session

EXIT_DIFFERENT = 1
WORTH_SHOWING = 64 * 1024 * 1024
"""Bytes; less is checked before anybody has read that it is being checked."""


def verify_log(session: Session, request: LogRequest) -> int:
    """Check the log of an execution, say what was checked and what differs, and return what to exit with.

    Raises:
        UserError: There is no such execution.
        LogError: It has no log.
    """
    config = session.load_config()
    session.show_log()
    executions = session.executions()
    record = executions.get(request.name)
    asked_for: dict[str, Any] = executions.inspect(record.execution_id)["request"] or {}
    with bars_on_terminal(least=WORTH_SHOWING) as bars:
        check = LogCheck(
            execution_id=record.execution_id,
            here=executions.verify(record.execution_id, progress=_bar(bars, f"log of {record.execution_id}")),
            copy=_check_copy(session, record, asked_for, bars) if _is_persisted(config, asked_for) else None,
        )
    printed = print_json(check.document()) if request.as_json else print_text(check.text())
    return printed or (0 if check.ok else EXIT_DIFFERENT)


def _is_persisted(config: Config, request: dict[str, Any]) -> bool:
    return bool(request.get("persist_results")) and config.features.persistence


def _check_copy(
    session: Session, record: ExecutionRecord, request: dict[str, Any], bars: ProgressBars | None
) -> CopyCheck:
    storage = request.get("storage")
    with StoredCopy(session, storage=storage and str(storage), execution_id=record.execution_id, id=record.id) as copy:
        progress = _bar(bars, f"its copy in storage {copy.name}")
        found = session.executions().compare(record.execution_id, copy.open_object, progress=progress)
    return CopyCheck(
        storage=copy.name,
        objects=len(copy.compared),
        waiting=len(copy.waiting),
        unread=len(copy.unread),
        problem=copy.problem,
        findings=tuple(one for one in found.findings if one.file not in copy.waiting | copy.unread),
    )


def _bar(bars: ProgressBars | None, what: str) -> Callable[[int, int], None] | None:
    """Return what moves a bar; None without a terminal."""
    if bars is None:
        return None
    return lambda checked, total: bars(Progress(phase=Phase.VALIDATE, what=what, current=checked, total=total))
