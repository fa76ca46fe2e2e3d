"""What is wrong with outside data: where, and in words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TypeAlias

import attrs

from botdock.errors import nearest

Path: TypeAlias = tuple[str | int, ...]
"""The keys and indexes that lead to something."""

_SHOWN = 60
_LONGEST_PROBLEM = 400
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@attrs.frozen
class Problem:
    """Something that is wrong with outside data.

    Attributes:
        path: The keys and indexes that lead to it.
        text: What is wrong.
    """

    path: Path
    text: str


class InvalidDataError(Exception):
    """Data that does not fit its class; `structure` turns it into a `ConfigError`."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


def dotted(path: Path) -> str:
    """Return a path as TOML writes it: `runtime.images."a.b"`."""
    return ".".join(_key(key) for key in path) or "document"


def _key(key: str | int) -> str:
    text = str(key)
    return text if _BARE_KEY.fullmatch(text) else json.dumps(text[:_SHOWN])


def problems_of(error: BaseException, path: Path = ()) -> Iterator[Problem]:
    """Yield what is wrong, walking down the groups of cattrs."""
    import cattrs  # slow, and not needed where nothing is wrong

    match error:
        case cattrs.ClassValidationError():
            for inner, note in error.group_exceptions()[0]:
                yield from problems_of(inner, (*path, note.name))
            for inner in error.group_exceptions()[1]:
                yield from problems_of(inner, path)
        case InvalidDataError():
            yield from (Problem((*path, *problem.path), problem.text) for problem in error.problems)
        case cattrs.ForbiddenExtraKeysError():
            known = [field.name for field in attrs.fields(error.cl)]
            for key in sorted(map(str, error.extra_fields)):
                yield Problem((*path, key), _unknown(key, known))
        case KeyError():
            yield Problem(path, "is missing")
        case _:
            yield Problem(path, str(error)[:_LONGEST_PROBLEM])


def _unknown(key: str, known: list[str]) -> str:
    near = nearest(key, known)
    return f"unknown; did you mean {near[0]}?" if near else f"unknown; there are: {', '.join(known)}"
