"""Small checks that several value objects share; each returns a problem in words, or None."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
"""Whatever `json.loads` returns."""

MAX_ENVIRONMENT_STRING = 131_071
"""Bytes of the longest `NAME=value` that Linux passes to a program (MAX_ARG_STRLEN, 32 pages, less the NUL)."""

_SHOWN = 40
"""Characters of a wrong value that a message repeats."""

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
        return f"name {str(name)[:60]!r} must be letters, digits and _, and not begin with a digit"
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
    try:
        json.dumps(value, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return f"is not JSON: {error}"
    return None


def path_problem(path: str) -> str | None:
    """Say why `path` cannot name a file for all whom botdock tells of it, daemons and records among them."""
    if "\0" in path:
        return "holds a NUL character"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    return None


def number_problem(value: object, low: float, high: float, unit: str = "") -> str | None:
    """Say why `value` is not a number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return f"must be a number, not {value!r}"
    if not low <= value <= high:
        return f"{value} must be {low} to {high}{unit}"
    return None


def unknown_keys(given: Mapping[str, object], known: Mapping[str, object]) -> list[str]:
    """Return the keys of `given` that `known` lacks, sorted."""
    return sorted(set(given) - set(known))
