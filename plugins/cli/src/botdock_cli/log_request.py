"""From the options of `botdock logs` to what is to be shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from botdock.model import Stream
from botdock_cli.request import OptionError, moment_option

if TYPE_CHECKING:
    from collections.abc import Iterable

ALL = "all"


@attrs.frozen(kw_only=True)
class LogRequest:
    """The options of `botdock logs`, understood.

    Attributes:
        name: An execution id, the beginning of one, or a bot's id.
        follow: Whether to go on with what comes.
        tail: How many lines of the end, or None for all.
        since_ns: From when on, nanoseconds since the epoch, or None.
        until_ns: Until when.
        timestamps: Whether each line begins with its time.
        stream: Which stream, or None for both.
        raw: Whether nothing but the bytes is wanted.
        as_json: Whether each line is a JSON object.
        verify: Whether the log is checked, and not shown.
    """

    name: str
    follow: bool = False
    tail: int | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    timestamps: bool = False
    stream: Stream | None = None
    raw: bool = False
    as_json: bool = False
    verify: bool = False

    @property
    def is_selective(self) -> bool:
        """Whether only some of the lines are wanted."""
        return self.tail is not None or self.since_ns is not None or self.until_ns is not None


def read_request(
    name: str,
    *,
    follow: bool,
    tail: str | None,
    since: str | None,
    until: str | None,
    timestamps: bool,
    stream: str | None,
    raw: bool,
    as_json: bool,
    verify: bool,
) -> LogRequest:
    """Return what the options ask for.

    Raises:
        OptionError: One is wrong, or two exclude each other.
    """
    _check_alone("--raw", raw, {"--json": as_json, "--timestamps": timestamps})
    _check_alone("--json", as_json, {"--timestamps": timestamps}, hint="Each object has its time.")
    shown = {"--follow": follow, "--tail": tail, "--since": since, "--until": until, "--stream": stream}
    _check_alone("--verify", verify, {**shown, "--timestamps": timestamps, "--raw": raw}, hint="It checks all of it.")
    request = LogRequest(
        name=name,
        follow=follow,
        tail=None if tail is None else _count(tail),
        since_ns=moment_option("--since", since),
        until_ns=moment_option("--until", until),
        timestamps=timestamps,
        stream=None if stream is None else Stream(stream),
        raw=raw,
        as_json=as_json,
        verify=verify,
    )
    if request.since_ns is not None and request.until_ns is not None and request.since_ns > request.until_ns:
        raise OptionError("--until", "is earlier than --since", hint="Nothing lies between them.")
    return request


def _check_alone(option: str, given: object, others: dict[str, object], *, hint: str | None = None) -> None:
    clash = [other for other, value in others.items() if value not in (None, False)]
    if given and clash:
        raise OptionError(option, f"does not go together with {_listed(clash)}", hint=hint)


def _listed(names: Iterable[str]) -> str:
    return " and ".join(names)


def _count(text: str) -> int | None:
    if text.strip().lower() == ALL:
        return None
    if not re.fullmatch(r"\d{1,18}", text.strip(), re.ASCII):
        raise OptionError("--tail", f"{text!r} is not a number of lines", hint="Write one such as 100, or 'all'.")
    return int(text)
