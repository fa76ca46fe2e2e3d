"""Rules for single values: used when a section is made in Python, and, all at once, when one is read from outside."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import attrs

from botdock.errors import nearest
from botdock.model._validation import number_problem, path_problem
from botdock.model.engine import Feature
from botdock.model.executable import MAX_TIMEOUT
from botdock.model.limits import RANGES

_LARGEST = 2**62
_SHORTEST = 0.001
_SCHEMES = ("unix://", "tcp://", "http://", "https://", "ssh://", "npipe://")
_RANGE = re.compile(r"([0-9]{1,10}):([0-9]{1,10})")
_LOWEST_USER, _HIGHEST_USER = 1000, 2**31 - 1
"""Below are the system's own users; above are none that Docker takes."""
_OVERFLOW_USER = 65534
"""Linux' `nobody`: files of users that are not mapped belong to it."""


@attrs.frozen
class Rule:
    """What attrs keeps as the validator of a field, for the strict converter to ask with those of all other fields.

    Attributes:
        problem: Says in words why a value of the right type is wrong, or returns None.
    """

    problem: Callable[[Any], str | None]

    def __call__(self, _instance: object, _attribute: attrs.Attribute[Any], _value: object) -> None:
        """Do nothing: attrs asks before it is known whether the value is of the right type, and stops at the first."""


def number(low: float, high: float = _LARGEST, unit: str = "") -> Rule:
    """Return the rule that a number lies within bounds, both included."""
    return Rule(lambda value: number_problem(value, low, high, unit))


WAIT = number(_SHORTEST, MAX_TIMEOUT, " seconds")
"""A wait that is bounded, and not nothing."""
WAIT_OR_NONE = number(0, MAX_TIMEOUT, " seconds")
COUNT = number(1)
COUNT_OR_NONE = number(0)


def _names_problem(names: Iterable[str]) -> str | None:
    return "holds an empty name" if any(not name.strip() for name in names) else None


def _mapping_problem(mapping: Mapping[str, str]) -> str | None:
    empty = [key for key, value in mapping.items() if not key.strip() or not value.strip()]
    return f"{empty[0]!r} stands for nothing" if empty else None


def _features_problem(names: Iterable[str]) -> str | None:
    known = [feature.value for feature in Feature]
    for name in names:
        if name not in known:
            near = nearest(name, known)
            return f"{name!r} is no feature; " + (f"did you mean {near[0]}?" if near else f"there are: {known}")
    return None


def _host_problem(host: str) -> str | None:
    with suppress(ValueError):  # an address or a port that none can be
        if not host or (host.startswith(_SCHEMES) and urlsplit(host).port != 0):
            return None
    return f"{host!r} is no address of a daemon; write for example unix:///run/docker.sock or tcp://host:2376"


def _memory_problem(size: int) -> str | None:
    return number_problem(size, *RANGES["memory"], " bytes, or 0") if size else None


def _users_problem(text: str) -> str | None:
    if not (match := _RANGE.fullmatch(text)):
        return f"{text!r} must be 'first:count' of user ids, such as 2000000:65536"
    first, count = map(int, match.groups())
    users = range(first, first + count)
    if not users or users[0] < _LOWEST_USER or users[-1] > _HIGHEST_USER or _OVERFLOW_USER in users:
        bounds = f"{_LOWEST_USER} to {_HIGHEST_USER} without {_OVERFLOW_USER}"
        return f"{text!r} must be at least one user id, of {bounds}"
    return None


NAME = Rule(lambda text: None if text.strip() else "must not be empty")
NAMES = Rule(_names_problem)
MAPPING = Rule(_mapping_problem)
FEATURES = Rule(_features_problem)
PATH = Rule(path_problem)
HOST = Rule(_host_problem)
MEMORY_OR_NONE = Rule(_memory_problem)
USERS = Rule(_users_problem)
VERSION = Rule(
    lambda text: None if re.fullmatch(r"([0-9]+\.[0-9]+)?", text) else f"{text!r} must be a version such as 1.41"
)
