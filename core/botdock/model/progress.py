"""How far a long step is, for whoever shows it to a person."""

from __future__ import annotations

import attrs

from botdock.model.outcome import Phase


@attrs.frozen(kw_only=True)
class Progress:
    """One report; at most a few a second come.

    Attributes:
        phase: The step.
        what: What is being moved, such as the name of an image or of an archive.
        current: Bytes so far.
        total: Bytes in all; 0 for not known.
    """

    phase: Phase
    what: str
    current: int = 0
    total: int = 0
