"""The plugin: registers the runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock import Runtime, hookimpl
from botdock_runtime_python311.runtime import PYTHON311

if TYPE_CHECKING:
    from collections.abc import Iterable


@hookimpl
def botdock_runtimes() -> Iterable[Runtime]:
    """Register Python 3.11."""
    yield PYTHON311
