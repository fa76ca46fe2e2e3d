"""What `botdock doctor` finds out."""

from __future__ import annotations

from enum import StrEnum

import attrs


class CheckStatus(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """It works, but not all of it, or not as safely."""
    FAILED = "failed"
    """It does not work."""


@attrs.frozen(kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What, such as `docker.memory`.
        status: How it ended.
        detail: What was seen.
        remedy: The command or setting that mends it; empty when there is nothing to mend.
    """

    name: str
    status: CheckStatus
    detail: str
    remedy: str = ""
