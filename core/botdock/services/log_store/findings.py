"""What a verification says."""

from __future__ import annotations

import attrs

from botdock.model.logs import LogSummary


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that is not as it was stored.

    Attributes:
        file: Name of the file in the folder of the log.
        offset: Its byte from which on it is wrong, or None where it is about the file; of a compressed one, a byte of
            its content.
        length: How many bytes, or None where nobody can say.
        problem: What is wrong, in people's words.
    """

    file: str
    offset: int | None = None
    length: int | None = None
    problem: str


@attrs.frozen(kw_only=True)
class Verification:
    """What was looked at, and what was found.

    Attributes:
        summary: Counts and hashes of what is there, all recomputed; of what retention has removed, and of whether the
            log is complete, what was recorded. Its hashes are of exactly the bytes that it counts.
        records: Records of the indexes that fit.
        ended: Whether the log has ended; of one that has not, only what its indexes name was looked at.
        findings: What was found; none where all is as it was stored.
    """

    summary: LogSummary
    records: int
    ended: bool
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


@attrs.frozen(kw_only=True)
class Comparison:
    """What was compared with the storage's copy, and what was found.

    Attributes:
        segments: Segments that were compared.
        bytes: Bytes of both streams that were read here for it.
        ended: Whether the log has ended; of one that has not, what is missing there is on its way.
        findings: What differs; none where the copy is as the log.
    """

    segments: int
    bytes: int
    ended: bool
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings
