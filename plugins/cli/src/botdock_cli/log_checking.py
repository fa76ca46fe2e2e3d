"""`botdock logs --verify`: whether a log is what was stored, here and in the storage."""

from __future__ import annotations

import hashlib
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from botdock.errors import LogError
from botdock.model import LogSummary, Stream
from botdock.model.units import format_bytes
from botdock.orchestrator.records import find_execution
from botdock.services.log_store import StoredLog, combined_hash
from botdock.services.log_store.verify import compare, verify
from botdock_cli import diagnostics
from botdock_cli.log_findings import CopyCheck, LogCheck
from botdock_cli.log_storage import StoredCopy
from botdock_cli.output import print_json, print_text
from botdock_cli.session import is_terminal

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from botdock.config import Config
    from botdock.orchestrator.records import ExecutionRecord
    from botdock_cli.log_request import LogRequest
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
    diagnostics.show_log(everything=session.debug)
    record = find_execution(config.home_dir, request.name)
    if not record.logs.is_dir():
        raise LogError(f"execution {record.execution_id} has no log", hint="`botdock logs` says why.")
    with _shown_on_terminal(record):
        check = LogCheck(
            execution_id=record.execution_id,
            here=verify(record.logs),
            summary=_summary(record),
            copy=_check_copy(session, record) if _is_persisted(config, record) else None,
        )
    printed = print_json(check.document()) if request.as_json else print_text(check.text())
    return printed or (0 if check.ok else EXIT_DIFFERENT)


def _is_persisted(config: Config, record: ExecutionRecord) -> bool:
    return bool(record.request.get("persist_results")) and config.features.persistence


def _check_copy(session: Session, record: ExecutionRecord) -> CopyCheck:
    with StoredCopy(session, execution_id=record.execution_id, id=str(record.request["id"])) as copy:
        found = compare(record.logs, copy.open_object)
    return CopyCheck(
        storage=copy.name,
        objects=len(copy.compared),
        waiting=len(copy.waiting),
        unread=len(copy.unread),
        problem=copy.problem,
        findings=tuple(one for one in found.findings if one.file not in copy.waiting | copy.unread),
    )


def _summary(record: ExecutionRecord) -> LogSummary:
    """Return what was recorded at the log's end; of a log without one, what is there."""
    log = StoredLog(record.logs)
    try:
        return log.summary() or _count(log)
    except LogError:  # the check has found why
        return LogSummary()


def _count(log: StoredLog) -> LogSummary:
    hashes = {stream: hashlib.sha256() for stream in Stream}
    sizes, newlines, ends = dict.fromkeys(Stream, 0), dict.fromkeys(Stream, 0), dict.fromkeys(Stream, b"\n")
    for chunk in log.chunks():
        stream = chunk.stream
        hashes[stream].update(chunk.data)
        sizes[stream] += len(chunk.data)
        newlines[stream] += chunk.data.count(b"\n")
        ends[stream] = chunk.data[-1:]
    streams: dict[str, dict[str, int | str]] = {
        stream.value: {
            "bytes": sizes[stream],
            "lines": newlines[stream] + (ends[stream] != b"\n"),
            "sha256": hashes[stream].hexdigest(),
        }
        for stream in Stream
    }
    return LogSummary(
        bytes=sum(sizes.values()),
        sha256=combined_hash({name: str(found["sha256"]) for name, found in streams.items()}),
        streams=streams,
    )


def _shown_on_terminal(record: ExecutionRecord) -> AbstractContextManager[object]:
    """Show on a terminal that a large log is being read."""
    size = sum(path.stat().st_size for path in record.logs.iterdir())
    if size < WORTH_SHOWING or not is_terminal(sys.stderr):
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(f"checking {format_bytes(size)} of log")
