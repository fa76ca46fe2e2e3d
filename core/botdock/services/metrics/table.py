"""Metrics as a table for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from botdock.model.execution import Phase
from botdock.model.metrics import Labels, MetricsSnapshot, OperationStats, Series
from botdock.model.units import format_bytes

NOTHING = "nothing has been counted yet"

_HEAD = ("count", "errors", "bytes", "total", "p50", "p95", "p99")
_ORDER = {"execution": 0, "phase": 1, "container": 2, "log": 3, "storage": 4, "cache": 5}
_PHASES = {f"phase.{phase}": number for number, phase in enumerate(Phase)}
"""In their own order, which tells more than the alphabet's."""
_MINUTE = 60
"""Seconds, and minutes of an hour."""

Row = tuple[str, ...]


def summary_table(snapshot: MetricsSnapshot) -> str:
    """Return a snapshot as a table: a group for each kind of operation, a line for each operation with its labels.

    What was not timed, and what moved no bytes, shows `-`. Durations are estimates, and those of the longest bucket
    show its bound.
    """
    if not snapshot.operations:
        return NOTHING
    groups = [(kind, list(_rows(series, snapshot.operations))) for kind, series in _groups(snapshot.operations)]
    rows = [("", *_HEAD), *(row for _, found in groups for row in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD) + 1)]
    width = max(widths[0], *(len(kind) for kind, _ in groups))
    lines = []
    for kind, found in groups:
        lines += ["", _line((kind, *_HEAD), width, widths), *(_line(row, width, widths) for row in found)]
    return "\n".join(lines[1:])


def _groups(operations: Mapping[Series, OperationStats]) -> Iterator[tuple[str, list[Series]]]:
    def place(series: Series) -> tuple[int, str]:
        kind = _kind(series)
        return _ORDER.get(kind.lower(), len(_ORDER)), kind

    def order(series: Series) -> tuple[tuple[int, str], int, Series]:
        return place(series), _PHASES.get(series[0], len(_PHASES)), series

    for (_, kind), found in groupby(sorted(operations, key=order), key=place):
        yield kind, list(found)


def _kind(series: Series) -> str:
    return _printable(series[0].partition(".")[0].upper())


def _rows(found: list[Series], operations: Mapping[Series, OperationStats]) -> Iterator[Row]:
    for series in found:
        yield (f"  {_name(*series)}", *_numbers(operations[series]))


def _name(name: str, labels: Labels) -> str:
    operation = name.partition(".")[2]
    values = [value or "-" for _, value in labels]
    return _printable(" ".join([operation, *values] if operation else values) or "all")


def _numbers(stats: OperationStats) -> Row:
    size = format_bytes(stats.bytes) if stats.bytes else "-"
    times = (stats.seconds if stats.timed else None, stats.p50, stats.p95, stats.p99)
    return (f"{stats.count:,}", f"{stats.errors:,}" if stats.errors else "-", size, *map(format_seconds, times))


def format_seconds(seconds: float | None) -> str:
    """Return a duration for people: `12 ms`, `1.5 s`, `2 min 30 s`, `3 h 20 min`; `-` for None."""
    if seconds is None:
        return "-"
    if round(seconds, 3) < 1:
        return f"{seconds * 1000:.3g} ms"
    if round(seconds, 1) < _MINUTE:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    if minutes < _MINUTE:
        return f"{minutes} min {rest} s"
    return f"{minutes // _MINUTE:,} h {minutes % _MINUTE} min"


def _line(row: Row, width: int, widths: list[int]) -> str:
    cells = (cell.rjust(widths[column]) for column, cell in enumerate(row) if column)
    return "  ".join([row[0].ljust(width), *cells])


def _printable(text: str) -> str:
    """Return text without what a terminal would obey: names may come from plugins."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
