"""The plugin: registers the runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock import Runtime, hookimpl
from botdock_runtime_nodejs20.runtime import NODEJS20

if TYPE_CHECKING:
    from collections.abc import Iterable


@hookimpl
def botdock_runtimes() -> Iterable[Runtime]:
    """Register Node.js 20."""
    yield NODEJS20
