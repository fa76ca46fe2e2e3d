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


class Result:
    """The result file; `botdock.entrypoints.result` says what stands in it."""

    def __init__(self, context: dict[str, Any]) -> None:
        self.path, self.limit = context["result_file"], context["result_limit"]
        self.is_backtest = context["entrypoint"] == "backtest"
        self.process = os.getpid()
        self.value = ""
        self.facts: dict[str, Any] = {"botdock": 1, "nonfinite": 0, "problem": "", "error": None}

    def take(self, value: object) -> int:
        """Keep what `main` returned (None is no value), and return the exit code that it deserves."""
        if value is not None:
            self.value, self.facts["nonfinite"], self.facts["problem"] = to_json(value)
            if len(self.envelope(0)) > self.limit:
                self.facts["problem"] = f"longer than the {self.limit} bytes that a result may have"
                self.value = ""
        declared = isinstance(value, dict) and value.get("status") == "error"
        return 1 if declared or (self.is_backtest and self.facts["problem"]) else 0

    def fail(self, error: BaseException, message: object) -> None:
        """Keep what ended the bot."""
        self.facts["error"] = {"type": type(error).__name__, "message": text_of(message)[:MAX_MESSAGE]}

    def write(self, exit_code: int) -> None:
        """Write the envelope; where there is no room for all of it, what matters most."""
        if os.getpid() != self.process:
            return  # a child that the bot forked has come back here
        if not self._put(self.envelope(exit_code)):
            self.facts["problem"] = self.facts["problem"] or "it could not be written into the result file"
            self.value = ""
            _ = self._put(self.envelope(exit_code)) or self._put(b'{"botdock": 1, "exit_code": %d}' % exit_code)

    def envelope(self, exit_code: int) -> bytes:
        facts = json.dumps(dict(self.facts, exit_code=exit_code, has_value=bool(self.value)))
        return (facts[:-1] + ', "value": ' + self.value + "}" if self.value else facts).encode()

    def _put(self, data: bytes) -> bool:
        if len(data) > self.limit:
            return False
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_TRUNC)
            try:
                while data:
                    data = data[os.write(descriptor, data) :]
            finally:
                os.close(descriptor)
        except OSError:
            return False
        return True


class NotJSONError(Exception):
    """Says what of a value is not JSON; the way to it grows as it rises."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.path: list[str] = []

    def __str__(self) -> str:
        return f"not JSON: ${''.join(reversed(self.path))[:200]} {self.args[0]}"


def to_json(value: object) -> tuple[str, int, str]:
    """Return a value as JSON, how many of its numbers became null, and why it is no JSON."""
    finite = Finite()
    try:
        try:
            return encode(value), 0, ""
        except (TypeError, ValueError):
            return encode(finite.copy(value)), finite.dropped, ""
    except NotJSONError as problem:
        return "", 0, str(problem)
    except RecursionError:
        return "", 0, "not JSON: it is nested too deep, or holds itself"
    except Exception as error:  # noqa: BLE001 - the value may be of any class, with any methods
        return "", 0, f"not JSON: {type(error).__name__}: {text_of(error)[:MAX_MESSAGE]}"


def encode(value: object) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


class Finite:
    """Copies a value that should be JSON, without its NaN and infinities."""

    def __init__(self) -> None:
        self.dropped = 0

    def copy(self, value: Any) -> Any:
        if value is None or isinstance(value, (str, int)):
            return value
        if isinstance(value, float):
            return self._number(value)
        if isinstance(value, dict):
            return {key: self._member(key, item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._member(place, item, "[%d]") for place, item in enumerate(value)]
        raise NotJSONError(f"is of type {type(value).__name__}")

    def _number(self, value: float) -> float | None:
        if float("-inf") < value < float("inf"):
            return value
        self.dropped += 1
        return None

    def _member(self, key: Any, item: Any, form: str = ".%s") -> Any:
        if key is not None and not isinstance(key, (str, int, float)):
            raise NotJSONError(f"has a key of type {type(key).__name__}")
        try:
            return self.copy(item)
        except NotJSONError as problem:
            problem.path.append(form % key)
            raise


def text_of(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a bot's class may fail at this, too
        return "(it has no text)"
