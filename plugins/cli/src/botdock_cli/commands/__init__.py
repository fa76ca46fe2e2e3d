"""One verb a module: its NAME, SUMMARY and HELP, and the function `command` that declares its options.

These modules are imported for every command line, so they import typer and nothing else; what does the work is
imported by the body of `command`. A verb that has verbs of its own is a package, and lists them as VERBS too.
"""

from botdock_cli.commands import (
    config,
    doctor,
    gc,
    inspect,
    logs,
    metrics,
    pack,
    plugins,
    ps,
    recover,
    result,
    rm,
    run,
    stop,
    storage,
    wait,
)

VERBS = (
    run,
    ps,
    logs,
    wait,
    stop,
    rm,
    result,
    inspect,
    recover,
    gc,
    plugins,
    doctor,
    config,
    pack,
    storage,
    metrics,
)
"""In the order in which `botdock --help` shows them."""

__all__ = ["VERBS"]
