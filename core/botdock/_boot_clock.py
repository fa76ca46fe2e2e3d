"""The monotonic clock across processes: it means the same to all of them until the machine is booted again.

The wall clock can be set, by a day or by a year; what decides over a life is counted by this one. Beside a time of it
goes the id of the boot, without which it means nothing.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NANOSECONDS = 1e9


@functools.cache
def boot_id() -> str:
    """Return the id of this boot; empty where the machine has none."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def moment() -> dict[str, Any]:
    """Return now, for a JSON document."""
    return {"boot": boot_id(), "monotonic_ns": time.monotonic_ns()}


def seconds_since(document: object) -> float | None:
    """Return how many seconds ago that was what `moment` returned, in any process.

    Returns:
        None where that cannot be known: it was in another boot, or it is not a moment.
    """
    if not isinstance(document, Mapping) or document.get("boot") != boot_id():
        return None
    at_ns, now_ns = document.get("monotonic_ns"), time.monotonic_ns()
    if not isinstance(at_ns, int) or isinstance(at_ns, bool) or not 0 <= at_ns <= now_ns:
        return None
    return (now_ns - at_ns) / _NANOSECONDS
