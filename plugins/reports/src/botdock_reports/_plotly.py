"""Plotly figures, as bots of the old runner return them: `fig.to_dict()`, `fig.to_plotly_json()` or `fig.to_json()`."""

from __future__ import annotations

import base64
import json
import re
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from botdock_reports._parts import (
    MAX_POINTS,
    Group,
    Notes,
    Plot,
    Series,
    axis_of,
    is_list,
    kind_of,
    numbers,
    rising,
    short,
    told,
)

MAX_TRACES = 20
DRAWN = ("scatter", "scattergl", "bar", "candlestick", "ohlc")
"""Types of traces that are drawn: of prices the close."""

_MARKUP = re.compile(r"</?(?:b|i|em|strong|u|s|sub|sup|span|a)\b[^<>]{0,500}>", re.IGNORECASE)
_BREAK = re.compile(r"<br\s{0,3}/?>", re.IGNORECASE)
_DTYPES = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "f4": "f", "f8": "d"}


def read_figure(notes: Notes, where: str, given: Any) -> list[Plot]:
    """Return a figure as our plots, one for each pair of its axes, as far as it can be drawn; note what cannot."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            notes.fault(where, "is text that is not JSON", "write an object, or what `fig.to_json()` returns")
            return []
    traces = given.get("data") if isinstance(given, Mapping) else None
    if not is_list(traces):
        notes.fault(f"{where}.data", f"is {kind_of(traces)}, not a list", "write what `fig.to_dict()` returns")
        return []
    found: dict[tuple[str, str], list[tuple[str, list[float], list[str], Series]]] = {}
    for at, trace in enumerate(notes.bounded(traces, f"{where}.data", MAX_TRACES, "traces")):
        if (read := _trace(notes, f"{where}.data[{at}]", at, trace)) is not None:
            found.setdefault((_axis(trace, "x"), _axis(trace, "y")), []).append(read)
    layout = given.get("layout")
    layout = layout if isinstance(layout, Mapping) else {}
    plots = []
    for (_, y), together in found.items():
        titles = (_title(layout), _title(layout.get(f"yaxis{y[1:]}")) if len(found) > 1 else "")
        plots.append(_together(notes, where, short(" · ".join(filter(None, titles))), together))
    return plots


def _axis(trace: Mapping[str, Any], direction: str) -> str:
    name = trace.get(f"{direction}axis")
    return name if isinstance(name, str) else direction


def _title(holder: Any) -> str:
    """Return the title of a layout, or of an axis in it."""
    title = holder.get("title") if isinstance(holder, Mapping) else None
    title = title.get("text") if isinstance(title, Mapping) else title
    return _plain(title) if isinstance(title, str) else ""


def _plain(text: str) -> str:
    """Return a text without the markup that Plotly knows."""
    return short(_MARKUP.sub("", _BREAK.sub(" ", text[:2000])))


def _trace(notes: Notes, where: str, at: int, given: Any) -> tuple[str, list[float], list[str], Series] | None:
    if not isinstance(given, Mapping):
        notes.fault(where, f"is {kind_of(given)}, not an object")
        return None
    kind = given.get("type", "scatter")
    if kind not in DRAWN:
        notes.fault(f"{where}.type", f"is {told(kind)}", f"reports draw {', '.join(DRAWN)}")
        return None
    values = "close" if kind in {"candlestick", "ohlc"} else "y"
    y = _list(notes, f"{where}.{values}", given.get(values))
    x = _list(notes, f"{where}.x", given["x"]) if given.get("x") is not None else None
    if y is None or (x is None and given.get("x") is not None):
        return None
    if x is not None and len(x) != len(y):
        notes.fault(f"{where}.{values}", f"has {len(y):,} values, and x {len(x):,}")
    if x is not None and None in x:
        kept = [at for at, one in enumerate(x[: len(y)]) if one is not None]
        notes.cuts.append(f"{where}.x: {len(x) - len(kept):,} points without an x are left out, and the gaps they make")
        x, y = [x[at] for at in kept], [y[at] for at in kept]
    axis = axis_of(notes, f"{where}.x", range(len(y)) if x is None else x[: len(y)])
    if axis is None:
        return None
    name = given.get("name")
    named = _plain(name) if isinstance(name, str) and name else f"trace {at + 1}"
    drawn = numbers(notes, f"{where}.{values}", y[: len(axis[1])])
    return *axis, Series(named, _kind(given, kind), drawn)


def _kind(trace: Mapping[str, Any], kind: str) -> str:
    if kind == "bar":
        return "bars"
    line, mode = trace.get("line"), trace.get("mode")
    if isinstance(mode, str) and "markers" in mode and "lines" not in mode:
        return "points"
    is_stepped = isinstance(line, Mapping) and line.get("shape") in ("hv", "vh", "hvh", "vhv")
    return "steps" if is_stepped else "line"


def _list(notes: Notes, where: str, given: Any) -> Sequence[Any] | None:
    """Return a list, also one that Plotly has packed into base64; None, noted, where it is neither."""
    values = given
    if isinstance(given, Mapping) and "bdata" in given:
        values = _unpacked(given)
        if values is None:
            notes.fault(where, "cannot be unpacked", f"`bdata` is base64 of one of {', '.join(_DTYPES)}")
            return None
    if not is_list(values):
        notes.fault(where, f"is {kind_of(given)}, not a list")
        return None
    return notes.bounded(values, where, MAX_POINTS, "values")


def _unpacked(given: Mapping[str, Any]) -> Sequence[float] | None:
    code, data = _DTYPES.get(str(given.get("dtype"))), given.get("bdata")
    if code is None or not isinstance(data, str):
        return None
    try:
        return array(code, base64.b64decode(data, validate=True)).tolist()  # little-endian, as all that we run on
    except ValueError:
        return None


def _together(
    notes: Notes, where: str, title: str, found: Sequence[tuple[str, list[float], list[str], Series]]
) -> Plot:
    """Return the plot of traces, each with its own x; one whose x is of another kind than the first's is left out."""
    kind, labels = found[0][0], {label: at for at, label in enumerate(found[0][2])}
    groups: list[Group] = []
    for axis, x, own, one in found:
        if axis != kind:
            notes.fault(where, f"{one.name!r} has x of {axis}, while the first trace has x of {kind}")
            continue
        moved = [labels.setdefault(label, len(labels)) for label in own]
        groups.append(rising(notes, where, [moved[int(place)] for place in x] if moved else x, [one]))
    return Plot(title, kind, groups, list(labels))
