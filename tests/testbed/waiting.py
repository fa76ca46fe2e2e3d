"""Waiting for what happens in another thread or process, without guessing how long that takes."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], *, timeout: float, interval: float = 0.05) -> bool:
    """Ask again and again, and say whether `condition` held within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)  # between two looks; nothing depends on how long it is
    return True


def until(condition: Callable[[], object], *, timeout: float = 30.0) -> None:
    """Wait until `condition` holds; look often.

    Raises:
        AssertionError: It did not hold within `timeout` seconds.
    """
    assert wait_until(condition, timeout=timeout, interval=0.002), f"it did not happen within {timeout:g} s"
