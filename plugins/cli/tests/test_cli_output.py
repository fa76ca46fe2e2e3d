"""Documents and listings."""

from __future__ import annotations

import datetime
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botdock.model import Outcome
from botdock_cli.output import aligned, print_json, print_text, stream_json, wants_colour


@pytest.fixture
def printed(capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[[object], Any]:
    def call(document: object) -> Any:
        assert print_json(document) == 0

        def refuse(constant: str) -> None:
            pytest.fail(f"{constant} is not JSON")

        return json.loads(capfdbinary.readouterr().out, parse_constant=refuse)

    return call


def test_what_json_cannot_say_becomes_what_it_can(printed: Callable[[object], Any]) -> None:
    document = {
        "nan": math.nan,
        "infinite": [math.inf, -math.inf],
        "outcome": Outcome.FAILED,
        "when": datetime.date(2026, 1, 2),
        "lone": "\ud800",
        3: {1},
    }
    assert printed(document) == {
        "schema": 1,
        "nan": None,
        "infinite": [None, None],
        "outcome": "failed",
        "when": "2026-01-02",
        "lone": "\ud800",
        "3": [1],
    }


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(document=st.dictionaries(st.text(max_size=5), ANYTHING, max_size=3))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_document_is_always_json(printed: Callable[[object], Any], document: dict[str, Any]) -> None:
    assert set(printed(document)) == {"schema", *document}


@given(documents=st.lists(st.dictionaries(st.text(max_size=5), ANYTHING, max_size=3) | ANYTHING, max_size=4))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_list_that_is_streamed_is_the_list_that_is_printed(
    capfdbinary: pytest.CaptureFixture[bytes], documents: list[Any]
) -> None:
    assert print_json(documents) == 0
    printed_at_once = capfdbinary.readouterr().out
    assert stream_json(iter(documents)) == 0
    assert capfdbinary.readouterr().out == printed_at_once


def test_listings_are_columns_without_trailing_blanks() -> None:
    assert aligned([("a", "bb", "x"), ("aaa", "b", "")]) == ["a    bb  x", "aaa  b"]


def test_a_closed_stdout_is_a_broken_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert print_text(["lost"]) == 141


def test_a_full_disk_behind_stdout_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(OSError, match="No space left on device: 'stdout'"):
            print_text(["lost"])


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colour_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], *, expected: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert wants_colour(sys.stdout) is expected
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert wants_colour(sys.stdout) is False
