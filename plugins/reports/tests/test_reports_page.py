"""The page: whole in itself, and nothing of a stranger is more than text in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock_reports import Run, render

DOCUMENT = {"html", "head", "meta", "title", "style", "body", "script", "noscript"}
TEXT = {
    "header",
    "section",
    "h1",
    "h2",
    "p",
    "ul",
    "li",
    "div",
    "span",
    "figure",
    "figcaption",
    "details",
    "summary",
    "pre",
}
ELEMENTS = DOCUMENT | TEXT | {"table", "thead", "tbody", "tr", "th", "td"}
ATTRIBUTES = {
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "class",
    "scope",
    "title",
    "data-plot",
    "type",
    "id",
    "open",
}
OURS = re.compile(r"[\w ,'=/+;:-]*(sha256-[\w+/=]+[\w ,'=/+;:-]*)*")


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self._open.append(tag)
            self.inside.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in self._open:
            self.inside[tag][-1] += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.elements if name == tag]


def plots_of(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(page.inside["script"][0])
    return found


@given(data=st.data())
def test_nothing_that_a_bot_returned_or_wrote_is_more_than_text(
    hostile: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    texts = data.draw(
        st.lists(st.text() | st.just("</script><script>alert(1)</script>\x1b[2J\ud800"), min_size=3, max_size=3)
    )
    runs = [
        Run(name=texts[0], value=data.draw(hostile), facts={texts[1]: texts[2]}, log=texts),
        Run(name=texts[0], value=data.draw(hostile)),
    ]
    content = render(runs, title=texts[1])
    content.encode()
    page = Page(content)
    assert {name for name, _ in page.elements} <= ELEMENTS
    assert {name for _, attributes in page.elements for name in attributes} <= ATTRIBUTES
    assert all(OURS.fullmatch(value or "") for _, attributes in page.elements for value in attributes.values())
    assert [one.get("type") for one in page.attributes("script")] == ["application/json", None, None]
    assert len(plots_of(page)) == len(page.attributes("figure"))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", content)


def test_the_names_of_curves_and_the_texts_of_an_axis_cannot_end_the_script_that_holds_them() -> None:
    hostile = "</script><!--<script>&amp;"
    page = Page(render([Run(name="a", value={"plots": [{"x": [hostile], "series": {hostile: [1]}}]})]))
    (plot,) = plots_of(page)
    assert (plot["labels"], plot["groups"][0]["series"][0]["name"]) == ([hostile], hostile)
    assert "<" not in page.inside["script"][0]


def test_its_policy_lets_its_own_scripts_and_style_run_and_nothing_else() -> None:
    page = Page(render([Run(name="a")]))
    (policy,) = [
        one["content"] for one in page.attributes("meta") if one.get("http-equiv") == "Content-Security-Policy"
    ]
    _, *scripts = page.inside["script"]
    hashes = [
        base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in (*scripts, *page.inside["style"])
    ]
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}' 'sha256-{hashes[1]}'; style-src 'sha256-{hashes[2]}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert scripts[0].startswith("/*! https://github.com/leeoniya/uPlot (v1.6.32) */")
    assert not any("</" in one for one in (*scripts, *page.inside["style"]))


def test_what_it_carries_comes_with_its_licence() -> None:
    assert "MIT" in (files("botdock_reports") / "assets/LICENSE.uPlot").read_text()


VALUE: dict[str, Any] = {
    "metrics": {"sharpe": 1.5, "max_drawdown": 0.2, "trades": 1200, "note": "x", "ok": True, "none": None},
    "plots": [{"title": "Equity", "x": [1, 2], "series": {"equity": [1, 2], "price": [5, 6]}}],
    "tables": [{"title": "Trades", "columns": ["a"], "rows": [["b"], [1e-9]]}],
    "status": "success",
}
OTHER = {
    "metrics": {"sharpe": -1, "max_drawdown": -0.1, "trades": 1200},
    "plots": [{"title": "Equity", "x": [1, 2], "series": {"equity": [1, 3], "price": [5, 6]}}],
}


def test_one_run_shows_all_that_it_has() -> None:
    run = Run(name="sma", value=VALUE, facts={"Outcome": "succeeded"}, log=["one", "two"])
    content = render([run])
    page = Page(content)
    shown = " ".join(page.inside["body"])
    for part in (
        "1.5",
        "1,200",
        "true",
        "Equity",
        "Trades (2 rows)",
        "1e-09",
        "succeeded",
        "one\ntwo",
        '"status": "success"',
    ):
        assert part in shown
    assert "★" not in content
    assert page.inside["h2"] == ["Metrics", "Plots", "Tables", "Runs", "Else returned", "Logs"]
    (plot,) = plots_of(page)
    assert [one["name"] for one in plot["groups"][0]["series"]] == ["equity", "price"]


def test_several_runs_stand_side_by_side_with_the_best_marked_and_what_they_share_drawn_once() -> None:
    page = Page(render([Run(name="sma", execution_id="01aaaaaabbbbbb", value=VALUE), Run(name="sma", value=OTHER)]))
    head, sharpe, drawdown, trades, *_ = [row.split() for row in page.inside["tr"]]
    assert head == ["sma", "bbbbbbsma", "2"]
    assert sharpe == ["sharpe1.5", "★-1"]
    assert drawdown == ["max_drawdown0.2-0.1", "★"]
    assert trades == ["trades1,2001,200"]
    (plot,) = plots_of(page)
    names = [one["name"] for group in plot["groups"] for one in group["series"]]
    assert names == ["sma bbbbbb · equity", "price", "sma 2 · equity"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234567.89, "1,234,568"),
        (99_999.96, "100,000"),
        (-12345.678, "-12,345.7"),
        (0.0, "0"),
        (1.5e-9, "1.5e-09"),
        (2.5e20, "2.5e+20"),
    ],
)
def test_a_number_is_shown_as_people_write_it(value: float, shown: str) -> None:
    assert Page(render([Run(name="a", value={"metrics": {"m": value}})])).inside["td"][-1] == shown


def test_texts_of_several_runs_have_one_order() -> None:
    values = [{"plots": [{"x": x, "series": {"a": [1, 2]}}]} for x in (["b", "a"], ["a", "c"], ["a", "b"])]
    page = Page(render([Run(name=str(at), value=value) for at, value in enumerate(values)]))
    (plot,) = plots_of(page)
    assert plot["labels"] == ["b", "a", "c"]
    assert [(group["x"], group["series"][0]["y"]) for group in plot["groups"]] == [
        ([0, 1], [1, 2]),
        ([1, 2], [1, 2]),
        ([0, 1], [2, 1]),
    ]


def test_plots_of_one_title_stay_apart_within_a_run() -> None:
    plot = VALUE["plots"][0]
    assert Page(render([Run(name="a", value={"plots": [plot, plot]})])).inside["figcaption"] == ["Equity", "Equity (2)"]


def test_what_is_wrong_and_what_is_left_out_is_told_on_the_page() -> None:
    value = {"metrics": {"a": "<b>", "b": []}, "plots": [], "note": "x" * 50_000}
    content = render([Run(name=f"r{number}", value=value) for number in range(25)])
    page = Page(content)
    assert page.inside["li"][:2] == [
        "the first 20 of 25 runs are shown",
        "r0: metrics.b: is a list; write a number, a text, true, false or null",
    ]
    assert "<b>" not in content
    assert page.inside["pre"][0].endswith("… and more")


def test_a_page_of_much_is_bounded_and_keeps_every_peak() -> None:
    high = [0.0] * 100_000
    high[77_777], high[5] = 9.0, -9.0
    series = {f"s{number}": high for number in range(4)}
    content = render([Run(name="a", value={"plots": [{"title": str(at), "series": series} for at in range(2)]})])
    assert len(content) < 500_000
    for plot in plots_of(Page(content)):
        for one in plot["groups"][0]["series"]:
            assert (max(one["y"]), min(one["y"])) == (9, -9)


def test_a_value_that_json_cannot_say_and_no_run_at_all() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert "… and more" in render([Run(name="a", value={"metrics": {}, "deep": deep})])
    assert "cannot be shown as JSON" in render([Run(name="a", value={"metrics": {}, "key": {(1, 2): 3}})])
    assert "set()" in render([Run(name="a", value={"metrics": {}, "rest": set()})])
    with pytest.raises(ValueError, match="at least one run"):
        render([])
