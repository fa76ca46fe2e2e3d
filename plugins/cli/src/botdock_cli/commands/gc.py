"""`botdock gc`."""

from __future__ import annotations

from typing import Any

import click

from botdock_cli.commands import verb
from botdock_cli.options import json_option
from botdock_cli.session import Session

HELP = """Only what has ended, and what no execution uses, is removed, the oldest first; what a storage was given stays
there. Without an option, the configuration's [retention] says what goes, which a runner also removes by itself.

\b
Examples:
  botdock gc --dry-run
  botdock gc --older-than 30d --dry-run
  botdock gc --keep 1000
  botdock gc --bytes 20GiB
  botdock gc --caches 7d                       unpacked code and programs that no run has used for a week
  botdock gc --images 30d                      images that botdock pulled, likewise; no others

\b
Exit codes:
  0    it is gone, or there was nothing to remove
  2    wrong usage; or no option, and a [retention] that keeps everything
  125  one could not be removed"""


_NONE: dict[str, object] = {"executions": {}, "caches": None, "images": None}


@verb("gc", HELP)
@click.option("--older-than", metavar="TIME", help="Executions that ended so long ago, such as 30d.")
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="All executions but the newest N.")
@click.option("--bytes", "max_bytes", metavar="SIZE", help="Executions, until the rest fits into SIZE.")
@click.option("--caches", metavar="TIME", help="Unpacked code and programs that no run has used for so long.")
@click.option("--images", metavar="TIME", help="Images that botdock pulled and that no run has used for so long.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@json_option
def command(
    session: Session,
    *,
    older_than: str | None,
    keep: int | None,
    max_bytes: str | None,
    caches: str | None,
    images: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Remove what is old."""
    from botdock.factory import ServiceFactory
    from botdock.model.units import format_bytes
    from botdock_cli.output import aligned, print_json, print_text
    from botdock_cli.values import OptionError, bytes_option, seconds_option

    given = {
        "older_than": seconds_option("--older-than", older_than),
        "keep": keep,
        "max_bytes": bytes_option("--bytes", max_bytes),
    }
    executions = {name: bound for name, bound in given.items() if bound is not None}
    others = {"caches": seconds_option("--caches", caches), "images": seconds_option("--images", images)}
    bounds: dict[str, Any] = {"executions": executions, **others}
    if bounds == _NONE:
        bounds = session.config.retention.bounds()
    if bounds == _NONE:
        raise OptionError(
            "gc", "nothing says what to remove", hint="Give --older-than, --keep, --bytes, --caches or --images."
        )
    removed = list(ServiceFactory(session.config, session.plugins).remove_old(**bounds, dry_run=dry_run))
    if as_json:
        return print_json([one.to_json() for one in removed])
    rows = [(one.kind, one.name, format_bytes(one.bytes), one.about) for one in removed]
    total, word = format_bytes(sum(one.bytes for one in removed)), "would be removed" if dry_run else "removed"
    return print_text([*(aligned(rows) if rows else ()), f"{len(removed)} {word}, {total}"])
