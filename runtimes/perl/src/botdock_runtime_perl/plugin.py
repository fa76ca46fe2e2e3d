"""The plugin: registers the runtime."""

from __future__ import annotations

from collections.abc import Iterable

from botdock import Runtime, hookimpl
from botdock_runtime_perl.runtime import PERL

BOTDOCK_INTERFACE = 1
"""The version of the plugin interface that this is written for."""


@hookimpl
def botdock_runtimes() -> Iterable[Runtime]:
    """Register the runtime `perl`."""
    yield PERL
