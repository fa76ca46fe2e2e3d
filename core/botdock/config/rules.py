"""Rules for single values: used when a section is made in Python, and, all at once, when one is read from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from botdock.errors import nearest
from botdock.model._validation import number_problem, path_problem
from botdock.model.engine import Feature
from botdock.model.executable import MAX_TIMEOUT

_LARGEST = 2**62
_SHORTEST = 0.001


@attrs.frozen
class Rule:
    """What attrs keeps as the validator of a field, for the strict converter to ask with those of all other fields.

    Attributes:
        problem: Says in words why a value of the right type is wrong, or returns None.
        shape: The same of what was given, before its type is looked at.
    """

    problem: Callable[[Any], str | None]
    shape: Callable[[Any], str | None] = lambda _value: None

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


def _unenforced_problem(unenforced: Mapping[str, Iterable[str]]) -> str | None:
    known = [feature.value for feature in Feature]
    for name in (name for names in unenforced.values() for name in names):
        if name not in known:
            near = nearest(name, known)
            return f"{name!r} is not a feature; " + (f"did you mean {near[0]}?" if near else f"there are: {known}")
    return None


NAME = Rule(lambda text: None if text.strip() else "must not be empty")
NAMES = Rule(_names_problem)
MAPPING = Rule(_mapping_problem)
UNENFORCED = Rule(
    _unenforced_problem,
    shape=lambda value: (
        None if isinstance(value, Mapping) else 'is a table now, of lists by engine: unenforced = {docker = ["swap"]}'
    ),
)
PATH = Rule(path_problem)
