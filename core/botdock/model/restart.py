"""When a bot that has ended is started again."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Self

import attrs

from botdock.errors import nearest
from botdock.model._validation import shown

MAX_RESTARTS = 1_000_000


class RestartOn(StrEnum):
    """What a restart follows; each follows what the one before it does, and more."""

    NO = "no"
    """Nothing."""
    FAILURE = "on-failure"
    """Every outcome but `succeeded` and `stopped`."""
    ALWAYS = "always"
    """Every outcome but `stopped`."""


_SPELLINGS = ", ".join(("'no'", "'on-failure'", "'on-failure:5'", "'always'"))
_BOUNDED = re.compile(rf"{RestartOn.FAILURE}:0*([0-9]{{1,18}})")
_MEANT = {
    "never": "no",
    "none": "no",
    "false": "no",
    "off": "no",
    "failure": "on-failure",
    "failed": "on-failure",
    "true": "always",
    "yes": "always",
    "on": "always",
}


@attrs.frozen
class RestartPolicy:
    """When the supervisor starts a bot again that has ended. One that was stopped is never started again.

    Example:
        >>> RestartPolicy.parse("on-failure:3")
        RestartPolicy(on=<RestartOn.FAILURE: 'on-failure'>, most=3)
        >>> str(RestartPolicy.parse("always"))
        'always'

    Attributes:
        on: What a restart follows.
        most: How many restarts in a row follow failures of the bot, none of which ran for a stable time; None means any
            number.
    """

    on: RestartOn = RestartOn.NO
    most: int | None = None

    @classmethod
    def parse(cls, text: object) -> Self:
        """Return the policy that `no`, `on-failure`, `on-failure:<most>` or `always` means.

        Raises:
            ValueError: It is none of these; says which was meant, where that can be guessed.
        """
        if problem := restart_problem(text):
            raise ValueError(problem)
        on, _, most = str(text).partition(":")
        return cls(RestartOn(on), int(most) if most else None)

    def within(self, ceiling: Self) -> Self:
        """Return the one of the two that restarts less."""
        return min(self, ceiling, key=_reach)

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return self.on.value if self.most is None else f"{self.on.value}:{self.most}"


def _reach(policy: RestartPolicy) -> tuple[int, float]:
    return list(RestartOn).index(policy.on), float("inf") if policy.most is None else policy.most


def restart_problem(text: object) -> str | None:
    """Say why something is not a restart policy; None when it is one."""
    if not isinstance(text, str):
        return f"must be one of {_SPELLINGS}, not {shown(text)}"
    if text in set(RestartOn):
        return None
    bounded = _BOUNDED.fullmatch(text)
    if bounded is None:
        return f"{shown(text)} is not a restart policy; {_meant(text) or f'write one of {_SPELLINGS}'}"
    if not 1 <= int(bounded[1]) <= MAX_RESTARTS:
        return f"{shown(text)} must name 1 to {MAX_RESTARTS} restarts; {RestartOn.NO.value!r} means none"
    return None


def _meant(text: str) -> str:
    """Guess what a misspelt policy means; empty where that is not known."""
    word = re.sub(r"[\s_-]+", "-", text.strip().casefold())
    if word == "unless-stopped":
        return "write 'always': what was stopped is never restarted"
    kind, colon, most = word.partition(":")
    near = _MEANT.get(kind) or next(iter(nearest(kind, list(RestartOn))), "")
    if near and colon:
        bounded = f"{RestartOn.FAILURE.value}:{most}"
        return f"did you mean '{bounded}'?" if near == RestartOn.FAILURE and _BOUNDED.fullmatch(bounded) else ""
    return f"did you mean '{near}'?" if near else ""
