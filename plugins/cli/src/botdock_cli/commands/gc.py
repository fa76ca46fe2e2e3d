"""`botdock gc`."""

from __future__ import annotations

from typing import Annotated

import typer

from botdock_cli.options import ConfigFile, Json
from botdock_cli.session import Session

NAME = "gc"
SUMMARY = "Remove old executions, with their logs and results."
HELP = """Only what has ended is removed, the oldest first; what a storage was given stays there. Without an option,
the configuration's [retention] says what goes, which a runner also removes by itself.

\b
Examples:
  botdock gc --older-than 30d --dry-run
  botdock gc --keep 1000
  botdock gc --bytes 20GiB

\b
Exit codes:
  0    it is gone, or there was nothing to remove
  2    wrong usage; or no option, and an empty [retention]
  125  one could not be removed"""


def command(
    context: typer.Context,
    *,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="TIME", help="What ended so long ago, such as 30d.")
    ] = None,
    keep: Annotated[int | None, typer.Option(min=0, help="All but the newest N.")] = None,
    max_bytes: Annotated[
        str | None, typer.Option("--bytes", metavar="SIZE", help="As many as it takes for the rest to fit into SIZE.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """Remove old executions."""
    from botdock.executions import Executions
    from botdock_cli.output import print_json, print_text
    from botdock_cli.request import OptionError, bytes_option, seconds_option

    config = context.ensure_object(Session).load_config()
    age, size = seconds_option("--older-than", older_than), bytes_option("--bytes", max_bytes)
    given = {"older_than": age, "keep": keep, "max_bytes": size}
    bounds = given if any(bound is not None for bound in given.values()) else config.retention.bounds()
    if not bounds:
        raise OptionError("gc", "nothing says what is to go", hint="Give --older-than, --keep or --bytes.")
    removed = Executions(config.checked_home()).prune(**bounds, dry_run=dry_run)
    if json:
        return print_json([record.to_json() for record in removed])
    word = "would be removed" if dry_run else "removed"
    lines = [f"{record.execution_id}  {record.id}  {record.outcome}" for record in removed]
    return print_text([*lines, f"{len(removed)} executions {word}"])
