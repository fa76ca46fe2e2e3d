"""The forms that values of Python's usual classes have in JSON. This file lies beside `wrapper.py`."""

# ruff: noqa: INP001 - part of a program, not of a package
from __future__ import annotations

import os

from _botdock_result import text_of  # type: ignore[import-not-found]  # it lies beside this file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_PATH = 200
"""Characters of the way to a value that is not JSON. A longer one is left out, for a cut might go through a secret."""
SEQUENCES = frozenset({"deque", "dict_keys", "dict_values", "dict_items", "array"})
"""Further classes of the standard library whose members make an array."""


class Plain:
    """Copies a value into what JSON knows; classes are told by their attributes, so that none has to be imported.

    Attributes:
        nonfinite: How many of its numbers, NaN and infinities, became null.
        problem: The first part that has no form in JSON, and became null; empty for none.
    """

    def __init__(self) -> None:
        self.nonfinite = 0
        self.problem = ""
        self.path: list[str] = []

    def copy(self, value: Any) -> Any:  # noqa: C901, PLR0911 - one case for each form
        if value is None or isinstance(value, bool) or type(value) in (str, int):
            return value
        if hasattr(value, "dtype") and hasattr(value, "tolist") and not isinstance(value, type):
            return self._of_numpy(value)
        if is_enum(value):
            return self.copy(value.value)
        if isinstance(value, float):
            return self._number(value)
        if isinstance(value, (str, int)):
            return value
        if isinstance(value, dict) or (hasattr(value, "keys") and hasattr(value, "__getitem__")):
            return self._of_mapping(value)
        if isinstance(value, (set, frozenset)):
            return self._items(ordered(value))
        if isinstance(value, (list, tuple, range)) or type(value).__name__ in SEQUENCES:
            return self._items(value)
        return self._of_class(value)

    def _of_class(self, value: Any) -> Any:  # noqa: PLR0911 - as above
        """Copy an object of another class."""
        kind = type(value)
        if kind.__name__ in {"NaTType", "NAType"} or (kind.__name__ == "Decimal" and not value.is_finite()):
            return self._number(float("nan"))
        if kind.__module__ in {"decimal", "_decimal", "uuid", "fractions"}:
            return str(value)
        if hasattr(kind, "total_seconds"):
            return value.total_seconds()
        if hasattr(kind, "isoformat"):
            return value.isoformat()
        if hasattr(kind, "__fspath__"):
            return os.fsdecode(value)
        fields = getattr(kind, "__dataclass_fields__", None) or [
            field.name for field in getattr(kind, "__attrs_attrs__", ())
        ]
        if fields:
            return {name: self._part(getattr(value, name), f".{name}") for name in fields if hasattr(value, name)}
        return self._without_form(f"is of type {full_name(kind)}")

    def _of_mapping(self, value: Any) -> Any:
        keys = list(value.keys())
        if len(keys) > len(set(keys)):
            return self._without_form("has a column of one name twice")
        return {self._key(key): self._part(value[key], f".{text_of(key)}") for key in keys}

    def _of_numpy(self, value: Any) -> Any:
        """Copy what numpy and pandas have: a scalar, an array, a Series, an Index."""
        kind = getattr(value.dtype, "kind", "O")
        if kind in {"m", "M"} and type(value).__module__ == "numpy":  # nanoseconds would come as mere integers
            if kind == "M":
                return self._moments(value.astype(str).tolist())
            value = value / value.dtype.type(1, "s")
        plain = value.item() if getattr(value, "shape", None) == () else value.tolist()
        if hasattr(plain, "dtype"):  # what Python has no number for
            return (
                self._number(float(plain))
                if kind == "f"
                else self._without_form(f"is of type {full_name(type(plain))}")
            )
        return self.copy(plain)

    def _moments(self, texts: Any) -> Any:
        if isinstance(texts, list):
            return [self._moments(text) for text in texts]
        return self._number(float("nan")) if texts == "NaT" else texts

    def _items(self, items: Any) -> list[Any]:
        return [self._part(item, f"[{place}]") for place, item in enumerate(items)]

    def _number(self, value: float) -> float | None:
        if float("-inf") < value < float("inf"):
            return float(value)
        self.nonfinite += 1
        return None

    def _key(self, key: Any) -> Any:
        plain = self.copy(key)
        if plain is not None and not isinstance(plain, (str, int, float)):
            self._without_form(f"has a key of type {full_name(type(key))}")
            return text_of(key)
        return plain

    def _part(self, value: Any, step: str) -> Any:
        self.path.append(step)
        copied = self.copy(value)
        self.path.pop()
        return copied

    def _without_form(self, said: str) -> None:
        path = "".join(self.path)
        self.problem = self.problem or f"not JSON: {'$' + path if len(path) <= MAX_PATH else 'a value'} {said}"


def is_enum(value: object) -> bool:
    return hasattr(type(value), "__members__") and hasattr(value, "value")


def ordered(items: Any) -> list[Any]:
    """Return the members of a set in their order, if they have one."""
    try:
        return sorted(items)
    except TypeError:
        return list(items)


def full_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
