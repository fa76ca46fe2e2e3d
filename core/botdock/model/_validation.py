"""Small checks that several value objects share; each returns a problem in words, or None."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any, TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
"""Whatever `json.loads` returns."""

MAX_ENVIRONMENT_STRING = 131_071
"""Bytes of the longest `NAME=value` that Linux passes to a program (MAX_ARG_STRLEN, 32 pages, less the NUL)."""

MAX_DEPTH = 100
"""Tables and lists within each other that a document may have: what copies, writes and reads it goes down into each."""
MAX_VALUES = 1_000_000
"""Values that a document may hold, each as often as it stands there."""

_LONGEST_PATH, _LONGEST_NAME = 4096, 255
"""Bytes of a path with its NUL, and of one name in it, on Linux."""
_SHOWN = 60
"""Characters of a wrong value that a message repeats."""
_LARGE = 10**_SHOWN
_KINDS: tuple[tuple[Any, str], ...] = (
    (Mapping, "a table"),
    (list | tuple, "a list"),
    (str, "text"),
    (bool, "a boolean"),
    (int | float, "a number"),
    (NoneType, "nothing"),
)

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def id_problem(value: object) -> str | None:
    """Say why `value` cannot be the id of an executable."""
    if not isinstance(value, str):
        return f"must be text, not {type(value).__name__}"
    if _ID.fullmatch(value):
        return None
    shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}... ({len(value)} characters)"
    return f"{shown!r} must be 1 to 128 of A-Z a-z 0-9 . _ - and begin with a letter or a digit"


def environment_problem(name: object, value: object) -> str | None:
    """Say why `name=value` cannot be put into a bot's environment."""
    if not isinstance(name, str) or not _ENVIRONMENT_NAME.fullmatch(name):
        return f"name {shown(name)} must be letters, digits and _, and not begin with a digit"
    if not isinstance(value, str):
        return f"value of {name} must be text, not {type(value).__name__}"
    if "\0" in value:
        return f"value of {name} holds a NUL character, which no environment can carry"
    try:
        size = len(f"{name}={value}".encode())
    except UnicodeEncodeError:
        return f"value of {name} holds a lone surrogate, which is not valid text"
    if size > MAX_ENVIRONMENT_STRING:
        return f"value of {name} takes {size} bytes with its name; an environment string holds {MAX_ENVIRONMENT_STRING}"
    return None


def json_problem(value: object) -> str | None:
    """Say why `value` cannot be written as JSON and read back the same."""
    if problem := nesting_problem(value):
        return f"is not JSON: {problem}"
    try:
        json.dumps(value, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return f"is not JSON: {error}"
    return None


def nesting_problem(value: object) -> str | None:
    """Say why a document is nested too deeply, too large or keyed by what is not text; goes down into no call."""
    pending, seen = [(value, 0)], 0
    while pending:
        inner, depth = pending.pop()
        seen += 1
        if depth > MAX_DEPTH:
            return f"is nested more than {MAX_DEPTH} deep"
        if seen > MAX_VALUES:
            return f"holds more than {MAX_VALUES} values"
        if isinstance(inner, Mapping):
            if odd := [key for key in inner if not isinstance(key, str)]:
                return f"a key must be text, not {kind_of(odd[0])}"
            pending += [(part, depth + 1) for part in inner.values()]
        elif isinstance(inner, list | tuple):
            pending += [(part, depth + 1) for part in inner]
    return None


def text_problem(text: object) -> str | None:
    """Say why `text` cannot be handed on to files, daemons and records: as a path, a name or an address."""
    if not isinstance(text, str):
        return f"must be text, not {shown(text)}"
    if "\0" in text:
        return "holds a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    return None


def path_problem(text: str) -> str | None:
    """Say why `text`, whose `~` may stand for a home folder, cannot be the path of anything."""
    if problem := text_problem(text):
        return problem
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        return f"{shown(text)} begins with a user who does not exist"
    if len(os.fsencode(path)) >= _LONGEST_PATH or any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts):
        return f"{shown(text)} is longer than a path can be"
    return None


def number_problem(value: object, low: float, high: float, unit: str = "") -> str | None:
    """Say why `value` is not a number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - nan, and no float of a large int
        return f"must be a number, not {shown(value)}"
    if not low <= value <= high:
        text = shown(value) if isinstance(value, int) and abs(value) >= _LARGE else value
        return f"{text} must be {low} to {high}{unit}"
    return None


def shown(value: object) -> str:
    """Return a value for a message: itself if it is small, else what it is."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | float) or (isinstance(value, int) and abs(value) < _LARGE):
        text = repr(value[: _SHOWN + 1] if isinstance(value, str) else value)
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return kind_of(value)


def kind_of(value: object) -> str:
    """Say what a value is, without showing it."""
    return next((words for kind, words in _KINDS if isinstance(value, kind)), f"a {type(value).__name__}")
