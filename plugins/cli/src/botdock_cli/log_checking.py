"""`botdock logs --verify`: whether a log is what was stored, here and in the storage."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import attrs

from botdock.errors import BotdockError, ObjectNotFoundError
from botdock.model import Phase, StorageArea
from botdock.services import outbox_folder, read_status
from botdock_cli.output import counted, print_json, print_text
from botdock_cli.progress import bars_on_terminal, reporting
from botdock_cli.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock.executions import Finding, Verification
    from botdock.model import ByteReader, LogSummary, ObjectReader, StorageBackend
    from botdock_cli.session import Session

INDENT = "  "
EXIT_DIFFERENT = 1
WORTH_SHOWING = 64 * 1024 * 1024
"""Bytes; less is checked before a user has read that it is being checked."""


def verify_log(session: Session, name: str, *, as_json: bool) -> int:
    """Check the log of an execution, say what was checked and what differs, and return what to exit with.

    Raises:
        UserError: The execution is not known.
        LogError: It has no log.
    """
    config = session.load_config()
    session.show_log()
    executions = session.executions()
    record = executions.get(name)
    request: dict[str, Any] = executions.inspect(record.execution_id)["request"] or {}
    copy = None
    with bars_on_terminal(least=WORTH_SHOWING) as bars:
        here = executions.verify(
            record.execution_id, progress=reporting(bars, Phase.VALIDATE, f"log of {record.execution_id}")
        )
        if request.get("persist_results") and config.features.persistence:
            storage = request.get("storage")
            with StoredCopy(
                session, storage=storage and str(storage), execution_id=record.execution_id, id=record.id
            ) as copy:
                progress = reporting(bars, Phase.VALIDATE, f"its copy in storage {copy.name}")
                compared = executions.compare(record.execution_id, copy.open_object, progress=progress)
                absent = copy.waiting | copy.unread
                copy.findings = tuple(one for one in compared.findings if one.file not in absent)
    document = as_document(record.execution_id, here, copy)
    printed = print_json(document) if as_json else print_text(as_text(record.execution_id, here, copy))
    return printed or (0 if document["ok"] else EXIT_DIFFERENT)


class StoredCopy:
    """The objects of one execution's log in a storage; a context manager.

    What cannot be had now is noted, and never raised: a storage that is away says nothing about a log.

    Args:
        session: Says how storages are reached.
        storage: The storage that the execution was kept in; None means the configured one.
        execution_id: The run.
        id: The bot.

    Attributes:
        name: Of the storage.
        problem: Why it could not be asked, or not to its end; empty when it could.
        compared: Names of the objects that it gave.
        waiting: Names of those that are not there, while something still waits for the storage.
        unread: Names of those that it did not give.
        findings: How what it gave differs from what was stored.
    """

    def __init__(self, session: Session, *, storage: str | None, execution_id: str, id: str) -> None:  # noqa: A002 - the field's name
        self._config = session.config
        self.name = storage or self._config.storage
        self.problem = ""
        self.compared: set[str] = set()
        self.waiting: set[str] = set()
        self.unread: set[str] = set()
        self.findings: tuple[Finding, ...] = ()
        self._session = session
        self._prefix = f"logs/{id}/{execution_id}/"
        self._backend: StorageBackend | None = None
        self._opened = ExitStack()

    def open_object(self, name: str) -> ByteReader | None:
        """Open the object that holds a file of the log; None when it is not there, or cannot be had now."""
        if self.problem:
            self.unread.add(name)
            return None
        try:
            if self._backend is None:
                opened = open_store(self._session, area=StorageArea.LOGS, storage=self.name)
                self._backend = self._opened.enter_context(opened).backend
            reader = self._opened.enter_context(self._backend.get(self._prefix + name))
        except ObjectNotFoundError:
            if read_status(outbox_folder(self._config.checked_home(), self.name)).items:
                self.waiting.add(name)
            return None
        except BotdockError as error:
            self.note(name, error)
            return None
        self.compared.add(name)
        return _Guarded(reader, self, name)

    def note(self, name: str, error: BotdockError) -> None:
        """Note that the storage did not give an object, and is not to be asked again."""
        self.problem = self.problem or error.message
        self.compared.discard(name)
        self.unread.add(name)

    def document(self) -> dict[str, Any]:
        """Return what `--json` shows of it."""
        return {
            "name": self.name,
            "objects": len(self.compared),
            "waiting": len(self.waiting),
            "unread": len(self.unread),
            "problem": self.problem or None,
            "findings": [attrs.asdict(finding) for finding in self.findings],
        }

    def text(self) -> Iterator[str]:
        """Yield what a person reads of it."""
        where = f"storage {self.name}: "
        yield f"{where}{counted(len(self.compared), 'object')} compared, {_verdict(self.findings)}"
        if self.waiting:
            waiting = counted(len(self.waiting), "object")
            yield f"{INDENT}{waiting} not there yet: something still waits for the storage"
        if self.problem:
            yield f"{INDENT}{counted(len(self.unread), 'object')} not compared: {self.problem}"
        yield from _differences(self.findings, where)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the storage."""
        self._opened.close()


class _Guarded:
    """Reads an object, and ends where the storage fails."""

    def __init__(self, reader: ObjectReader, copy: StoredCopy, name: str) -> None:
        self._reader = reader
        self._copy = copy
        self._name = name

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, and empty bytes at the end."""
        try:
            return self._reader.read(size)
        except BotdockError as error:
            self._copy.note(self._name, error)
            return b""

    def close(self) -> None:
        """Let go of the object."""
        self._reader.close()


def as_document(execution_id: str, here: Verification, copy: StoredCopy | None) -> dict[str, Any]:
    """Return what `--json` shows of a log and of its copy."""
    summary = here.summary
    return {
        "execution_id": execution_id,
        "ok": here.ok and not (copy and copy.findings),
        "ended": here.ended,
        "complete": summary.complete,
        "segments": summary.segments,
        "records": here.records,
        "bytes": summary.bytes,
        "lines": summary.lines,
        "sha256": summary.sha256,
        "streams": summary.streams,
        "gaps": summary.gaps,
        "gap_bytes": summary.gap_bytes,
        "masked": summary.masked,
        "findings": [attrs.asdict(finding) for finding in here.findings],
        "storage": copy and copy.document(),
    }


def as_text(execution_id: str, here: Verification, copy: StoredCopy | None) -> Iterator[str]:
    """Yield what a person reads of a log and of its copy."""
    summary = here.summary
    amounts = {"segment": summary.segments, "byte": summary.bytes, "line": summary.lines, "record": here.records}
    checked = ", ".join(counted(number, what) for what, number in amounts.items())
    yield f"log of {execution_id}: {checked} checked, {_verdict(here.findings)}"
    for name, stream in summary.streams.items():
        size = f"{counted(int(stream['bytes']), 'byte')}, {counted(int(stream['lines']), 'line')}"
        yield f"{INDENT}{name}: {size}, sha256 {stream['sha256']}"
    yield f"{INDENT}both:   sha256 {summary.sha256}"
    yield f"{INDENT}{_end(here)}"
    yield from _notes(summary)
    yield from _differences(here.findings)
    if copy:
        yield from copy.text()


def _end(here: Verification) -> str:
    if not here.ended:
        return "it has not ended" + ("; what is there so far is right" if here.ok else "")
    if not here.summary.complete:
        return "it has ended, but is not complete: its end could not be read, or how the bot ended is not known"
    return "it has ended, and is complete"


def _notes(summary: LogSummary) -> Iterator[str]:
    if summary.gaps:
        known = f", {counted(summary.gap_bytes, 'byte')}" if summary.gap_bytes else ""
        yield f"{INDENT}missing, as was recorded: {counted(summary.gaps, 'gap')}{known}"
    if summary.removed_segments:
        gone = f"{counted(summary.removed_segments, 'segment')}, {counted(summary.removed_bytes, 'byte')}"
        yield f"{INDENT}removed by retention: {gone}"
    if summary.masked:
        yield f"{INDENT}masked: {counted(summary.masked, 'secret')}"


def _differences(findings: tuple[Finding, ...], where: str = "") -> Iterator[str]:
    for finding in findings:
        yield f"different: {where}{finding.file}: {finding.problem}"


def _verdict(findings: tuple[Finding, ...]) -> str:
    return counted(len(findings), "difference") if findings else "all as it was stored"
