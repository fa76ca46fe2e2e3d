"""What bots return, well-formed and hostile, as Hypothesis makes it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

NASTY = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "javascript:alert(1)",
    "<a href='javascript:alert(1)'>x</a>",
    "<!--<script>",
    "]]>",
    "&lt;b&gt;",
    "\u2028\u2029",
    "\u202egnp.exe",
    "\ud800",
    "\x00\x1b[2J",
    "__proto__",
    "constructor",
    "<b>bold</b><br>text",
]
DATES = ["2024-01-01", "2024-02-30", "9999-12-31T23:59:59Z", "2024-01-01T10:00:00+02:00", "0001-01-01"]
TEXTS = st.sampled_from(NASTY + DATES) | st.text(max_size=20)
NUMBERS = st.floats() | st.integers() | st.sampled_from([10**400, 1e308, -1e308, 5e-324])
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
ANY: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=8
)


def objects(*known: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of which each known name may hold anything."""
    return st.dictionaries(st.sampled_from(known) | TEXTS, ANY | st.lists(SCALARS, max_size=6), max_size=5)


PACKED = st.fixed_dictionaries(
    {"dtype": st.sampled_from(["f8", "i4", "x"]), "bdata": st.sampled_from(["AAAAAAAA8D8=", "?"])}
)
TRACES = objects("x", "y", "close", "name", "type", "mode", "line") | st.fixed_dictionaries(
    {"y": st.lists(NUMBERS, max_size=5) | PACKED},
    optional={
        "x": st.lists(NUMBERS | st.sampled_from(DATES), max_size=5) | PACKED,
        "type": st.sampled_from(["scatter", "bar", "candlestick", "pie"]),
        "mode": st.sampled_from(["markers", "lines"]),
        "name": TEXTS,
        "line": ANY,
    },
)
FIGURES = st.fixed_dictionaries(
    {"data": st.lists(TRACES | ANY, max_size=3)},
    optional={"layout": st.fixed_dictionaries({"title": TEXTS | st.fixed_dictionaries({"text": TEXTS}) | ANY}) | ANY},
)
PLOTS = st.fixed_dictionaries(
    {"series": st.dictionaries(TEXTS, st.lists(NUMBERS | st.none(), max_size=6) | ANY, max_size=3)},
    optional={"x": st.lists(NUMBERS | st.sampled_from(DATES) | TEXTS, max_size=6) | ANY, "title": TEXTS, "kind": ANY},
)
TABLES = st.fixed_dictionaries(
    {"columns": st.lists(TEXTS | ANY, max_size=3), "rows": st.lists(st.lists(SCALARS | ANY, max_size=3), max_size=3)},
    optional={"title": TEXTS | ANY},
)
METRICS = st.dictionaries(TEXTS, SCALARS | objects("value", "best") | ANY, max_size=4)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "metrics": METRICS | ANY,
        "plots": st.lists(PLOTS | FIGURES | objects("series", "x", "data", "kind", "title") | ANY, max_size=3) | ANY,
        "tables": st.lists(TABLES | objects("columns", "rows") | ANY, max_size=3) | ANY,
        "status": TEXTS,
    },
)
HOSTILE = PARTS | ANY | st.fixed_dictionaries({"results": PARTS | ANY})

_FINITE = st.floats(min_value=-1e9, max_value=1e9) | st.integers(min_value=-(10**9), max_value=10**9)


@st.composite
def _proper_plots(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(min_value=0, max_value=6))

    def lists(of: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
        return st.lists(of, min_size=count, max_size=count)

    x = draw(lists(_FINITE) | lists(st.dates().map(str)) | lists(st.text(max_size=9)))
    series = draw(st.dictionaries(st.text(max_size=9), lists(_FINITE | st.none()), min_size=1, max_size=3))
    optional = draw(st.fixed_dictionaries({}, optional={"title": st.text(), "kind": st.sampled_from(["line", "bars"])}))
    return {"x": x, "series": series, **optional}


@st.composite
def _proper_tables(draw: st.DrawFn) -> dict[str, Any]:
    columns = draw(st.lists(st.text(max_size=9), max_size=4))
    cells = st.lists(_FINITE | st.text(max_size=9) | st.none(), min_size=len(columns), max_size=len(columns))
    return {"columns": columns, "rows": draw(st.lists(cells, max_size=4))}


PROPER = st.fixed_dictionaries(
    {},
    optional={
        "metrics": st.dictionaries(st.text(max_size=9), _FINITE | st.none() | st.text(max_size=9), max_size=4),
        "plots": st.lists(_proper_plots(), max_size=3),
        "tables": st.lists(_proper_tables(), max_size=3),
    },
)


@pytest.fixture(scope="session")
def hostile() -> st.SearchStrategy[Any]:
    return HOSTILE


@pytest.fixture(scope="session")
def proper() -> st.SearchStrategy[Any]:
    return PROPER
