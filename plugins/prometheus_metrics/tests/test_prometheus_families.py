"""Whatever is recorded becomes metrics that Prometheus takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botdock.model import MetricsSnapshot, OperationStats
from botdock.model.metrics import DURATION_BUCKETS, OTHER
from botdock_metrics_prometheus.families import render
from botdock_testing.metrics import odd_snapshot

NOW = datetime.now(UTC)
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
NAMES = TEXT | st.builds(
    lambda kind, rest: f"{kind}.{rest}", st.sampled_from(["container", "log", "phase", "execution", "x"]), TEXT
)
LABELS = st.dictionaries(TEXT | st.sampled_from(["le", "operation", "result", "engine", "__name__"]), TEXT, max_size=3)
STATS = st.lists(st.integers(0, 10**6), min_size=len(DURATION_BUCKETS) + 1, max_size=len(DURATION_BUCKETS) + 1).map(
    lambda counts: OperationStats(count=max(counts), buckets=tuple(sorted(counts)), seconds=1.5)
)


def text_of(operations: dict[Any, OperationStats]) -> str:
    return render(MetricsSnapshot(taken_at=NOW, since=NOW, operations=operations)).decode()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the fixture is a function without state
@given(
    operations=st.dictionaries(st.tuples(NAMES, LABELS.map(lambda one: tuple(sorted(one.items())))), STATS, max_size=6)
)
def test_whatever_is_counted_can_be_read_and_adds_up(
    operations: dict[Any, OperationStats], samples_of: Callable[[str], Samples]
) -> None:
    samples = samples_of(text_of(operations))
    counted = re.compile(r"botdock_(executions|\w+_operations|metrics_folded_records)_total")
    phases = sum(value for (name, _), value in samples.items() if name == "botdock_phase_duration_seconds_count")
    found = sum(value for (name, _), value in samples.items() if counted.fullmatch(name))
    assert found + phases == sum(stats.count for stats in operations.values())
    for name, labels in samples:
        assert re.fullmatch(r"[a-z_]+", name)
        assert all(re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", label) for label, _ in labels)


def test_names_of_metrics_do_not_depend_on_what_plugins_record(samples_of: Callable[[str], Samples]) -> None:
    names = {name for name, _ in samples_of(text_of({(f"kind{n}.x", ()): OperationStats(count=1) for n in range(99)}))}
    assert names == {
        "botdock_metrics_since_timestamp_seconds",
        "botdock_metrics_folded_records_total",
        "botdock_plugin_operations_total",
        "botdock_plugin_bytes_total",
    }


def test_what_was_folded_is_counted_apart(value_of: Callable[..., float | None]) -> None:
    text = text_of({OTHER: OperationStats(count=7)})
    assert value_of(text, "botdock_metrics_folded_records_total") == 7
    assert "plugin" not in text


def test_labels_that_become_alike_are_added_up(value_of: Callable[..., float | None]) -> None:
    text = text_of({("x", (("a-b", "v"),)): OperationStats(count=1), ("x", (("a.b", "v"),)): OperationStats(count=2)})
    assert value_of(text, "botdock_plugin_operations_total", operation="x", a_b="v", result="success") == 3


def test_a_label_of_a_plugin_takes_no_place_of_ours(value_of: Callable[..., float | None]) -> None:
    labels = (("__name__", "a"), ("le", "b"), ("operation", "c"), ("result", "d"))
    text = text_of({("log.x", labels): OperationStats(count=1)})
    shown = {"label___name__": "a", "label_le": "b", "label_operation": "c", "label_result": "d"}
    assert value_of(text, "botdock_log_operations_total", operation="x", result="success", **shown) == 1


def test_every_metric_has_a_help_text_and_a_type() -> None:
    text = render(odd_snapshot()).decode()
    families = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    assert set(re.findall(r"^# HELP (\S+) .+$", text, re.MULTILINE)) == families
    assert len(families) > 5
