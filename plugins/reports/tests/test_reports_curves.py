"""Curves on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock_reports import curves, read, sparkline


def test_a_sparkline_shows_low_and_high_and_gaps() -> None:
    assert sparkline([1, 2, 4, None, 8]) == "▁▂▄ █"
    assert sparkline([3, 3]) == "▄▄"
    assert sparkline([]) == ""
    assert sparkline([0, 0, 9, 9], width=2) == "▁█"


@given(st.lists(st.none() | st.floats(min_value=-1e30, max_value=1e30), max_size=300), st.integers(1, 80))
def test_a_sparkline_is_never_wider_than_it_may(values: list[float | None], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) == min(width, len(values))
    assert set(line) <= set(" ▁▂▃▄▅▆▇█")


def test_each_curve_is_one_line_with_what_it_begins_and_ends_with() -> None:
    plot = {"title": "Equity", "x": ["2024-01-01", "2024-01-03"], "series": {"a": [1, 1.25], "none": [None, None]}}
    value = {"plots": [plot, {"series": {f"s{number}": [number] for number in range(9)}}]}
    lines = [*curves(read(value).plots, width=60)]
    assert lines[0] == "Equity: a  ▁█  1 … 1.25  2024-01-01 to 2024-01-03"
    assert lines[1].startswith("s0         ▄  0 … 0")
    assert lines[-1] == "and 2 more curves; `botdock report` shows all"
    assert [*curves([])] == []


def test_a_curve_of_money_begins_and_ends_with_an_amount_not_a_power() -> None:
    (line,) = curves(read({"plots": [{"series": {"equity": [50_000, -1_234_567.8]}}]}).plots)
    assert line == "equity  █▁  50,000 … -1,234,568"


def test_a_long_name_leaves_room_for_its_curve() -> None:
    (line,) = curves(read({"plots": [{"series": {"n" * 100: list(range(500))}}]}).plots, width=60)
    assert len(line) <= 60
    assert line.startswith("n" * 19 + "…  ▁")


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00"])
def test_a_date_that_no_calendar_has_in_utc_is_a_text(date: str) -> None:
    (plot,) = read({"plots": [{"x": [date], "series": {"a": [1]}}]}).plots
    assert (plot.axis, plot.labels) == ("text", [date])
    assert [*curves([plot])] == ["a  ▄  1 … 1"]
