"""Curves with fewer points: what a page draws of a long series, and what a terminal can show of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import attrs

from botdock_reports._parts import Group, Plot, figures

BLOCKS = "▁▂▃▄▅▆▇█"
MIDDLE = BLOCKS[3]


def thinned(group: Group, most: int) -> Group:
    """Return a group with about `most` points or fewer; of each stretch the lowest and the highest of each curve stay.

    So no peak is lost, and no gap is made: a stretch of nothing but gaps keeps one.
    """
    count = len(group.x)
    if count <= most:
        return group
    stretches = max(most // (2 * len(group.series)), 1)
    kept = {0, count - 1}
    for at in range(stretches):
        begin, end = at * count // stretches, (at + 1) * count // stretches
        for one in group.series:
            known = [(value, begin + place) for place, value in enumerate(one.y[begin:end]) if value is not None]
            kept |= {min(known)[1], max(known)[1]} if known else {begin}
    places = sorted(kept)
    series = [attrs.evolve(one, y=[one.y[place] for place in places]) for one in group.series]
    return Group([group.x[place] for place in places], series)


def sparkline(values: Sequence[float | None], width: int = 60) -> str:
    """Return a curve as a line of text of at most `width` characters; a space is a gap.

    Example:
        >>> sparkline([1, 2, 4, None, 8])
        '▁▂▄ █'
    """
    count = len(values)
    columns = min(width, count)
    means = []
    for at in range(columns):
        known = [one for one in values[at * count // columns : (at + 1) * count // columns] if one is not None]
        means.append(sum(known) / len(known) if known else None)
    known = [mean for mean in means if mean is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    return "".join(" " if mean is None else _block(mean, low, high) for mean in means)


def _block(value: float, low: float, high: float) -> str:
    return BLOCKS[round((value - low) / (high - low) * (len(BLOCKS) - 1))] if high > low else MIDDLE


def curves(plots: Sequence[Plot], *, width: int = 80, most: int = 8) -> Iterator[str]:
    """Yield what a terminal shows of plots: for each curve its name, itself, and what it begins and ends with.

    Args:
        plots: As `read` returns them.
        width: Columns of the terminal.
        most: Lines.
    """
    rows = []
    for plot in plots:
        for group in plot.groups:
            rows += [(plot, group, one) for one in group.series if any(value is not None for value in one.y)]
    names = [f"{plot.title}: {one.name}" if plot.title else one.name for plot, _, one in rows[:most]]
    room = min(max(map(len, names), default=0), max(width // 3, 8))
    for name, (plot, group, one) in zip(names, rows, strict=False):
        known = [value for value in one.y if value is not None]
        ends = f"{figures(known[0], 4)} … {figures(known[-1], 4)}{_span(plot, group)}"
        short = name if len(name) <= room else f"{name[: room - 1]}…"
        yield f"{short:<{room}}  {sparkline(one.y, max(width - room - len(ends) - 4, 8))}  {ends}"
    if len(rows) > most:
        yield f"and {len(rows) - most} more curves; `botdock report` shows all"


def _span(plot: Plot, group: Group) -> str:
    if plot.axis != "time" or not group.x:
        return ""
    begin, end = (f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}" for moment in (group.x[0], group.x[-1]))
    return f"  {begin}" if begin == end else f"  {begin} to {end}"
