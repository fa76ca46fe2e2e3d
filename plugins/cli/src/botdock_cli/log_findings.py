"""What a check of a log found, as a person reads it and as a program does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock.executions import Finding, Verification

INDENT = "  "


@attrs.frozen(kw_only=True)
class CopyCheck:
    """What the storage's copy of a log is like.

    Attributes:
        storage: Its name.
        objects: How many objects it gave.
        waiting: How many are not there, while something still waits on this machine for the storage.
        unread: How many it did not give.
        problem: Why it did not; empty when it did.
        findings: How what it gave differs from what was stored.
    """

    storage: str
    objects: int
    waiting: int = 0
    unread: int = 0
    problem: str = ""
    findings: tuple[Finding, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return what `--json` shows of it."""
        return {
            "name": self.storage,
            "objects": self.objects,
            "waiting": self.waiting,
            "unread": self.unread,
            "problem": self.problem or None,
            "findings": [attrs.asdict(finding) for finding in self.findings],
        }

    def text(self) -> Iterator[str]:
        """Yield what a person reads."""
        yield f"storage {self.storage}: {_counted(self.objects, 'object')} compared, {_verdict(self.findings)}"
        if self.waiting:
            yield f"{INDENT}{_counted(self.waiting, 'object')} not there yet: something still waits for the storage"
        if self.problem:
            yield f"{INDENT}{_counted(self.unread, 'object')} not compared: {self.problem}"
        yield from _differences(self.findings, f"storage {self.storage}: ")


@attrs.frozen(kw_only=True)
class LogCheck:
    """What a log is like.

    Attributes:
        execution_id: Whose log it is.
        here: What was found on this disk.
        copy: What the storage's copy is like; None where there should be none.
    """

    execution_id: str
    here: Verification
    copy: CopyCheck | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return self.here.ok and not (self.copy and self.copy.findings)

    def document(self) -> dict[str, Any]:
        """Return what `--json` shows."""
        summary = self.here.summary
        return {
            "execution_id": self.execution_id,
            "ok": self.ok,
            "ended": self.here.ended,
            "complete": summary.complete,
            "segments": summary.segments,
            "records": self.here.records,
            "bytes": summary.bytes,
            "lines": summary.lines,
            "sha256": summary.sha256,
            "streams": summary.streams,
            "gaps": summary.gaps,
            "gap_bytes": summary.gap_bytes,
            "masked": summary.masked,
            "findings": [attrs.asdict(finding) for finding in self.here.findings],
            "storage": self.copy and self.copy.document(),
        }

    def text(self) -> Iterator[str]:
        """Yield what a person reads."""
        here, summary = self.here, self.here.summary
        amounts = {"segment": summary.segments, "byte": summary.bytes, "line": summary.lines, "record": here.records}
        checked = ", ".join(_counted(number, what) for what, number in amounts.items())
        yield f"log of {self.execution_id}: {checked} checked, {_verdict(here.findings)}"
        for name, stream in summary.streams.items():
            size = f"{_counted(int(stream['bytes']), 'byte')}, {_counted(int(stream['lines']), 'line')}"
            yield f"{INDENT}{name}: {size}, sha256 {stream['sha256']}"
        yield f"{INDENT}both:   sha256 {summary.sha256}"
        yield f"{INDENT}{self._end()}"
        yield from self._notes()
        yield from _differences(here.findings)
        if self.copy:
            yield from self.copy.text()

    def _end(self) -> str:
        if not self.here.ended:
            return "it has not ended" + ("; what is there so far is right" if self.here.ok else "")
        if not self.here.summary.complete:
            return "it has ended, but is not complete: its end could not be read, or how the bot ended is not known"
        return "it has ended, and is complete"

    def _notes(self) -> Iterator[str]:
        summary = self.here.summary
        if summary.gaps:
            known = f", {_counted(summary.gap_bytes, 'byte')}" if summary.gap_bytes else ""
            yield f"{INDENT}missing, as was recorded: {_counted(summary.gaps, 'gap')}{known}"
        if summary.removed_segments:
            gone = f"{_counted(summary.removed_segments, 'segment')}, {_counted(summary.removed_bytes, 'byte')}"
            yield f"{INDENT}removed by retention: {gone}"
        if summary.masked:
            yield f"{INDENT}masked: {_counted(summary.masked, 'secret')}"


def _differences(findings: tuple[Finding, ...], where: str = "") -> Iterator[str]:
    for finding in findings:
        yield f"different: {where}{finding.file}: {finding.problem}"


def _verdict(findings: tuple[Finding, ...]) -> str:
    return _counted(len(findings), "difference") if findings else "all as it was stored"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
