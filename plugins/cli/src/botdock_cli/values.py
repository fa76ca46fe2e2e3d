"""What options are given: durations, sizes, outcomes, and moments, which are nanoseconds since the epoch."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from botdock.errors import UserError, nearest
from botdock.model.units import parse_bytes, parse_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdock.model import Outcome

T = TypeVar("T")
NANOSECONDS = 1_000_000_000

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH = re.compile(r"(\d{1,12})(?:\.(\d{1,9})\d*)?", re.ASCII)
_CALENDAR = re.compile(r"(\d{4}-\d\d-\d\d(?:[T ]\d\d(?::\d\d(?::\d\d)?)?)?)(?:[.,](\d{1,9})\d*)?([Z+-].*)?", re.ASCII)


class OptionError(UserError):
    """An option of the command line is wrong.

    Attributes:
        option: As it is typed, such as `--timeout`.
    """

    def __init__(self, option: str, problem: str, *, hint: str | None = None) -> None:
        super().__init__(f"{option}: {problem}", hint=hint)
        self.option = option


def parsed(option: str, text: str | None, parse: Callable[[str], T]) -> T | None:
    """Return what `parse` makes of an option's text; None when the option is not given.

    Raises:
        OptionError: `parse` refuses it.
    """
    if text is None:
        return None
    try:
        return parse(text)
    except (ValueError, OverflowError) as error:  # a number of hundreds of digits overflows
        raise OptionError(option, str(error)) from None


def seconds_option(option: str, text: str | None) -> float | None:
    """Return the seconds of an option such as `30s`."""
    return parsed(option, text, parse_seconds)


def bytes_option(option: str, text: str | None) -> int | None:
    """Return the bytes of an option such as `20GiB`."""
    return parsed(option, text, parse_bytes)


def moment_option(option: str, text: str | None) -> int | None:
    """Return the moment of an option in nanoseconds since the epoch."""
    return parsed(option, text, parse_moment)


def outcome_option(option: str, text: str | None) -> Outcome | None:
    """Return the outcome that an option names.

    Raises:
        OptionError: It is not an outcome.
    """
    from botdock.model import Outcome

    if text is None:
        return None
    if text in set(Outcome):
        return Outcome(text)
    near = " or ".join(nearest(text, list(Outcome)) or Outcome)
    raise OptionError(option, f"{text!r} is not an outcome", hint=f"Did you mean {near}?")


def parse_moment(text: str, *, now_ns: int | None = None) -> int:
    """Return the moment that `text` names, in nanoseconds since the epoch.

    Args:
        text: RFC 3339 (without a zone: this machine's), seconds since the epoch, or a duration before now.
        now_ns: Now; None asks the clock.

    Raises:
        ValueError: It is neither.
    """
    stripped = text.strip()
    try:
        if match := _EPOCH.fullmatch(stripped):
            return int(match[1]) * NANOSECONDS + _fraction(match[2])
        if match := _CALENDAR.fullmatch(stripped.upper()):
            moment = datetime.fromisoformat(match[1] + (match[3] or "")).astimezone(UTC)  # without a zone: local time
            return max((moment - _BEGIN) // timedelta(seconds=1) * NANOSECONDS + _fraction(match[2]), 0)
        return max((time.time_ns() if now_ns is None else now_ns) - round(parse_seconds(stripped) * NANOSECONDS), 0)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is not a moment; write one such as 2026-01-31T09:30:00Z, seconds since 1970, "
            "or how long ago it is, such as 10m or 1h30m"
        ) from None


def _fraction(digits: str | None) -> int:
    return int((digits or "").ljust(9, "0"))


def format_moment(time_ns: int) -> str:
    """Return a moment as RFC 3339 in UTC, to the nanosecond."""
    seconds, rest = divmod(time_ns, NANOSECONDS)
    return f"{_BEGIN + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
