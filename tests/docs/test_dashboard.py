"""What the dashboard and the how-to name is what the exporter exports, and what it exports is described."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from botdock import Config, DockerRunner, Executable
from botdock.archive import pack
from botdock.model.execution import Outcome
from botdock.model.metrics import OTHER
from botdock_metrics_prometheus.families import render
from testbed.prometheus import PrometheusServer

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "docs/grafana/botdock.json").read_text())
HOW_TO = (ROOT / "docs/how-to/metrics.md").read_text()
README = (ROOT / "plugins/prometheus_metrics/README.md").read_text()

WORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool", "and", "or", "unless"}
"""What PromQL has of its own beside functions, which a parenthesis follows."""
TOKEN = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<range>\[[^\]]*\])|(?P<number>\d[\d.]*\w*)"""
    r"""|(?P<name>[a-zA-Z_:][\w:]*)|(?P<sign>[=!]~|[=!<>]=|[-+*/%^(){},=<>])|(?P<space>\s+)"""
)
GROUPED = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")


class Selector:
    """One metric in an expression, and the labels that it is chosen by."""

    def __init__(self, metric: str, matchers: dict[str, tuple[str, str]]) -> None:
        self.metric = metric
        self.matchers = matchers


def tokens(expression: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(expression):
        match = TOKEN.match(expression, at)
        assert match, f"no PromQL at {expression[at:]!r}"
        at = match.end()
        if match.lastgroup != "space":
            found.append((str(match.lastgroup), match.group()))
    return found


def selectors(expression: str) -> Iterator[Selector]:
    """Yield the metrics of an expression: names that are neither words, functions, nor labels in parentheses."""
    found = tokens(GROUPED.sub(" by ", expression))
    for position, (kind, text) in enumerate(found):
        following = found[position + 1][1] if position + 1 < len(found) else ""
        if kind == "name" and text not in WORDS and following != "(" and not _is_in_braces(found, position):
            is_function = following == "by"  # `sum by (x) (...)`
            if not is_function:
                yield Selector(text, _matchers(found, position + 1) if following == "{" else {})


def _is_in_braces(found: list[tuple[str, str]], position: int) -> bool:
    before = [text for kind, text in found[:position] if kind == "sign"]
    return before.count("{") > before.count("}")


def _matchers(found: list[tuple[str, str]], start: int) -> dict[str, tuple[str, str]]:
    end = next(at for at in range(start, len(found)) if found[at] == ("sign", "}"))
    inside = [text for _, text in found[start + 1 : end] if text != ","]
    return {inside[at]: (inside[at + 1], inside[at + 2][1:-1]) for at in range(0, len(inside), 3)}


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def variables() -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the exporter shows of a runner that ran real bots, one of whose results was stored.

    What cannot be had from a run that goes well is recorded through the same methods that botdock records it by.
    """
    home = tmp_path_factory.mktemp("home")
    (home / "bot").mkdir()
    (home / "bot" / "main.sh").write_text("echo hello; exit $CODE\n")
    archive = home / "storage" / "code" / "bot.tar"
    archive.parent.mkdir(parents=True)
    pack(home / "bot", archive)
    with DockerRunner(Config(engine="process", home=str(home))) as runner:
        for code in ("0", "1"):
            runner.run(
                Executable(id="bot", runtime="bash", file_path="bot.tar", env={"CODE": code}, persist_results=True)
            )
        runner.metrics.record_log_operation("gap", False, 10)
        runner.metrics.record_log_operation("sink_drop", False, 10)
        runner.metrics.record_storage_operation("drop", 10, False, 0.1)
        runner.metrics.record("log.flush", seconds=0.1)
        runner.metrics.record("plugin.own", seconds=0.1)
        runner.metrics.record(OTHER[0])
        return render(runner.metrics.get_metrics()).decode()


@pytest.fixture(scope="module")
def exported(page: str) -> dict[str, set[str]]:
    """Names of samples, and the labels that each has."""
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", page, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


@pytest.fixture(scope="module")
def families(page: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\S+) ", page, re.MULTILINE))


def problem(expression: str, exported: dict[str, set[str]]) -> str:
    for selector in selectors(expression):
        if selector.metric not in exported:
            return f"{selector.metric} is not exported"
        if unknown := set(selector.matchers) - exported[selector.metric] - {"instance", "job"}:
            return f"{selector.metric} has no label {unknown}"
    known = {label for selector in selectors(expression) for label in exported[selector.metric]} | {"instance", "job"}
    grouped = {label.strip() for labels in GROUPED.findall(expression) for label in labels.split(",")}
    return f"no metric has the label {grouped - known}" if grouped - known else ""


@pytest.mark.parametrize("expression", expressions())
def test_each_metric_and_label_of_the_dashboard_exists(expression: str, exported: dict[str, set[str]]) -> None:
    assert list(selectors(expression)), "it names no metric"
    assert problem(expression, exported) == ""


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("sum(rate(botdock_execution_total[5m]))", "botdock_execution_total is not exported"),
        ("botdock_executions_total / botdock_nothing", "botdock_nothing is not exported"),
        ('botdock_executions_total{bot_id="x"}', "botdock_executions_total has no label {'bot_id'}"),
        ("sum by (le, colour) (rate(botdock_phase_duration_seconds_bucket[5m]))", "no metric has the label {'colour'}"),
        ("sum(botdock_executions_total) by (bot)", "no metric has the label {'bot'}"),
    ],
)
def test_a_wrong_expression_is_found(expression: str, said: str, exported: dict[str, set[str]]) -> None:
    assert problem(expression, exported) == said


def test_values_of_labels_that_the_dashboard_names_are_ones_that_there_are() -> None:
    values = {
        (label, value)
        for expression in expressions()
        for selector in selectors(expression)
        for label, (operator, value) in selector.matchers.items()
        if operator in {"=", "!="}
    }
    assert {value for label, value in values if label == "outcome"} <= {outcome.value for outcome in Outcome}
    assert {value for label, value in values if label == "result"} <= {"success", "error"}
    assert {value for label, value in values if label == "operation"} <= {"hit", "drop"}


def test_variables_ask_for_metrics_and_labels_that_exist_and_expressions_for_variables(
    exported: dict[str, set[str]],
) -> None:
    asked = {name: variable for name, variable in variables().items() if variable["type"] == "query"}
    for variable in asked.values():
        match = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
        assert match
        assert match[2] in exported[match[1]] | {"instance"}
    used = {name for text in expressions() for name in re.findall(r"\$(?!__)(\w+)", text)}
    assert used == set(asked)


def test_it_is_a_dashboard_that_grafana_imports() -> None:
    assert DASHBOARD["schemaVersion"] >= 36
    assert (DASHBOARD["id"], DASHBOARD["uid"]) == (None, "botdock")
    assert variables()["datasource"] | {"type": "datasource", "query": "prometheus"} == variables()["datasource"]
    for panel in panels():
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_its_panels_lie_side_by_side_and_not_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_each_metric_that_is_exported_is_described_and_each_that_is_described_is_exported(families: set[str]) -> None:
    rows = set(re.findall(r"^\| `(botdock_\w+)` ", HOW_TO, re.MULTILINE))
    assert rows == families


def test_the_member_describes_each_metric_too(families: set[str]) -> None:
    described = set(re.findall(r"^\| `(botdock_\w+)` ", README, re.MULTILINE))
    kinds = r"_(container|log|storage|cache|plugin)_(?=operation|bytes)"
    assert {re.sub(kinds, "_KIND_", family) for family in families} == described


def test_promtool_has_nothing_against_any_of_them(page: str, promtool: Callable[[str], str]) -> None:
    assert promtool(page) == ""


def shown_queries() -> list[str]:
    blocks = re.findall(r"^```promql\n(.*?)^```$", HOW_TO + README, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("expression", shown_queries())
def test_each_query_that_is_shown_names_what_exists(expression: str, exported: dict[str, set[str]]) -> None:
    assert problem(expression, exported) == ""


def test_a_real_prometheus_takes_every_expression(start_prometheus: Callable[..., PrometheusServer]) -> None:
    server = start_prometheus()
    for expression in [*expressions(), *shown_queries()]:
        filled = expression.replace("$__rate_interval", "5m").replace("$__range", "1h")
        assert server.query(re.sub(r"\$\w+", ".*", filled)) == []


@pytest.mark.parametrize("block", re.findall(r"^```toml\n(.*?)^```$", HOW_TO + README, re.MULTILINE | re.DOTALL))
def test_a_shown_configuration_is_valid(block: str, tmp_path: Path) -> None:
    from botdock_metrics_prometheus.settings import read_settings

    (tmp_path / "botdock.toml").write_text(block.replace("/var/lib/node_exporter", str(tmp_path)))
    config = Config.load(tmp_path / "botdock.toml", environ={})
    assert config.metrics.exporters == ("prometheus",)
    assert read_settings(config).port or read_settings(config).textfile
