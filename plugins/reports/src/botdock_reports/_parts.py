"""The parts of a report, and how numbers, texts and lists of a stranger become safe to draw."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, TypeGuard

import attrs

Scalar = float | int | str | bool | None

MAX_POINTS = 100_000
"""Values of one series that are read."""
MAX_TEXT = 200
"""Characters of a name or a cell that are shown."""
MAX_FAULTS = 100
LARGEST = 1e30
"""Beyond it, and its inverse, a number is not drawn: the steps of uPlot's axes go from 10^-32 to 10^32."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII)
_KINDS = {bool: "true or false", str: "text", type(None): "null", int: "a number", float: "a number"}


@attrs.frozen
class Fault:
    """One part of a value that does not have its form.

    Attributes:
        where: The way to it in the value, such as `plots[0].series.close[17]`.
        problem: What is wrong.
        hint: What to write in its place; empty where the problem says it.
    """

    where: str
    problem: str
    hint: str = ""

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.where}: {self.problem}{f'; {self.hint}' if self.hint else ''}"


@attrs.frozen
class Metric:
    """One named figure.

    Attributes:
        value: What it is.
        best: Which of several is the best: `highest`, `lowest`, `smallest` (the nearest to zero), or empty for none.
    """

    value: Scalar
    best: str = ""


@attrs.frozen
class Series:
    """One curve of a plot.

    Attributes:
        name: Of the curve.
        kind: `line`, `points`, `bars` or `steps`.
        y: Its values, one for each `x` of its group; None is a gap.
    """

    name: str
    kind: str
    y: Sequence[float | None]


@attrs.frozen
class Group:
    """Curves that share their `x`.

    Attributes:
        x: It rises.
        series: The curves.
    """

    x: Sequence[float]
    series: Sequence[Series]


@attrs.frozen
class Plot:
    """One plot.

    Attributes:
        title: Above it.
        axis: What `x` is: `number`, `time` (seconds since 1970, UTC) or `text` (the place in `labels`).
        groups: Its curves.
        labels: The texts of an axis of text.
    """

    title: str
    axis: str
    groups: Sequence[Group]
    labels: Sequence[str] = ()


@attrs.frozen
class Table:
    """One table.

    Attributes:
        title: Above it.
        columns: Their names.
        rows: The cells of each row, as many as there are columns.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Scalar]]


class Notes:
    """What is found wrong, and what is left out, while a value is read."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.cuts: list[str] = []

    def fault(self, where: str, problem: str, hint: str = "") -> None:
        """Note a part that does not have its form."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(where, problem, hint))
        elif len(self.faults) == MAX_FAULTS:
            self.faults.append(Fault(where, "more is wrong from here on, and is not told"))

    def bounded(self, items: Sequence[Any], where: str, most: int, what: str) -> Sequence[Any]:
        """Return the first `most` of the items; note what is left out."""
        if len(items) > most:
            self.cuts.append(f"{where}: the first {most:,} of {len(items):,} {what} are shown")
        return items[:most]


def kind_of(value: Any) -> str:
    """Return what a value is, in the words of JSON."""
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if is_list(value) else _KINDS.get(type(value), f"of type {type(value).__name__}")


def told(value: Any) -> str:
    """Return a value as a message names it: a text by its beginning, all else by its kind."""
    return repr(value[:40]) if isinstance(value, str) else kind_of(value)


def is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    """Whether it is a list as JSON has it."""
    return isinstance(value, list | tuple)


def short(value: Any) -> str:
    """Return a name or a cell as text that has a bounded length."""
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


def figures(value: float, digits: int = 6) -> str:
    """Return a number as people write it: of that many digits, or all of its whole part, and no power below 10^15."""
    size = abs(value)
    if 10 ** (digits - 1) <= size < 1e15:  # noqa: PLR2004 - beyond it a float holds no longer each whole number
        return f"{value:,.0f}"
    return f"{value:,.{digits}g}"


def key(name: str) -> str:
    """Return what follows the way to an object, for one of its names."""
    return f".{name}" if re.fullmatch(r"\w{1,60}", name) else f"[{short(name)[:60]!r}]"


def number_problem(value: Any) -> str:
    """Return why a value is not a number that can be drawn; empty where it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"is {kind_of(value)}, not a number"
    try:
        number = float(value)
    except OverflowError:
        return "is too large to be drawn"
    if not math.isfinite(number):
        return "is NaN" if math.isnan(number) else "is infinite"
    return "is too large to be drawn" if abs(number) > LARGEST else ""


def numbers(notes: Notes, where: str, given: Sequence[Any]) -> list[float | None]:
    """Return numbers and gaps; what is neither becomes a gap, and the first of a list is noted."""
    found: list[float | None] = []
    wrong = 0
    for at, value in enumerate(given):
        problem = "" if value is None else number_problem(value)
        if problem and not wrong:
            notes.fault(f"{where}[{at}]", problem, "write a number, or null for a gap")
        wrong += bool(problem)
        found.append(None if problem or value is None else _steady(value))
    if wrong > 1:
        notes.fault(where, f"{wrong - 1:,} more of its values are not numbers")
    return found


def _steady(value: float) -> float:
    return float(value) if abs(value) >= 1 / LARGEST else 0.0


def axis_of(notes: Notes, where: str, given: Sequence[Any]) -> tuple[str, list[float], list[str]] | None:
    """Return what an `x` is: its kind, its values, and the labels of a text; None, noted, where it is neither."""
    first = given[0] if given else 0
    is_text = isinstance(first, str)
    for at, value in enumerate(given):
        problem = number_problem(value) if not is_text else "" if isinstance(value, str) else f"is {kind_of(value)}"
        if problem:
            rest = "numbers, dates (ISO 8601) or texts, all of one kind"
            notes.fault(f"{where}[{at}]", f"{problem}, while the first is {kind_of(first)}" * bool(at) or problem, rest)
            return None
    if not is_text:
        return "number", [_steady(value) for value in given], []
    moments = _moments(given)
    if moments is not None:
        return "time", moments, []
    places: dict[str, int] = {}
    values: list[float] = [places.setdefault(short(text), len(places)) for text in given]
    return "text", values, list(places)


def _moments(texts: Sequence[str]) -> list[float] | None:
    """Return seconds since 1970 of dates and times; without a zone they are UTC. None where one is neither."""
    found = []
    for text in texts:
        if not _DATE.fullmatch(text):
            return None
        try:
            moment = datetime.fromisoformat(text)
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            found.append(aware.astimezone(UTC).timestamp())  # in UTC, it may lie outside of the calendar
        except (ValueError, OverflowError):
            return None
    return found


def rising(notes: Notes, where: str, x: list[float], series: Sequence[Series]) -> Group:
    """Return a group whose `x` rises, each value once, as it is drawn; note what that leaves out."""
    if all(before < after for before, after in pairwise(x)):
        return Group(x, series)
    order = sorted(range(len(x)), key=x.__getitem__)
    last = {x[at]: at for at in order}
    if len(last) < len(x):
        left = len(x) - len(last)
        notes.cuts.append(f"{where}: {left:,} points share their x with a later one, which is shown")
    kept = list(last.values())
    return Group(list(last), [attrs.evolve(one, y=[one.y[at] for at in kept]) for one in series])


def listed(notes: Notes, where: str, given: Any, read_one: Callable[[str, Any], Any], most: int) -> list[Any]:
    """Return what `read_one` makes of each item of a list, but for None; note what is not a list."""
    if given is None:
        return []
    if not is_list(given):
        notes.fault(where, f"is {kind_of(given)}, not a list", "write a list, be it of one")
        return []
    name = where.rpartition(".")[2]
    items = notes.bounded(given, where, most, name)
    read = [read_one(f"{where}[{at}]", item) for at, item in enumerate(items)]
    return [one for one in read if one is not None]
