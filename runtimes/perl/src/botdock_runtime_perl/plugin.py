"""The plugin: registers the runtime."""

from __future__ import annotations

from collections.abc import Iterable

from botdock import Runtime, hookimpl
from botdock_runtime_perl.runtime import PERL


@hookimpl
def botdock_runtimes() -> Iterable[Runtime]:
    """Register the runtime `perl`."""
    yield PERL
