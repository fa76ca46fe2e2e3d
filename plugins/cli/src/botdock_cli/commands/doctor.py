"""`botdock doctor`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

from botdock_cli.options import ConfigFile, Json
from botdock_cli.output import aligned, print_json, print_text, wants_colour
from botdock_cli.report import printable
from botdock_cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from botdock.config import Config
    from botdock.model import Check

NAME = "doctor"
SUMMARY = "Say what works here, what this machine cannot enforce, and what mends it."
HELP = """Looks at the configuration, the state folder, the plugins, the engines, the storages, and at what each
runtime needs. Changes nothing.

\b
Exit codes: 0 when an engine that isolates works and no check failed; 1 otherwise."""
_COLOURS = {"ok": "32", "warning": "33", "failed": "31"}


def command(
    context: typer.Context,
    *,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """Run all checks."""
    checks = tuple(examine(context.ensure_object(Session)))
    if json:
        print_json(as_document(checks))
    else:
        colour = wants_colour(sys.stdout)
        print_text(as_text(checks, colour=colour), colour=colour)
    return 0 if is_healthy(checks) else 1


def examine(session: Session) -> Iterator[Check]:
    """Yield the checks, each as soon as it is known; none raises."""
    from botdock.plugin_manager import PluginManager
    from botdock_cli.check_engines import check_engines, check_images, check_interpreters
    from botdock_cli.check_machine import (
        check_executions,
        check_outboxes,
        check_plugins,
        check_state,
        check_storages,
        check_strays,
    )

    config = yield from _check_config(session)
    yield from check_state(config)
    manager = PluginManager.load(config.plugins)
    yield from check_plugins(manager, config)
    engines = check_engines(manager, config)
    for found in engines.values():
        yield from found.checks
    working = [name for name, found in engines.items() if found.isolates]
    yield _isolation(working)
    yield from check_executions(config)
    yield from check_strays(manager, config, working)
    yield from check_storages(manager, config)
    yield from check_outboxes(config)
    yield from check_interpreters(manager)
    yield from check_images(manager, config, working)


def _check_config(session: Session) -> Generator[Check, None, Config]:
    from botdock.config import Config
    from botdock.errors import ConfigError
    from botdock.model import Check, CheckStatus
    from botdock_cli.settings import config_files, where

    try:
        config = session.load_config()
    except ConfigError as error:
        for problem in error.problems:
            yield Check(name="config", status=CheckStatus.FAILED, detail=problem, remedy=error.hint or "")
        return Config()
    files = config_files(session)
    status = CheckStatus.WARNING if files.ignored else CheckStatus.OK
    yield Check(name="config", status=status, detail=where(session), remedy=files.remedy)
    return config


def _isolation(working: Sequence[str]) -> Check:
    from botdock.model import Check, CheckStatus

    if working:
        return Check(name="isolation", status=CheckStatus.OK, detail=f"{', '.join(working)} isolates bots")
    return Check(
        name="isolation",
        status=CheckStatus.FAILED,
        detail="no engine that isolates bots works here",
        remedy="mend an engine above, or run without isolation: botdock run CODE --engine process",
    )


def is_healthy(checks: Sequence[Check]) -> bool:
    """Whether nothing failed; that an engine isolates is one of the checks."""
    return all(check.status.value != "failed" for check in checks)


def as_document(checks: Sequence[Check]) -> dict[str, Any]:
    """Return what `doctor --json` prints."""
    listed = [
        {"name": check.name, "status": check.status.value, "detail": check.detail, "remedy": check.remedy}
        for check in checks
    ]
    return {"checks": listed, "ok": is_healthy(checks)}


def as_text(checks: Sequence[Check], *, colour: bool) -> Iterator[str]:
    """Yield a line for each check, and below it what mends it."""
    rows = [(check.status.value, check.name, " ".join(check.detail.split())) for check in checks]
    lines = [printable(line, keep="") for line in aligned(rows)]
    for check, line in zip(checks, lines, strict=True):
        word = check.status.value
        yield f"\x1b[{_COLOURS[word]}m{word}\x1b[0m{line[len(word) :]}" if colour else line
        for remedy in check.remedy.splitlines():
            yield printable(f"         -> {remedy}", keep="")
    yield ""
    yield _tally(checks)


def _tally(checks: Sequence[Check]) -> str:
    failed = sum(check.status.value == "failed" for check in checks)
    warnings = sum(check.status.value == "warning" for check in checks)
    if failed:
        return f"{failed} of {len(checks)} checks failed"
    return f"nothing failed, {warnings} warning{'s' if warnings != 1 else ''}" if warnings else "all is well"
