"""The plugin: registers a runtime that differs from nodejs20 by its version alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock import Runtime, hookimpl
from botdock_runtime_nodejs20 import nodejs

if TYPE_CHECKING:
    from collections.abc import Iterable

NODEJS22 = nodejs(22)


@hookimpl
def botdock_runtimes() -> Iterable[Runtime]:
    """Register Node.js 22."""
    yield NODEJS22
