"""What settings are made of: how a section checks itself, what a field says of itself, the rules of single values.

A plugin's settings use them as the core's sections do. What breaks a rule is a `Problem` at the path of a key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import attrs

from botdock.errors import meant
from botdock.model._validation import number_problem, path_problem
from botdock.model.engine import Feature
from botdock.model.executable import MAX_TIMEOUT
from botdock.model.image_reference import ImagePattern
from botdock.model.restart import restart_problem

KeyPath: TypeAlias = tuple[str | int, ...]
"""The keys and indexes that lead to something."""

SECRET = "secret"  # noqa: S105 - the name of a mark, not a secret
"""Metadata key of fields that no repr, log or listing may show."""
VARIABLE = "variable"
"""Metadata key: an environment variable of another name that sets the field too; an empty one counts as absent."""
TIGHTENS = "tightens"
"""Metadata key: what tells, of a value and another, whether the other is stricter."""
LIMIT = "limit"
"""Metadata key: the field of `Limits` whose default it is on that engine, unless it is 0."""

_SHOWN = 60
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LARGEST = 2**62
_USERS = re.compile(r"([0-9]{1,10}):([0-9]{1,10})")
LOWEST_USER, _HIGHEST_USER = 1000, 2**31 - 1
"""Below are a system's own users; above are none that engines take."""
OVERFLOW_USER = 65534
"""Linux' `nobody`: files of users that are not mapped belong to it."""
_SHORTEST = 0.001


def spelling(name: str) -> str:
    """Return a plugin's or a distribution's name as it is compared (PEP 503): without case, `_` and `.` as `-`."""
    return re.sub(r"[-_.]+", "-", name).casefold()


class Section:
    """What the sections of the configuration share: they check all that they are constructed of, at once."""

    __slots__ = ()

    def __attrs_post_init__(self) -> None:
        """Check every field as strictly as that of a file.

        Raises:
            ConfigError: With every problem as `field: problem`.
        """
        from botdock.config.converter import check_fields

        check_fields(self)


def setting(
    default: Any,
    *,
    rule: Rule | None = None,
    secret: bool = False,
    variable: str = "",
    tightens: Callable[[Any, Any], bool] | None = None,
    limit: str = "",
) -> Any:
    """Return an attrs field for a plugin's settings.

    Args:
        default: Its value when nothing sets it.
        rule: What its value must be.
        secret: Whether it is never shown.
        variable: An environment variable that sets it as well, such as one that others read too.
        tightens: Given a value and another, whether the other is stricter; then a `botdock.toml` of the working folder
            that the user has not trusted may set it. Without, it may not.
        limit: For an engine: the field of `Limits` whose default it is, unless it is 0.
    """
    marks = {SECRET: secret, VARIABLE: variable, TIGHTENS: tightens, LIMIT: limit}
    metadata = {key: value for key, value in marks.items() if value}
    return attrs.field(
        default=default,
        validator=rule,
        repr=(lambda value: "'***'" if value else "''") if secret else True,
        metadata=metadata,
    )


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


def _mapping_problem(mapping: Mapping[str, str]) -> str | None:
    empty = [key for key, value in mapping.items() if not key.strip() or not value.strip()]
    return f"{empty[0]!r} is empty, or has an empty value" if empty else None


def _sizes_problem(sizes: Mapping[str, int]) -> str | None:
    return next(
        (f"{name}: {wrong}" for name, size in sizes.items() if (wrong := number_problem(size, 0, 10_000))), None
    )


def user_range(text: str) -> range:
    """Return the user ids that `first:count` names."""
    first, count = map(int, text.split(":"))
    return range(first, first + count)


def _users_problem(text: str) -> str | None:
    if not _USERS.fullmatch(text):
        return f"{text!r} must be 'first:count' of user ids, such as 2000000:65536"
    users = user_range(text)
    if not users or users[0] < LOWEST_USER or users[-1] > _HIGHEST_USER or OVERFLOW_USER in users:
        bounds = f"{LOWEST_USER} to {_HIGHEST_USER} without {OVERFLOW_USER}"
        return f"{text!r} must be at least one user id, of {bounds}"
    return None


def _images_problem(patterns: Iterable[str]) -> str | None:
    for pattern in patterns:
        try:
            ImagePattern.read(pattern)
        except ValueError as error:
            return str(error)
    return None


def one_of(known: Iterable[str], what: str) -> Rule:
    """Return the rule of a list of names, each of which must be known.

    Args:
        known: The names that there are.
        what: What such a name is called, with its article.
    """
    names = list(known)

    def problem_of(given: Iterable[str]) -> str | None:
        wrong = next((name for name in given if name not in names), None)
        return None if wrong is None else f"{wrong[:_SHOWN]!r} is not {what}; {meant(wrong, names)}"

    return Rule(problem_of)


def _webhook_problem(address: str) -> str | None:
    if not address:
        return None
    from urllib.parse import urlsplit  # which few configurations need

    try:
        parts = urlsplit(address)
        whole = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        whole = False
    if not whole or any(character.isspace() or not character.isprintable() for character in address):
        return "must be the address of a host, by http or https"
    return None


NAME = Rule(lambda text: None if text.strip() else "must not be empty")
NAMES = Rule(lambda names: None if all(name.strip() for name in names) else "holds an empty name")
IMAGES = Rule(_images_problem)
MAPPING = Rule(_mapping_problem)
SIZES = Rule(_sizes_problem)
_FEATURES = one_of([feature.value for feature in Feature], "a feature")
UNENFORCED = Rule(lambda table: _FEATURES.problem(name for names in table.values() for name in names))
PATH = Rule(path_problem)
WEBHOOK = Rule(_webhook_problem)
RESTART = Rule(restart_problem)
USERS = Rule(_users_problem)
"""Of the user ids that an engine gives bots; `user_range` returns them."""


@attrs.frozen
class Problem:
    """Something that is wrong with outside data.

    Attributes:
        path: The keys and indexes that lead to it.
        text: What is wrong.
    """

    path: KeyPath
    text: str


class InvalidDataError(Exception):
    """Data that does not fit its class; it becomes a `ConfigError` where its source is known.

    Attributes:
        problems: All that is wrong with it.
    """

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(f"{dotted(problem.path)}: {problem.text}" for problem in problems))
        self.problems = problems


def dotted(path: KeyPath) -> str:
    """Return a path as TOML writes it: `runtime.images."a.b"`."""
    return ".".join(_key(key) for key in path) or "document"


def _key(key: str | int) -> str:
    text = str(key)
    return text if _BARE_KEY.fullmatch(text) else json.dumps(text[:_SHOWN])
