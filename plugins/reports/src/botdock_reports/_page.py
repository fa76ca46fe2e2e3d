"""The page: HTML that fetches nothing, and runs nothing but what botdock wrote into it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from botdock_reports._compare import best_of, bounded, overlaid
from botdock_reports._form import Reading, read
from botdock_reports._parts import Metric, Plot, Scalar, Table, figures
from botdock_reports._run import Run

MAX_RUNS = 20
MAX_LOG_TEXT = 2_000
"""Characters of one line of a log."""
MAX_REST = 20_000
"""Characters of what else a value holds."""


def render(runs: Sequence[Run], *, title: str = "") -> str:
    """Return one HTML page of runs, the first 20 of them: facts, metrics, plots, tables, and the end of each log.

    The page is whole in itself: it fetches nothing, and a Content-Security-Policy in it lets nothing run but the two
    scripts that botdock puts there. All that a bot returned or wrote is text in it.

    Args:
        runs: At least one; several are compared.
        title: Of the page; else the names of the runs.

    Raises:
        ValueError: No run was given.
    """
    if not runs:
        raise ValueError("a report needs at least one run")
    shown = _named(runs[:MAX_RUNS])
    readings = {name: read(run.value) for name, run in shown.items()}
    plots = bounded(overlaid({name: reading.plots for name, reading in readings.items()}))
    heading = title or ", ".join(dict.fromkeys(run.name for run in shown.values()))
    left_out = [f"the first {MAX_RUNS} of {len(runs)} runs are shown"] * (len(runs) > MAX_RUNS)
    made = f"{len(shown)} run{'s' * (len(shown) > 1)}, shown by botdock on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    body = [
        f"<header><h1>{text(heading[:200])}</h1><p>{made}</p></header>",
        *_told(readings, left_out),
        *_section("Metrics", _metrics({name: reading.metrics for name, reading in readings.items()})),
        *_section("Plots", _plots(plots)),
        *_section("Tables", _tables(readings)),
        *_section("Runs", _facts(shown)),
        *_section("Else returned", _rest(readings)),
        *_section("Logs", _logs(shown)),
    ]
    return _document(heading, "\n".join(body), _data(plots))


def text(given: Any) -> str:
    """Return anything as text of HTML: escaped, and what cannot be seen spelt out."""
    string = str(given)
    if not string.isprintable():
        string = "".join(one if one.isprintable() or one in "\n\t" else ascii(one)[1:-1] for one in string)
    return html.escape(string)


def _named(runs: Sequence[Run]) -> dict[str, Run]:
    """Return runs by names that differ: where two have one name, the end of the execution's id tells them apart."""
    names = [run.name for run in runs]
    found: dict[str, Run] = {}
    for at, run in enumerate(runs):
        mark = run.execution_id[-6:] or str(at + 1)
        name = f"{run.name} {mark}" if names.count(run.name) > 1 else run.name
        found[name if name not in found else f"{name} ({at + 1})"] = run
    return found


def _section(title: str, parts: Iterable[str]) -> list[str]:
    inside = "\n".join(parts)
    return [f"<section><h2>{title}</h2>\n{inside}\n</section>"] if inside else []


def _told(readings: Mapping[str, Reading], left_out: Sequence[str]) -> list[str]:
    """Return what is wrong in the values, and what of them is left out."""
    several = len(readings) > 1
    lines = [
        f"{f'{name}: ' if several else ''}{one}"
        for name, reading in readings.items()
        for one in (*reading.faults, *reading.cuts)
    ]
    items = "".join(f"<li>{text(line)}</li>" for line in (*left_out, *lines))
    return [f'<section class="told"><h2>Not shown as it was returned</h2><ul>{items}</ul></section>'] if items else []


def _metrics(found: Mapping[str, Mapping[str, Metric]]) -> Iterable[str]:
    names = list(dict.fromkeys(name for metrics in found.values() for name in metrics))
    if not names:
        return
    rows = []
    for name in names:
        row = [metrics.get(name) for metrics in found.values()]
        best = best_of(row)
        cells = [_cell(one.value if one else None, best=at in best) for at, one in enumerate(row)]
        rows.append((text(name), cells))
    yield _side_by_side(list(found), rows)


def _facts(runs: Mapping[str, Run]) -> Iterable[str]:
    labels = list(dict.fromkeys(label for run in runs.values() for label in run.facts))
    if labels:
        cells = [[f"<td>{text(run.facts.get(label, '')[:2000])}</td>" for run in runs.values()] for label in labels]
        yield _side_by_side(list(runs), zip(map(text, labels), cells, strict=True))


def _side_by_side(names: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return a table whose columns are the runs."""
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in names)
    body = "\n".join(f'<tr><th scope="row">{label}</th>{"".join(cells)}</tr>' for label, cells in rows)
    table = f'<table class="runs"><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="wide">{table}</div>'


def _cell(value: Scalar, *, best: bool = False) -> str:
    if value is None:
        return '<td class="number">-</td>'
    mark = ' <span class="star" title="the best of these runs">★</span>' if best else ""
    if isinstance(value, str):
        return f"<td>{text(value)}{mark}</td>"
    shown = (
        str(value).lower() if isinstance(value, bool) else f"{value:,}" if isinstance(value, int) else figures(value)
    )
    return f'<td class="number{" best" * best}">{shown}{mark}</td>'


def _plots(plots: Sequence[Plot]) -> Iterable[str]:
    for at, plot in enumerate(plots):
        caption = text(plot.title or f"Plot {at + 1}")
        yield f'<figure data-plot="{at}"><figcaption>{caption}</figcaption><div class="chart"></div></figure>'
    if plots:
        yield "<noscript><p>The plots are drawn by JavaScript, which is switched off.</p></noscript>"


def _tables(readings: Mapping[str, Reading]) -> Iterable[str]:
    for name, reading in readings.items():
        for at, table in enumerate(reading.tables):
            title = table.title or f"Table {at + 1}"
            yield _table(f"{title} · {name}" if len(readings) > 1 else title, table)


def _table(title: str, table: Table) -> str:
    head = "".join(f'<th scope="col">{text(column)}</th>' for column in table.columns)
    rows = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    inside = f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f"<details open><summary>{text(title)} ({len(table.rows):,} rows)</summary>{inside}</details>"


def _rest(readings: Mapping[str, Reading]) -> Iterable[str]:
    for name, reading in readings.items():
        if reading.rest is not None:
            yield f"<details><summary>{text(name)}</summary><pre>{text(_json(reading.rest))}</pre></details>"


def _json(value: Any) -> str:
    """Return the beginning of a value as JSON; what follows is not even made, for indents could be most of it."""
    shown = ""
    try:
        for piece in json.JSONEncoder(indent=2, ensure_ascii=False, default=repr).iterencode(value):
            shown += piece[: MAX_REST + 1]
            if len(shown) > MAX_REST:
                return f"{shown[:MAX_REST]}\n… and more"
    except (ValueError, TypeError) as error:
        return f"cannot be shown as JSON: {error}"
    return shown


def _logs(runs: Mapping[str, Run]) -> Iterable[str]:
    for name, run in runs.items():
        if run.log:
            lines = "\n".join(text(line[:MAX_LOG_TEXT]) for line in run.log)
            summary = f"{text(name)}: the last {len(run.log):,} lines"
            yield f"<details{' open' * (len(runs) == 1)}><summary>{summary}</summary><pre>{lines}</pre></details>"


def _data(plots: Sequence[Plot]) -> str:
    """Return what the script draws, as JSON that can stand in a script element: without `<`, `>` and `&`."""
    document = [
        {
            "axis": plot.axis,
            "labels": plot.labels,
            "groups": [
                {"x": group.x, "series": [{"name": one.name, "kind": one.kind, "y": one.y} for one in group.series]}
                for group in plot.groups
            ],
        }
        for plot in plots
    ]
    data = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _asset(name: str) -> str:
    return (files("botdock_reports") / "assets" / name).read_text("utf-8").strip()


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _document(title: str, body: str, data: str) -> str:
    style = f"{_asset('uPlot.min.css')}\n{_asset('report.css')}"
    scripts = (_asset("uPlot.iife.min.js"), _asset("report.js"))
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_hash, scripts))}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{text(title)}</title>
<style>{style}</style>
</head>
<body>
{body}
<script type="application/json" id="plots">{data}</script>
<script>{scripts[0]}</script>
<script>{scripts[1]}</script>
</body>
</html>
"""
