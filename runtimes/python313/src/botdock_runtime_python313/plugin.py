"""The plugin: registers a runtime that differs from python311 by its version alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock import Runtime, hookimpl
from botdock_runtime_python311 import python

if TYPE_CHECKING:
    from collections.abc import Iterable

PYTHON313 = python("3.13")


@hookimpl
def botdock_runtimes() -> Iterable[Runtime]:
    """Register Python 3.13."""
    yield PYTHON313
