"""Moments as they are typed and shown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock_cli.values import NANOSECONDS, format_moment, parse_moment

NOW = 1_769_851_800 * NANOSECONDS
"""2026-01-31T09:30:00Z."""
LARGEST = 253_402_300_799 * NANOSECONDS
"""The last second of the year 9999."""


@pytest.fixture
def in_kathmandu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that is 5:45 ahead of UTC."""
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1769851800", NOW),
        ("10", 10 * NANOSECONDS),
        ("1769851800.5", NOW + 500_000_000),
        ("1769851800.000000001", NOW + 1),
        ("1769851800.0000000019", NOW + 1),
        ("2026-01-31T09:30:00Z", NOW),
        ("2026-01-31t09:30:00z", NOW),
        (" 2026-01-31 09:30:00Z ", NOW),
        ("2026-01-31T09:30:00.123456789Z", NOW + 123_456_789),
        ("2026-01-31T09:30:00,5Z", NOW + 500_000_000),
        ("2026-01-31T10:30:00+01:00", NOW),
        ("2026-01-31T04:00:00-0530", NOW),
        ("2026-01-31T09:30Z", NOW),
        ("1969-12-31T23:59:59Z", 0),
        ("90s", NOW - 90 * NANOSECONDS),
        ("10m", NOW - 600 * NANOSECONDS),
        ("1h30m", NOW - 5400 * NANOSECONDS),
        ("1.5h", NOW - 5400 * NANOSECONDS),
        ("250ms", NOW - 250_000_000),
        ("99999999d", 0),
    ],
)
def test_each_form_names_its_moment(text: str, expected: int) -> None:
    assert parse_moment(text, now_ns=NOW) == expected


@pytest.mark.usefixtures("in_kathmandu")
@pytest.mark.parametrize("text", ["2026-01-31T15:15:00", "2026-01-31T15:15"])
def test_a_moment_without_a_zone_is_of_this_machine(text: str) -> None:
    assert parse_moment(text) == NOW


@pytest.mark.usefixtures("in_kathmandu")
def test_a_day_begins_at_this_machine_s_midnight() -> None:
    assert format_moment(parse_moment("2026-01-31")) == "2026-01-30T18:15:00.000000000Z"


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "-10m", "2026-13-01T00:00:00Z", "2026-01-31T25:00:00Z", "2026-01-31T09:30:00+25:00", "10x"],
)
def test_anything_else_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(ValueError, match="is not a moment; write one such as 2026-01-31T09:30:00Z"):
        parse_moment(text)


@given(st.integers(0, LARGEST))
def test_what_is_shown_can_be_typed(moment: int) -> None:
    assert parse_moment(format_moment(moment)) == moment


@given(st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.just(UTC)))  # noqa: DTZ001 - what Hypothesis asks for
def test_a_moment_is_what_the_standard_library_takes_it_for(moment: datetime) -> None:
    seconds, rest = divmod(parse_moment(moment.isoformat()), NANOSECONDS)
    assert datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000) == moment


@given(st.text() | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}(:[0-9]{2}){0,2}(\.[0-9]+)?)?(Z|\+[0-9]{4})?"))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert parse_moment(text, now_ns=NOW) >= 0
