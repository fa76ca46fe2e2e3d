"""The section of the configuration about containers that wait for a run."""

from __future__ import annotations

from typing import ClassVar

import attrs

from botdock.config import rules
from botdock.config.rules import Section
from botdock.model.limits import GIB
from botdock.model.units import Bytes, Seconds


@attrs.frozen(kw_only=True)
class PoolConfig(Section):
    """How many containers a supervisor, or a runner that is told to `warm`, keeps waiting: `python311 = 4`.

    Attributes:
        sizes: By the name of a runtime, which may stand in the section itself: how many wait for its bots. For its
            backtests, the name is `python311-backtest`; for long-running bots, `python311-long-running`.
        learn: Of so many of the latest templates that were asked for and not kept, such as of other limits, one waits.
        max_memory: The memory limits of all that wait together, at most; 0 means unbounded.
        max_age: One that has waited so long is replaced.
        rate: How many are started a second, at most.
        code_entries: A run whose code has more files and folders is not put into one that waits.
        code_bytes: The same of bytes, where the files must be copied.
    """

    REST: ClassVar[str] = "sizes"
    """Where the converter puts keys that are none of the fields."""

    sizes: dict[str, int] = attrs.field(factory=dict, validator=rules.SIZES)
    learn: int = attrs.field(default=0, validator=rules.number(0, 100))
    max_memory: Bytes = attrs.field(default=8 * GIB, validator=rules.COUNT_OR_NONE)
    max_age: Seconds = attrs.field(default=3600.0, validator=rules.WAIT)
    rate: float = attrs.field(default=10.0, validator=rules.number(0.01, 1000))
    code_entries: int = attrs.field(default=2000, validator=rules.COUNT)
    code_bytes: Bytes = attrs.field(default=64 * 1024 * 1024, validator=rules.COUNT_OR_NONE)
