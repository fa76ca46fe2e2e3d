"""`botdock gc`."""

from __future__ import annotations

import click

from botdock_cli.commands import verb
from botdock_cli.options import json_option
from botdock_cli.session import Session

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


@verb("gc", HELP)
@click.option("--older-than", metavar="TIME", help="What ended so long ago, such as 30d.")
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="All but the newest N.")
@click.option("--bytes", "max_bytes", metavar="SIZE", help="As many as it takes for the rest to fit into SIZE.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@json_option
def command(
    session: Session, *, older_than: str | None, keep: int | None, max_bytes: str | None, dry_run: bool, as_json: bool
) -> int:
    """Remove old executions."""
    from botdock_cli.output import print_json, print_text
    from botdock_cli.values import OptionError, bytes_option, seconds_option

    age, size = seconds_option("--older-than", older_than), bytes_option("--bytes", max_bytes)
    given = {"older_than": age, "keep": keep, "max_bytes": size}
    bounds = given if any(bound is not None for bound in given.values()) else session.config.retention.bounds()
    if not bounds:
        raise OptionError("gc", "nothing says what to remove", hint="Give --older-than, --keep or --bytes.")
    removed = session.executions().prune(**bounds, dry_run=dry_run)
    if as_json:
        return print_json([record.to_json() for record in removed])
    word = "would be removed" if dry_run else "removed"
    lines = [f"{record.execution_id}  {record.id}  {record.outcome}" for record in removed]
    return print_text([*lines, f"{len(removed)} executions {word}"])
