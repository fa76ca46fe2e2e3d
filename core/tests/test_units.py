"""Sizes and durations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.model.units import format_bytes, parse_bytes, parse_seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (0, 0),
        (10**30, 10**30),
        ("17", 17),
        ("17B", 17),
        ("64k", 64 * 1024),
        ("64K", 64 * 1024),
        ("64kB", 64_000),
        ("64KiB", 64 * 1024),
        ("512MiB", 512 * 1024**2),
        ("512m", 512 * 1024**2),
        (" 1.5 GB ", 1_500_000_000),
        ("1.5GiB", 1_610_612_736),
        ("1T", 1024**4),
        ("999999999999999999", 999_999_999_999_999_999),
    ],
)
def test_sizes(text: object, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "lots", "-1", "1,5GB", "1 MB 2", "1e9", "1P", "1_000", True, None, 1.5, [], "9" * 19]
)
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a size; write bytes, or for example '512MiB'"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (0, 0.0),
        (-1, -1.0),
        (2.5, 2.5),
        ("30", 30.0),
        ("2.5", 2.5),
        ("30s", 30.0),
        ("250ms", 0.25),
        ("1.5h", 5400.0),
        ("2h30m", 9000.0),
        ("1d1s", 86401.0),
    ],
)
def test_durations(text: object, seconds: float) -> None:
    assert parse_seconds(text) == pytest.approx(seconds)
    assert isinstance(parse_seconds(text), float)


@pytest.mark.parametrize(
    "text", ["", "soon", "-1s", "1 h", "1h 30m", "30 s", "1e3", True, None, [], float("nan"), float("inf"), 10**400]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration; write seconds, or for example '30s'"):
        parse_seconds(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (17, "17 B"),
        (1024, "1 KiB"),
        (512 * 1024**2, "512 MiB"),
        (1536 * 1024**2, "1.5 GiB"),
        (2048 * 1024**3, "2 TiB"),
        (-2048, "-2 KiB"),
    ],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert format_bytes(size) == text


@given(st.integers(0, 10**15), st.sampled_from(["", "B"]))
def test_a_number_of_bytes_is_itself(size: int, suffix: str) -> None:
    assert parse_bytes(f"{size}{suffix}") == size


@given(st.text())
def test_any_text_is_a_number_or_refused_in_words(text: str) -> None:
    for parse in (parse_bytes, parse_seconds):
        try:
            assert parse(text) >= 0
        except ValueError as error:
            assert "; write " in str(error)  # noqa: PT017 - the other half of the same promise
