"""Reads `bot.toml`, strictly."""

from __future__ import annotations

import tomllib
from typing import Any

import attrs

from botdock.model import ENTRYPOINTS, Limits
from botdock.model.limits import SIZES
from botdock.model.units import parse_bytes
from botdock.services.code.manifest_fields import Manifest, ManifestProblemsError, Problems, check_marks

_KNOWN = ("name", "runtime", "type", "entrypoints", "limits")
_LIMITS = attrs.fields_dict(Limits)
_LONGEST = 63
"""Bits of the largest number that TOML promises to hold; Python's reader takes longer ones."""


def parse_toml(data: bytes) -> Manifest:
    """Return what a `bot.toml` says.

    Raises:
        ManifestProblemsError: It is no TOML, or holds what means nothing here.
    """
    check_marks(data, b".")  # the cost of a dotted key grows with the square of its parts
    try:
        document = tomllib.loads(data.decode())
    except RecursionError:
        raise ManifestProblemsError(["is nested too deeply"]) from None
    except ValueError as error:
        raise ManifestProblemsError([f"is not TOML: {error}"]) from None
    problems = Problems()
    problems.unknown(document, _KNOWN)
    manifest = Manifest(
        name=problems.text("name", document.get("name")),
        runtime=problems.text("runtime", document.get("runtime")),
        type=problems.text("type", document.get("type")),
        entrypoints=_entrypoints(_table("entrypoints", document, problems), problems),
        limits=_limits(_table("limits", document, problems), problems),
        source="bot.toml",
    )
    problems.raise_any()
    return manifest


def _table(key: str, document: dict[str, Any], problems: Problems) -> dict[str, Any]:
    table = document.get(key, {})
    if isinstance(table, dict):
        return table
    problems.add(key, f"must be a table, as in [{key}], not {type(table).__name__}")
    return {}


def _entrypoints(table: dict[str, Any], problems: Problems) -> dict[str, str]:
    problems.unknown(table, ENTRYPOINTS, "entrypoints.")
    return problems.texts("entrypoints", {kind: table[kind] for kind in ENTRYPOINTS if kind in table})


def _limits(table: dict[str, Any], problems: Problems) -> Limits:
    problems.unknown(table, _LIMITS, "limits.")
    values = {name: _limit(name, table[name], problems) for name in _LIMITS if name in table}
    limits = Limits(**values)
    for found in limits.problems():
        name, _, problem = found.partition(": ")
        problems.add(f"limits.{name}", problem)
    return limits


def _limit(name: str, value: object, problems: Problems) -> Any:
    """Return a limit as a number; its range is looked at with all others."""
    try:
        number = parse_bytes(value) if name in SIZES else _number(name, value)
    except (TypeError, ValueError, OverflowError) as error:
        problems.add(f"limits.{name}", str(error))
        return None
    if isinstance(number, int) and number.bit_length() > _LONGEST:
        problems.add(f"limits.{name}", "is larger than any number can be here")
        return None
    return number


def _number(name: str, value: object) -> float:
    wanted = int | float if name == "cpus" else int
    if isinstance(value, bool) or not isinstance(value, wanted):
        kind = "a number" if name == "cpus" else "a whole number"
        raise TypeError(f"must be {kind}, not {type(value).__name__}")
    return value
