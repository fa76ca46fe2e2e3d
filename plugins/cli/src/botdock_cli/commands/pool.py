"""`botdock pool`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock_cli.commands import verb
from botdock_cli.options import json_option
from botdock_cli.output import print_json, print_text
from botdock_cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botdock.pool import PoolReport, PoolStatus

HELP = """Containers that wait are kept by the supervisor, and by programs that call `Runner.warm`. Shown are, of each
template, how many wait, the runs that went into one (hits), those that did not (misses, by the reason), and how long it
took until a new one waited.

\b
Examples:
  botdock pool
  botdock pool --json | jq '.[].kinds[] | {name, waiting, hits}'

\b
Exit codes: 0; 2 when the configuration is wrong."""


@verb("pool", HELP)
@json_option
def command(session: Session, *, as_json: bool) -> int:
    """Show what waits."""
    from botdock.pool import read_reports

    reports = read_reports(session.home())
    session.show_log()
    if as_json:
        return print_json([report.document() for report in reports])
    if not reports:
        return print_text(
            ["no runner keeps containers waiting; `[pool]` of the configuration lets the supervisor do so"]
        )
    return print_text(line for report in reports for line in _lines(report))


def _lines(report: PoolReport) -> Iterator[str]:
    yield f"runner {report.runner}"
    for kind in report.kinds:
        name = f"{kind.name} (learned)" if kind.learned else kind.name
        yield f"  {name}: {kind.waiting} of {kind.count} wait, {kind.hits} hits"
        yield from _more(kind)
    if report.misses:
        yield f"  runs that no template fits: {_counts(report.misses)}"


def _more(kind: PoolStatus) -> Iterator[str]:
    if kind.misses:
        yield f"    misses: {_counts(kind.misses)}"
    if kind.discarded:
        yield f"    removed unused: {_counts(kind.discarded)}"
    if kind.refill_seconds:
        times = sorted(kind.refill_seconds)
        yield f"    until a new one waits: {times[len(times) // 2]:.2f} s, at most {times[-1]:.2f} s"
    if kind.error:
        yield f"    {'given up' if kind.given_up else 'tried again'}: {kind.error}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
