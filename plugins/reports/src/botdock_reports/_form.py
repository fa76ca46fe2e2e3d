"""The form of `metrics`, `plots` and `tables` in what a bot returns, and its reading: a stranger wrote it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import attrs

from botdock_reports._parts import (
    MAX_POINTS,
    Fault,
    Group,
    Metric,
    Notes,
    Plot,
    Scalar,
    Series,
    Table,
    axis_of,
    is_list,
    key,
    kind_of,
    listed,
    number_problem,
    numbers,
    rising,
    short,
    told,
)
from botdock_reports._plotly import read_figure

MAX_METRICS = 200
MAX_PLOTS = 50
MAX_SERIES = 20
MAX_TABLES = 50
MAX_COLUMNS = 50
MAX_ROWS = 500
MAX_CELLS = 20_000
"""Cells of all tables of one value."""

PARTS = ("metrics", "plots", "tables")
KINDS = ("line", "points", "bars", "steps")
BEST = ("highest", "lowest", "smallest", "none")

_HIGHEST = re.compile(r"return|profit|pnl|sharpe|sortino|calmar|win_?rate|alpha|accuracy|score|equity", re.IGNORECASE)
_SMALLEST = re.compile(r"drawdown|loss|volatility|deviation|slippage|fees?\b|costs?\b|error", re.IGNORECASE)


@attrs.frozen
class Reading:
    """What can be shown of a value.

    Attributes:
        metrics: By their names.
        plots: In their order.
        tables: In their order.
        rest: What else the value holds; None for nothing.
        faults: The parts that do not have their form, and are not shown, or in part.
        cuts: What is left out because there is too much of it, in words.
    """

    metrics: Mapping[str, Metric]
    plots: Sequence[Plot]
    tables: Sequence[Table]
    rest: Any
    faults: Sequence[Fault]
    cuts: Sequence[str]


def read(value: Any) -> Reading:
    """Read what a bot returned; never raises, whatever it is.

    `metrics`, `plots` and `tables` stand in the value itself, or in its `results`, as bots of the old runner return
    them.
    """
    notes, where, found = Notes(), "", value if isinstance(value, Mapping) else {}
    inner = found.get("results")
    if isinstance(inner, Mapping) and not any(part in found for part in PARTS):
        where, found = "results.", inner
    metrics = _metrics(notes, f"{where}metrics", found.get("metrics"))
    drawn = listed(notes, f"{where}plots", found.get("plots"), functools.partial(_plots, notes), MAX_PLOTS)
    plots = notes.bounded([plot for figure in drawn for plot in figure], f"{where}plots", MAX_PLOTS, "plots")
    cells = [MAX_CELLS]
    tables = listed(notes, f"{where}tables", found.get("tables"), functools.partial(_table, notes, cells), MAX_TABLES)
    rest = value
    if found:
        rest = {name: one for name, one in found.items() if name not in PARTS}
        rest = {**{name: one for name, one in value.items() if name != "results"}, **rest} if where else rest
    return Reading(metrics, plots, tables, rest or None, notes.faults, notes.cuts)


def check(value: Any) -> Sequence[Fault]:
    """Return which parts of a value do not have the form that reports draw: where, what, and how to mend it.

    Example:
        >>> [str(fault) for fault in check({"metrics": {"sharpe": [1, 2]}})]
        ['metrics.sharpe: is a list; write a number, a text, true, false or null']
    """
    return read(value).faults


def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 7) of the form. What it cannot say, such as equal lengths, `check` does."""
    loaded: dict[str, Any] = json.loads((files("botdock_reports") / "assets/results.schema.json").read_text())
    return loaded


def _metrics(notes: Notes, where: str, given: Any) -> dict[str, Metric]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        notes.fault(where, f"is {kind_of(given)}, not an object", 'write names and values: {"sharpe": 1.2}')
        return {}
    names = notes.bounded(list(given), where, MAX_METRICS, "metrics")
    read = {short(name): _metric(notes, f"{where}{key(str(name))}", str(name), given[name]) for name in names}
    return {name: metric for name, metric in read.items() if metric is not None}


def _metric(notes: Notes, where: str, name: str, given: Any) -> Metric | None:
    best = "highest" if _HIGHEST.search(name) else "smallest" if _SMALLEST.search(name) else ""
    if isinstance(given, Mapping):
        if unknown := [str(one) for one in given if one not in {"value", "best"}]:
            notes.fault(f"{where}{key(unknown[0])}", "is unknown", "a metric has `value` and `best`")
        if "value" not in given:
            notes.fault(where, "has no `value`", "write a number, or an object with `value` and `best`")
            return None
        best = given.get("best", best)
        if best not in (*BEST, ""):
            notes.fault(f"{where}.best", f"is {told(best)}", f"write one of {', '.join(BEST)}")
            best = ""
        where, given = f"{where}.value", given["value"]
    return Metric(_scalar(notes, where, given), "" if best == "none" else best)


def _scalar(notes: Notes, where: str, given: Any) -> Scalar:
    """Return a value that is not made of others; what it is instead is noted, and None."""
    if given is None or isinstance(given, bool):
        return given
    if isinstance(given, str):
        return short(given)
    if isinstance(given, int | float):
        problem = number_problem(given)
        if problem == "is too large to be drawn":
            return f"{given:.6g}" if isinstance(given, float) else "a very large number"
        if problem:
            notes.fault(where, problem, "write null where there is no number")
        return None if problem else given
    notes.fault(where, f"is {kind_of(given)}", "write a number, a text, true, false or null")
    return None


def _title(notes: Notes, where: str, given: Any) -> str:
    if given is None or isinstance(given, str):
        return short(given or "")
    notes.fault(f"{where}.title", f"is {kind_of(given)}, not text")
    return ""


def _unknown(notes: Notes, where: str, given: Mapping[Any, Any], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            notes.fault(f"{where}{key(str(name))}", "is unknown", f"known are {', '.join(known)}")
            return


def _plots(notes: Notes, where: str, given: Any) -> list[Plot]:
    if isinstance(given, str) or (isinstance(given, Mapping) and "data" in given and "series" not in given):
        return read_figure(notes, where, given)
    plot = _plot(notes, where, given)
    return [] if plot is None else [plot]


def _plot(notes: Notes, where: str, given: Any) -> Plot | None:
    if not isinstance(given, Mapping):
        notes.fault(where, f"is {kind_of(given)}, not an object", "write `title`, `x` and `series`, or a Plotly figure")
        return None
    _unknown(notes, where, given, ("title", "x", "series", "kind"))
    title = _title(notes, where, given.get("title"))
    kind = given.get("kind", "line")
    if kind not in KINDS:
        notes.fault(f"{where}.kind", f"is {told(kind)}", f"write one of {', '.join(KINDS)}")
        kind = "line"
    lists = _series(notes, f"{where}.series", given.get("series"))
    if not lists:
        return None
    return _drawn(notes, where, title, given.get("x"), [Series(name, kind, y) for name, y in lists.items()])


def _series(notes: Notes, where: str, given: Any) -> dict[str, Sequence[float | None]]:
    if not isinstance(given, Mapping) or not given:
        what = "is empty" if isinstance(given, Mapping) else f"is {kind_of(given)}, not an object"
        notes.fault(where, what, 'write names and lists of numbers: {"equity": [1.0, 1.1]}')
        return {}
    found: dict[str, Sequence[float | None]] = {}
    for name in notes.bounded(list(given), where, MAX_SERIES, "series"):
        values, place = given[name], f"{where}{key(str(name))}"
        if is_list(values):
            found[short(name)] = numbers(notes, place, notes.bounded(values, place, MAX_POINTS, "values"))
        else:
            notes.fault(place, f"is {kind_of(values)}, not a list", "write a list of numbers, null for a gap")
    return found


def _drawn(notes: Notes, where: str, title: str, given: Any, series: list[Series]) -> Plot | None:
    """Return the plot of curves that share one `x`, which counts from 0 where none is given."""
    x = range(max(len(one.y) for one in series)) if given is None else given
    if not is_list(x) and given is not None:
        notes.fault(f"{where}.x", f"is {kind_of(x)}, not a list", "write numbers, dates or texts, or leave it out")
        return None
    axis = axis_of(notes, f"{where}.x", x[:MAX_POINTS])
    if axis is None:
        return None
    kind, values, labels = axis
    kept = []
    for one in series:
        if len(one.y) != len(values) and given is not None:
            hint = "write one for each x, null for a gap"
            notes.fault(f"{where}.series{key(one.name)}", f"has {len(one.y):,} values, and x {len(values):,}", hint)
        y = [*one.y[: len(values)], *[None] * (len(values) - len(one.y))]
        kept.append(attrs.evolve(one, y=y))
    return Plot(title, kind, [rising(notes, where, values, kept)], labels)


def _table(notes: Notes, left: list[int], where: str, given: Any) -> Table | None:
    if not isinstance(given, Mapping):
        notes.fault(where, f"is {kind_of(given)}, not an object", "write `title`, `columns` and `rows`")
        return None
    _unknown(notes, where, given, ("title", "columns", "rows"))
    columns, rows = given.get("columns"), given.get("rows")
    if not is_list(columns):
        notes.fault(f"{where}.columns", f"is {kind_of(columns)}, not a list", "write a list of names")
        return None
    if not is_list(rows):
        notes.fault(f"{where}.rows", f"is {kind_of(rows)}, not a list", "write a list of lists of cells")
        return None
    titles = [
        short("" if (cell := _scalar(notes, f"{where}.columns[{at}]", one)) is None else cell)
        for at, one in enumerate(notes.bounded(columns, f"{where}.columns", MAX_COLUMNS, "columns"))
    ]
    most = min(MAX_ROWS, left[0] // max(len(titles), 1))
    shown = [
        _row(notes, f"{where}.rows[{at}]", row, len(columns), len(titles))
        for at, row in enumerate(notes.bounded(rows, f"{where}.rows", most, "rows"))
    ]
    kept = [row for row in shown if row is not None]
    left[0] -= len(kept) * len(titles)
    return Table(_title(notes, where, given.get("title")), titles, kept)


def _row(notes: Notes, where: str, given: Any, width: int, shown: int) -> list[Scalar] | None:
    if not is_list(given) or len(given) != width:
        what = f"has {len(given):,} cells" if is_list(given) else f"is {kind_of(given)}"
        notes.fault(where, what, f"write a list of one cell for each of the {width} columns")
        return None
    return [_scalar(notes, f"{where}[{at}]", cell) for at, cell in enumerate(given[:shown])]


__all__ = ["Fault", "Group", "Metric", "Plot", "Reading", "Series", "Table", "check", "read", "schema"]
