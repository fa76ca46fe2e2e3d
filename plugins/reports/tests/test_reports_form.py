"""The form of what a bot returns: what is read of it, and how its wrong parts are named."""

from __future__ import annotations

import base64
import json
import struct
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock_reports import Metric, check, read, schema

EQUITY = {"title": "Equity", "x": ["2024-01-01", "2024-01-02"], "series": {"equity": [1, 1.5]}}
validate = import_module("fastjsonschema").compile(schema())  # without types; it needs none here


def told(value: Any) -> list[str]:
    return [str(fault) for fault in check(value)]


def curves(value: Any) -> list[tuple[str, str, list[float], list[float | None]]]:
    (plot,) = read({"plots": [value]}).plots
    return [(one.name, one.kind, list(group.x), list(one.y)) for group in plot.groups for one in group.series]


@given(data=st.data())
def test_any_value_is_read_and_what_the_schema_refuses_is_named(
    hostile: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    value = data.draw(hostile)
    faults = check(value)
    assert all(fault.where and fault.problem and len(str(fault)) < 1000 for fault in faults)
    if not faults:
        validate(json.loads(json.dumps(value)))


@given(data=st.data())
def test_a_value_that_has_its_form_has_no_fault(proper: st.SearchStrategy[Any], data: st.DataObject) -> None:
    value = data.draw(proper)
    assert told(value) == []
    validate(value)
    if "metrics" in value or "plots" in value:
        assert read({"results": value}).plots == read(value).plots


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"metrics": [1]}, 'metrics: is a list, not an object; write names and values: {"sharpe": 1.2}'),
        ({"metrics": {"a b": {}}}, "metrics['a b']: has no `value`; write a number, or an object with `value` and"),
        ({"metrics": {"a": {"value": 1, "best": "max"}}}, "metrics.a.best: is 'max'; write one of highest, lowest"),
        ({"metrics": {"a": {"value": 1, "best": []}}}, "metrics.a.best: is a list; write one of highest, lowest"),
        ({"metrics": {"a": {"value": 1, "unit": "%"}}}, "metrics.a.unit: is unknown; a metric has"),
        ({"metrics": {"a": float("nan")}}, "metrics.a: is NaN; write null where there is no number"),
        ({"metrics": {"a": float("-inf")}}, "metrics.a: is infinite; write null"),
        ({"metrics": {"a": object()}}, "metrics.a: is of type object; write a number, a text"),
        ({"plots": {"title": "x"}}, "plots: is an object, not a list; write a list, be it of one"),
        ({"plots": [3]}, "plots[0]: is a number, not an object; write `title`, `x` and `series`, or a Plotly figure"),
        ({"plots": ["{"]}, "plots[0]: is text that is not JSON; write an object, or what `fig.to_json()` returns"),
        ({"plots": ["[" * 100_000]}, "plots[0]: is text that is not JSON"),
        ({"plots": [{"series": {}}]}, "plots[0].series: is empty; write names and lists of numbers"),
        ({"plots": [{"series": {"a": 3}}]}, "plots[0].series.a: is a number, not a list; write a list of numbers"),
        ({"plots": [{"series": {"a": [1, "2"]}}]}, "plots[0].series.a[1]: is text, not a number; write a number, or"),
        ({"plots": [{"series": {"a": [True]}}]}, "plots[0].series.a[0]: is true or false, not a number"),
        ({"plots": [{"series": {"a": [10**400]}}]}, "plots[0].series.a[0]: is too large to be drawn"),
        ({"plots": [{"series": {"a": [1e300]}}]}, "plots[0].series.a[0]: is too large to be drawn"),
        ({"plots": [{"x": [1], "series": {"a": [1, 2]}}]}, "plots[0].series.a: has 2 values, and x 1; write one for"),
        ({"plots": [{"x": 3, "series": {"a": [1]}}]}, "plots[0].x: is a number, not a list; write numbers, dates"),
        (
            {"plots": [{"x": [1, "b"], "series": {"a": [1, 2]}}]},
            "plots[0].x[1]: is text, not a number, while the first",
        ),
        ({"plots": [{"x": ["b", None], "series": {"a": [1, 2]}}]}, "plots[0].x[1]: is null, while the first is text"),
        ({"plots": [{**EQUITY, "kind": "pie"}]}, "plots[0].kind: is 'pie'; write one of line, points, bars, steps"),
        ({"plots": [{**EQUITY, "title": 3}]}, "plots[0].title: is a number, not text"),
        ({"plots": [{**EQUITY, "colour": "red"}]}, "plots[0].colour: is unknown; known are title, x, series, kind"),
        ({"plots": [{"data": 3}]}, "plots[0].data: is a number, not a list; write what `fig.to_dict()` returns"),
        ({"plots": [{"data": [3]}]}, "plots[0].data[0]: is a number, not an object"),
        ({"plots": [{"data": [{"type": "pie"}]}]}, "plots[0].data[0].type: is 'pie'; reports draw scatter, scattergl"),
        ({"plots": [{"data": [{"x": [1]}]}]}, "plots[0].data[0].y: is null, not a list"),
        ({"plots": [{"data": [{"y": {"bdata": "?", "dtype": "f8"}}]}]}, "plots[0].data[0].y: cannot be unpacked"),
        ({"plots": [{"data": [{"x": [1, 2], "y": [1]}]}]}, "plots[0].data[0].y: has 1 values, and x 2"),
        ({"tables": [[]]}, "tables[0]: is a list, not an object; write `title`, `columns` and `rows`"),
        ({"tables": [{"columns": ["a"]}]}, "tables[0].rows: is null, not a list; write a list of lists of cells"),
        ({"tables": [{"rows": []}]}, "tables[0].columns: is null, not a list; write a list of names"),
        (
            {"tables": [{"columns": ["a"], "rows": [[1, 2]]}]},
            "tables[0].rows[0]: has 2 cells; write a list of one cell",
        ),
        ({"tables": [{"columns": ["a"], "rows": [[{}]]}]}, "tables[0].rows[0][0]: is an object; write a number"),
        ({"results": {"metrics": {"a": []}}}, "results.metrics.a: is a list; write a number"),
    ],
)
def test_a_wrong_part_is_named_with_its_place_and_its_mend(value: Any, expected: str) -> None:
    (first, *_) = told(value)
    assert first.startswith(expected)


def test_a_list_of_wrong_values_is_two_lines_and_a_value_of_wrong_parts_is_bounded() -> None:
    assert told({"plots": [{"series": {"a": ["x"] * 5000}}]})[1:] == [
        "plots[0].series.a: 4,999 more of its values are not numbers"
    ]
    faults = told({"metrics": {f"m{number}": [] for number in range(200)}, "tables": [3] * 50})
    assert len(faults) == 101
    assert faults[-1].endswith("more is wrong from here on, and is not told")


def test_what_is_too_much_is_cut_and_said() -> None:
    value = {
        "metrics": {f"m{number}": number for number in range(300)},
        "plots": [{"series": {"a": [0] * 200_000}}],
        "tables": [{"columns": ["a"], "rows": [[1]] * 1000}],
    }
    reading = read(value)
    assert reading.cuts == [
        "metrics: the first 200 of 300 metrics are shown",
        "plots[0].series.a: the first 100,000 of 200,000 values are shown",
        "tables[0].rows: the first 500 of 1,000 rows are shown",
    ]
    assert not reading.faults
    assert len(reading.tables[0].rows) == 500


def test_x_is_numbers_times_texts_or_absent() -> None:
    def axis(x: Any) -> tuple[str, list[float]]:
        (plot,) = read({"plots": [{"x": x, "series": {"a": [1, 2]}}]}).plots
        return plot.axis, list(plot.groups[0].x)

    assert axis(None) == ("number", [0, 1])
    assert axis([3, 4.5]) == ("number", [3, 4.5])
    assert axis(["1970-01-02", "1970-01-03T01:00:00+01:00"]) == ("time", [86400, 172800])
    assert axis(["b", "a"]) == ("text", [0, 1])
    assert axis(["2024-02-30", "2024-03-01"])[0] == "text"  # is not a date


def test_x_that_does_not_rise_is_sorted_and_a_value_twice_is_said() -> None:
    reading = read({"plots": [{"x": [3, 1, 1], "series": {"a": [30, 10, 11]}}]})
    assert reading.plots[0].groups[0].x == [1, 3]
    assert reading.plots[0].groups[0].series[0].y == [11, 30]
    assert reading.cuts == ["plots[0]: 1 points share their x with a later one, which is shown"]


def test_plotly_figures_are_drawn_as_objects_and_as_text_also_with_packed_numbers() -> None:
    packed = base64.b64encode(struct.pack("<2d", 1.5, 2.5)).decode()
    figure = {
        "data": [
            {
                "type": "scatter",
                "x": ["2024-01-01", "2024-01-02"],
                "y": {"dtype": "f8", "bdata": packed},
                "name": "a<br>b",
            },
            {"mode": "markers", "y": [1, None], "x": ["2024-01-01", "2024-01-03"]},
            {"type": "bar", "x": ["2024-01-01"], "y": [3]},
            {"line": {"shape": "hv"}, "x": ["2024-01-01"], "y": [3]},
            {"type": "candlestick", "x": ["2024-01-01"], "open": [1], "close": [7], "name": "price"},
            {"y": [1, 2]},
        ],
        "layout": {"title": {"text": "<b>Equity</b>"}},
    }
    first = 1704067200.0
    assert curves(figure) == curves(json.dumps(figure))
    assert curves(figure) == [
        ("a b", "line", [first, first + 86400], [1.5, 2.5]),
        ("trace 2", "points", [first, first + 2 * 86400], [1, None]),
        ("trace 3", "bars", [first], [3]),
        ("trace 4", "steps", [first], [3]),
        ("price", "line", [first], [7]),
    ]
    assert read({"plots": [figure]}).plots[0].title == "Equity"
    assert told({"plots": [figure]}) == ["plots[0]: 'trace 6' has x of number, while the first trace has x of time"]
    texts = {"data": [{"x": ["a", "b"], "y": [1, 2]}, {"x": ["c", "a"], "y": [3, 4]}]}
    assert [x for _, _, x, _ in curves(texts)] == [[0, 1], [0, 2]]


def test_each_pair_of_a_figures_axes_is_a_plot_with_the_axis_in_its_title() -> None:
    price, rsi = {"x": ["2024-01-01"], "y": [50_000]}, {"x": [1], "y": [30], "xaxis": "x2", "yaxis": "y2"}
    layout = {"title": "Run", "yaxis2": {"title": {"text": "<b>RSI</b>"}}}
    plots = read({"plots": [{"data": [price, rsi, price], "layout": layout}, {"data": [rsi], "layout": layout}]}).plots
    shown = [(plot.title, plot.axis, sum(len(group.series) for group in plot.groups)) for plot in plots]
    assert shown == [("Run", "time", 2), ("Run · RSI", "number", 1), ("Run", "number", 1)]
    odd = [{"y": [1], "xaxis": [], "yaxis": {}}, {"y": [2], "yaxis": ""}, {"y": [3], "yaxis": "y</script>"}]
    assert len(read({"plots": [{"data": odd, "layout": {"yaxis": 3, "yaxis</script>": 3}}]}).plots) == 3
    many = {"data": [{"y": [at], "yaxis": f"y{at}"} for at in range(20)]}
    assert read({"plots": [many] * 3}).cuts == ["plots: the first 50 of 60 plots are shown"]


def test_points_of_a_figure_without_an_x_are_left_out_and_said() -> None:
    figure = {"data": [{"x": [None, "2024-01-01", None, "2024-01-02"], "y": [9, 1, None, 2]}]}
    assert curves(figure) == [("trace 1", "line", [1704067200.0, 1704153600.0], [1, 2])]
    reading = read({"plots": [figure, {"data": [{"x": [None], "y": [1]}]}]})
    assert not reading.faults
    assert reading.cuts[0] == "plots[0].data[0].x: 2 points without an x are left out, and the gaps they make"


def test_which_metric_is_the_best_is_guessed_by_its_name_or_declared() -> None:
    metrics = {
        "sharpe": 1,
        "max_drawdown": 1,
        "trades": 1,
        "cost": {"value": 1, "best": "none"},
        "t": {"value": 2, "best": "lowest"},
    }
    assert read({"metrics": metrics}).metrics == {
        "sharpe": Metric(1, "highest"),
        "max_drawdown": Metric(1, "smallest"),
        "trades": Metric(1),
        "cost": Metric(1),
        "t": Metric(2, "lowest"),
    }
    assert read({"metrics": {"a": 10**400, "b": 1e300}}).metrics == {
        "a": Metric("a very large number"),
        "b": Metric("1e+300"),
    }


def test_the_rest_of_a_value_is_kept_for_those_who_look() -> None:
    assert read({"status": "success", "metrics": {}}).rest == {"status": "success"}
    assert read({"status": "success", "results": {"metrics": {}, "note": 1}}).rest == {"status": "success", "note": 1}
    assert read([1]).rest == [1]
    assert read(None).rest is None
