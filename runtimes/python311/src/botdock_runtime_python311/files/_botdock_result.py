"""The result file of a Python bot: the envelope around what its `main` returned.

`botdock.entrypoints.result` says what stands in an envelope. This file lies beside `wrapper.py`. Any value of any class
may come from a bot.
"""

# ruff: noqa: INP001 - part of a program, not of a package
from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_MESSAGE = 2000
"""Characters of an error's message that the envelope repeats."""
MAX_PATH = 200
"""Characters of the way to a value that is not JSON. A longer one is left out, for a cut might go through a secret."""
SEQUENCES = frozenset({"deque", "dict_keys", "dict_values", "array"})
"""Further classes of the standard library whose members make an array."""
CANNOT_WRITE = 74
"""What a bot exits with that ended well, but whose result cannot be written at all (EX_IOERR of sysexits.h)."""


class Result:
    """The result file; `botdock.entrypoints.result` says what stands in it."""

    def __init__(self, context: dict[str, Any]) -> None:
        self.path, self.limit = context["result_file"], context["result_limit"]
        self.is_backtest = context["entrypoint"] == "backtest"
        self.process = os.getpid()
        self.value = b""
        self.facts: dict[str, Any] = {"botdock": 2, "nonfinite": 0, "problem": "", "lost": "", "error": None}

    def take(self, value: object) -> int:
        """Keep what `main` returned (None is no value), and return the exit code that it deserves."""
        if value is not None:
            text, self.facts["nonfinite"], problem = to_json(value)
            self.value, self.facts["problem"] = text.encode(), problem[:MAX_MESSAGE]
            if len(self.value) > self.limit:
                self.facts["problem"] = f"longer than the {self.limit} bytes that a result may have"
                self.value = b""
        declared = isinstance(value, dict) and value.get("status") == "error"
        return 1 if declared or (self.is_backtest and self.facts["problem"]) else 0

    def fail(self, error: BaseException, message: object) -> None:
        """Keep what ended the bot."""
        kind = type(error).__name__[:MAX_MESSAGE]
        self.facts["error"] = {"type": kind, "message": text_of(message)[:MAX_MESSAGE]}

    def write(self, exit_code: int) -> int:
        """Write the envelope, and return what to exit with: another code where the file cannot even be emptied.

        Where there is no room for the value, the envelope says so; where there is none for that, the file is not whole.
        """
        if os.getpid() != self.process:
            return exit_code  # a child that the bot forked has come back here
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_TRUNC)
        except OSError:
            return exit_code or CANNOT_WRITE
        try:
            write_all(descriptor, self.envelope(exit_code))
        except OSError as error:
            self.facts["lost"], self.value = error.strerror if self.value else "", b""
            try:
                os.ftruncate(descriptor, 0)
                write_all(descriptor, self.envelope(exit_code))
            except OSError:
                pass  # the runner sees that it is damaged
        finally:
            os.close(descriptor)
        return exit_code

    def envelope(self, exit_code: int) -> bytes:
        header = json.dumps(dict(self.facts, exit_code=exit_code, value_bytes=len(self.value)))
        return header.encode() + b"\n" + self.value


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it to the beginning of a file."""
    at = 0
    while at < len(data):
        at += os.pwrite(descriptor, data[at:], at)


def to_json(value: object) -> tuple[str, int, str]:
    """Return a value as JSON, how many of its numbers became null, and what of it has no form in JSON."""
    plain = Plain()
    try:
        try:
            return encode(value), 0, ""
        except (TypeError, ValueError):
            copied = plain.copy(value)
            return "" if copied is None and plain.problem else encode(copied), plain.nonfinite, plain.problem
    except RecursionError:
        return "", 0, "not JSON: it is nested too deep, or holds itself"
    except Exception as error:  # noqa: BLE001 - the value may be of any class, with any methods
        return "", 0, f"not JSON: {type(error).__name__}: {text_of(error)[:MAX_MESSAGE]}"


def encode(value: object) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


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
        if hasattr(value, "dtype"):
            return self._of_numpy(value)
        if is_enum(value):
            return self.copy(value.value)
        if isinstance(value, float):
            return self._number(value)
        if isinstance(value, (str, int)):
            return value
        if isinstance(value, dict) or (hasattr(value, "keys") and hasattr(value, "__getitem__")):
            return {self._key(key): self._part(value[key], f".{text_of(key)}") for key in list(value.keys())}
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

    def _of_numpy(self, value: Any) -> Any:
        """Copy what numpy and pandas have: a scalar, an array, a Series, an Index."""
        kind = getattr(value.dtype, "kind", "O")
        if kind in {"m", "M"} and type(value).__module__ == "numpy":  # nanoseconds would come as mere integers
            value = value.astype(str) if kind == "M" else value.astype("timedelta64[ns]").astype("int64") / 1e9
        return self.copy(value.item() if getattr(value, "shape", None) == () else value.tolist())

    def _items(self, items: Any) -> list[Any]:
        return [self._part(item, f"[{place}]") for place, item in enumerate(items)]

    def _number(self, value: float) -> float | None:
        if float("-inf") < value < float("inf"):
            return float(value)
        self.nonfinite += 1
        return None

    def _key(self, key: Any) -> str | int | float | bool | None:
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


def text_of(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a bot's class may fail at this, too
        return "(it has no text)"
