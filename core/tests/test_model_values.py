"""The small value objects: logs, metrics, runtimes, results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock import ExecutionResult, Outcome, Runtime
from botdock.model import ContainerInfo, ContainerState, LogLine, OperationStats, Status, Stream
from botdock.model.container import LABEL_EXECUTION
from botdock.model.metrics import DURATION_BUCKETS

RUNTIME = Runtime(
    name="python311",
    aliases=("python3.11", "Python"),
    image="python:3.11-slim",
    interpreters=("python3",),
    suffixes=(".py",),
    scripts={"bot": ("main.py", "bot.py")},
    files=dict,
)


def test_a_runtime_knows_its_names_in_any_case() -> None:
    assert all(RUNTIME.knows(name) for name in ("python311", "PYTHON3.11", "python"))
    assert not RUNTIME.knows("python312")
    assert RUNTIME.names == ("python311", "python3.11", "Python")


def test_a_runtime_takes_the_first_script_that_is_there(tmp_path: Path) -> None:
    assert not RUNTIME.recognises(tmp_path, "bot")
    (tmp_path / "main.py").mkdir()
    (tmp_path / "bot.py").touch()
    assert RUNTIME.find_script(tmp_path, "bot") == "bot.py"
    assert RUNTIME.find_script(tmp_path, "backtest") is None
    assert list(RUNTIME.check(tmp_path, "bot.py")) == []


def test_only_success_is_success_in_the_old_words() -> None:
    assert [outcome for outcome in Outcome if outcome.status is Status.SUCCESS] == [Outcome.SUCCEEDED]


def test_a_result_is_one_json_document() -> None:
    outcome = Outcome.FAILED
    result = ExecutionResult(execution_id="01", id="bot", outcome=outcome, duration=0.12345678, phases={"run": 1 / 3})
    document = json.loads(json.dumps(result.to_json()))
    assert " ".join(document) == (
        "schema execution_id id runtime engine entrypoint outcome exit_code value error evidence started_at "
        "finished_at duration_seconds phases container_id image image_digest log"
    )
    assert (document["outcome"], document["exit_code"]) == ("failed", None)
    assert (document["duration_seconds"], document["phases"]) == (0.123457, {"run": 0.333333})
    assert set(document["log"]) >= {"bytes", "lines", "sha256", "gaps"}
    assert not result.succeeded


def test_a_running_result_has_no_outcome_yet() -> None:
    assert ExecutionResult(execution_id="01", id="bot").to_json()["outcome"] is None


@pytest.mark.parametrize(("labels", "execution"), [({LABEL_EXECUTION: "01"}, "01"), ({}, "")])
def test_a_container_names_its_execution(labels: dict[str, str], execution: str) -> None:
    info = ContainerInfo(container_id="c", name="n", image="i", state=ContainerState.RUNNING, labels=labels)
    assert info.execution_id == execution


def test_a_line_that_is_no_text_is_shown_with_replacements() -> None:
    assert LogLine(Stream.STDOUT, b"a\xffb").text == "a\ufffdb"


def stats(*seconds: float) -> OperationStats:
    buckets = tuple(sum(second <= bound for second in seconds) for bound in DURATION_BUCKETS)
    return OperationStats(count=len(seconds), buckets=(*buckets, len(seconds)))


def test_quantiles_are_linear_within_a_bucket() -> None:
    assert stats().quantile(0.5) is None
    assert stats(0.75).quantile(1.0) == 1.0
    assert stats(0.75).quantile(0.5) == 0.75
    assert stats(0.75, 0.75, 0.75, 2.0).quantile(0.75) == 1.0
    assert stats(10_000).quantile(0.5) == DURATION_BUCKETS[-1]
    assert stats(0.001, 10_000).quantile(0.0) == 0.0


@given(st.lists(st.floats(0, 10_000), min_size=1), st.floats(0, 1))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(seconds: list[float], share: float) -> None:
    estimate = stats(*seconds).quantile(share)
    true = sorted(seconds)[max(0, -int(-share * len(seconds) // 1) - 1)]
    assert estimate is not None
    upper = next((bound for bound in DURATION_BUCKETS if true <= bound), DURATION_BUCKETS[-1])
    lower = max((bound for bound in DURATION_BUCKETS if bound < upper), default=0.0)
    assert share == 0 or min(lower, DURATION_BUCKETS[-1]) <= estimate <= upper
