"""Several runs side by side: their metrics as rows, their curves in the same plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from botdock_reports._curve import thinned
from botdock_reports._parts import Group, Metric, Plot, Series, short

MAX_DRAWN = 200_000
"""Points that one page draws, of all curves."""
PER_CURVE = 4_000
"""Points of one curve, which is more than a screen has columns."""


def best_of(row: Sequence[Metric | None]) -> set[int]:
    """Return which of the runs have the best value of a metric; none where all have the same, or only one has any."""
    best = next((one.best for one in row if one is not None and one.best), "")
    known = {
        at: one.value
        for at, one in enumerate(row)
        if one is not None and isinstance(one.value, int | float) and not isinstance(one.value, bool)
    }
    if not best or len(set(known.values())) < 2:  # noqa: PLR2004 - to be better than another takes two
        return set()
    sizes = {at: abs(value) if best == "smallest" else value for at, value in known.items()}
    target = max(sizes.values()) if best == "highest" else min(sizes.values())
    return {at for at, size in sizes.items() if size == target}


def overlaid(runs: Mapping[str, Sequence[Plot]]) -> list[Plot]:
    """Return the plots of all runs: those with one title and one kind of x become one, their curves named by run."""
    found: dict[tuple[str, str], list[tuple[str, Plot]]] = {}
    for run, plots in runs.items():
        taken: dict[tuple[str, str], int] = {}
        for plot in plots:
            name = (plot.title, plot.axis)
            taken[name] = number = taken.get(name, 0) + 1
            title = plot.title if number == 1 else f"{plot.title} ({number})".strip()
            found.setdefault((title, plot.axis), []).append((run, plot))
    return [_one(title, axis, parts, several=len(runs) > 1) for (title, axis), parts in found.items()]


def _one(title: str, axis: str, parts: Sequence[tuple[str, Plot]], *, several: bool) -> Plot:
    places: dict[str, int] = {}
    groups: list[Group] = []
    shared = _shared([plot for _, plot in parts]) if len(parts) > 1 else []
    for run, plot in parts:
        moved = [places.setdefault(label, len(places)) for label in plot.labels]
        for group in plot.groups:
            named = [_named(one, "" if one in shared or not several else run) for one in group.series]
            if plot is not parts[0][1]:
                named = [one for one in named if one not in shared]
            if named:
                groups.append(_moved(moved, Group(group.x, named)) if moved else Group(group.x, named))
    return Plot(title, axis, groups, list(places))


def _shared(plots: Sequence[Plot]) -> list[Series]:
    """Return the curves that all plots have alike, such as the prices that all bots saw: they are drawn once."""
    first, *others = [[(group.x, one) for group in plot.groups for one in group.series] for plot in plots]
    if any(plot.labels != plots[0].labels for plot in plots):
        return []
    return [one for x, one in first if all((x, one) in other for other in others)]


def _named(one: Series, run: str) -> Series:
    return attrs.evolve(one, name=short(f"{run} · {one.name}")) if run else one


def _moved(places: Sequence[int], group: Group) -> Group:
    """Return a group whose texts have other places: what rises among the labels of one run may not among all."""
    order = sorted(range(len(group.x)), key=lambda at: places[int(group.x[at])])
    curves = [attrs.evolve(one, y=[one.y[at] for at in order]) for one in group.series]
    return Group([float(places[int(group.x[at])]) for at in order], curves)


def bounded(plots: Sequence[Plot]) -> list[Plot]:
    """Return plots with so few points that a browser draws all of them at once."""
    curves = sum(len(group.series) for plot in plots for group in plot.groups)
    most = min(PER_CURVE, max(MAX_DRAWN // max(curves, 1), 2))
    return [attrs.evolve(plot, groups=[thinned(group, most) for group in plot.groups]) for plot in plots]
