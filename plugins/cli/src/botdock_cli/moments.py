"""Moments as people type them, and as logs show them: nanoseconds since the epoch in between."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone

from botdock.model.units import parse_seconds

NANOSECONDS = 1_000_000_000

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH = re.compile(r"(\d{1,12})(?:\.(\d{1,9})\d*)?", re.ASCII)
_CALENDAR = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d)(?::(\d\d)(?::(\d\d)(?:[.,](\d{1,9})\d*)?)?)?)?"
    r"(?:([Zz])|([+-])(\d\d):?(\d\d))?",
    re.ASCII,
)
"""RFC 3339, and what Docker takes of ISO 8601 besides: less exact ones, and ones without a zone."""


def parse_moment(text: str, *, now_ns: int | None = None) -> int:
    """Return the moment that `text` names, in nanoseconds since the epoch.

    Args:
        text: RFC 3339 (without a zone: this machine's), seconds since the epoch, or a duration before now.
        now_ns: Now; None asks the clock.

    Raises:
        ValueError: It is none of these.
    """
    stripped = text.strip()
    if match := _EPOCH.fullmatch(stripped):
        return int(match[1]) * NANOSECONDS + _fraction(match[2])
    if match := _CALENDAR.fullmatch(stripped):
        return _calendar(text, match)
    try:
        seconds = parse_seconds(stripped)
    except ValueError:
        raise _refused(text) from None
    return max((time.time_ns() if now_ns is None else now_ns) - round(seconds * NANOSECONDS), 0)


def _calendar(text: str, match: re.Match[str]) -> int:
    year, month, day, hour, minute, second = (int(number or 0) for number in match.group(1, 2, 3, 4, 5, 6))
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=_zone(match))
        aware = moment.astimezone(UTC)  # one without a zone is taken as this machine's time
    except (ValueError, OverflowError):
        raise _refused(text) from None
    return max((aware - _BEGIN) // timedelta(seconds=1) * NANOSECONDS + _fraction(match[7]), 0)


def _zone(match: re.Match[str]) -> timezone | None:
    if match[8]:
        return UTC
    if not match[9]:
        return None
    offset = timedelta(hours=int(match[10]), minutes=int(match[11]))
    return timezone(-offset if match[9] == "-" else offset)


def _fraction(digits: str | None) -> int:
    return int((digits or "").ljust(9, "0"))


def _refused(text: str) -> ValueError:
    return ValueError(
        f"{text!r} is not a moment; write one such as 2026-01-31T09:30:00Z, seconds since 1970, "
        "or how long ago it is, such as 10m or 1h30m"
    )


def format_moment(time_ns: int) -> str:
    """Return a moment as RFC 3339 in UTC, to the nanosecond."""
    seconds, rest = divmod(time_ns, NANOSECONDS)
    return f"{_BEGIN + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
