"""What a verification says."""

from __future__ import annotations

import attrs


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
        segments: Segments that were looked at.
        bytes: Bytes of both streams in them.
        lines: Their newlines, and the unterminated last line of each stream.
        records: Records of their indexes.
        ended: Whether the log has ended; of one that has not, only what its indexes name was looked at.
        findings: What was found; none where all is as it was stored.
    """

    segments: int
    bytes: int
    lines: int
    records: int
    ended: bool
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings
