"""A report in a browser: it draws at any width, in light and dark and on paper, and nothing of a stranger runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from botdock_reports import Run, render
from testbed.browser import Browser
from testbed.waiting import until

FAR = 1e29
EXTREME: list[list[Any]] = [
    [],
    [1],
    [None, None],
    [FAR, -FAR],
    [1e17, 1e17 + 16],
    [1e-29, 2e-29],
    [5.0] * 3,
    [0.1, 0.1 + 1e-16],
    [1e15 + 1, 1e15 + 2, None, 1e15 + 3],
]
TIMES = ["0001-01-01", "9999-12-31", "2024-01-01", "2024-01-01T00:00:00.000001Z"]
SCRIPT = "</script><script>window.ran = 1</script><img src=x onerror='window.ran = 1'>"
FIGURE = {
    "data": [
        {"x": TIMES[2:], "y": [1, 2], "name": f"<a href='javascript:window.ran=1'>{SCRIPT}</a>"},
        {"type": "bar", "x": TIMES[2:], "y": [1, 2]},
    ],
    "layout": {"title": {"text": SCRIPT}, "images": [{"source": "http://127.0.0.1:9/x.png"}]},
}
HOSTILE = {
    "metrics": {SCRIPT: SCRIPT},
    "plots": [{"title": SCRIPT, "x": [SCRIPT, "b"], "series": {SCRIPT: [1, 2], "__proto__": [1, 2]}}, FIGURE],
    "tables": [{"title": SCRIPT, "columns": [SCRIPT], "rows": [[SCRIPT]]}],
    "status": SCRIPT,
}


def backtests() -> list[Run]:
    """What the example returns for two configurations."""
    folder = Path(__file__).parents[2] / "examples/sma-crossover"
    space: dict[str, Any] = {"__file__": str(folder / "backtest.py"), "__name__": "backtest"}
    exec((folder / "backtest.py").read_text(), space)
    return [
        Run(name=f"sma {fast}/{slow}", value=space["main"]("sma", {"fast": fast, "slow": slow}), log=["done"])
        for fast, slow in ((10, 40), (5, 30))
    ]


INKED = """[...document.querySelectorAll('canvas')].every((canvas) =>
    canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((part) => part))"""
WIDTHS = "[document.documentElement.scrollWidth, innerWidth]"
DRAWN = "document.querySelector('canvas').toDataURL()"
GROUND = "getComputedStyle(document.body).backgroundColor"


def test_it_draws_at_two_widths_in_light_and_dark_and_on_paper_and_fetches_nothing(
    browser: Browser, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    page.write_text(render(backtests()))
    grounds = set()
    for width, dark in ((1200, False), (360, True)):
        browser.open(page, width=width, dark=dark)
        assert browser.evaluate("document.querySelectorAll('canvas').length") == 2
        assert browser.evaluate(INKED)
        assert browser.evaluate(WIDTHS) == [width, width]
        grounds.add(browser.evaluate(GROUND))
        assert browser.paper().startswith(b"%PDF")
        assert browser.evaluate("document.documentElement.className") == ""
        assert (browser.complaints, browser.fetched) == ([], [page.as_uri()])
    dark_ink = browser.evaluate(DRAWN)
    browser.colours(dark=False)
    until(lambda: browser.evaluate(DRAWN) != dark_ink, timeout=60)  # it draws anew once the browser has told it
    grounds.add(browser.evaluate(GROUND))
    assert len(grounds) == 2
    assert browser.complaints == []


def test_nothing_of_a_stranger_runs_and_no_other_script_may(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(render([Run(name=SCRIPT, value=HOSTILE, facts={SCRIPT: SCRIPT}, log=[SCRIPT])] * 2))
    browser.open(page, width=1000)
    assert browser.evaluate("window.ran") is None
    assert browser.evaluate("document.querySelectorAll('canvas').length") == 2
    assert (browser.complaints, browser.fetched) == ([], [page.as_uri()])
    browser.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    assert browser.evaluate("window.ran") is None
    assert "Content Security Policy" in json.dumps(browser.complaints)


def test_whatever_the_numbers_are_a_plot_ends(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    plots: list[dict[str, Any]] = [
        {"series": {"y": values}, "kind": kind} for values in EXTREME for kind in ("line", "points", "bars", "steps")
    ]
    plots += [{"x": values, "series": {"y": [1] * len(values)}} for values in EXTREME if None not in values]
    plots += [{"x": [first, second], "series": {"y": [1, 2]}} for first in TIMES for second in TIMES]
    for start in range(0, len(plots), 50):
        part = plots[start : start + 50]
        page.write_text(render([Run(name="far", value={"plots": part})]))
        browser.open(page, width=600)
        assert browser.evaluate("Number(document.documentElement.dataset.drawn)") == len(part)
        assert browser.complaints == []
