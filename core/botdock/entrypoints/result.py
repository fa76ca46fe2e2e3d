"""Reads what a wrapper wrote into the result file. The bot could have written it too: nothing in it is believed.

The envelope, what a wrapper with `ResultFormat.ENVELOPE` writes, is one JSON object:

    {"botdock": 1, "exit_code": 0, "has_value": true, "value": {"pnl": 4.2}, "nonfinite": 0,
     "problem": "", "error": null}

    botdock     the version of the envelope, 1
    exit_code   what the wrapper is about to exit with, 0 to 255: it ends by itself, and not by a signal
    has_value   whether `value` is what `main` returned; false when it returned nothing, or nothing that is JSON
    value       that value; NaN and infinities in it became null
    nonfinite   how many of them there were
    problem     why there is no value although `main` returned one: what of it is not JSON and where, or its length
    error       {"type": ..., "message": ...} of the uncaught error, or null

Every key but `botdock` may be absent. The whole document fits into the limit of the result.
"""

from __future__ import annotations

import json
import math
from typing import Any

import attrs

from botdock.model import ResultFormat, Runtime

ENVELOPE_VERSION = 1

MAX_DEPTH = 200
"""Nested arrays and objects in a value; far more than any report has, far less than Python's recursion limit."""
_MAX_TEXT = 4096
"""Characters of a text in the envelope that are kept."""
_MAX_EXIT_CODE = 255


@attrs.frozen(kw_only=True)
class ResultReading:
    """What a result file says.

    Attributes:
        value: What `main` returned, NaN and infinities replaced by None.
        present: Whether there is a value; it may be None.
        value_masked: Whether secrets in it were masked.
        problem: Why there is no usable value, or an empty text.
        nonfinite: How many NaN and infinities became None.
        exit_code: What the wrapper says it exits with. It ended by itself if the engine saw the same code; None where
            nothing is said.
        error: Type and message of the uncaught error, or what a value with `status: "error"` says of itself.
        error_type: Type of the uncaught error.
        declared_error: Whether the value is an object whose `status` is `error`.
    """

    value: Any = None
    present: bool = False
    value_masked: bool = False
    problem: str = ""
    nonfinite: int = 0
    exit_code: int | None = None
    error: str = ""
    error_type: str = ""
    declared_error: bool = False


def read_result(data: bytes, limit: int, runtime: Runtime, entrypoint: str) -> ResultReading:
    """Read a result file; never raises, whatever is in it.

    Args:
        data: The content, or the first `limit + 1` bytes of it.
        limit: Bytes that a result may have.
        runtime: Says which format its wrapper writes.
        entrypoint: Named in `ResultReading.problem`.
    """
    if not data.strip():
        return ResultReading()
    if len(data) > limit:
        return ResultReading(problem=f"the {entrypoint}'s result is longer than {limit} bytes")
    parser = _Parser()
    try:
        document = parser.parse(data)
    except ValueError as error:
        return ResultReading(problem=f"the {entrypoint}'s result is {error}")
    if runtime.capabilities.result is ResultFormat.VALUE:
        return _of_value(ResultReading(nonfinite=parser.nonfinite), document)
    return _of_envelope(document, parser.nonfinite)


class _Parser:
    """JSON from a stranger: bounded in depth, without NaN and infinities, which it counts."""

    def __init__(self) -> None:
        self.nonfinite = 0

    def parse(self, data: bytes) -> Any:
        """Return the document.

        Raises:
            ValueError: Continuing 'the result is ...'.
        """
        try:
            text = data.decode()
            document = json.loads(text, parse_constant=self._constant, parse_float=self._float)
        except UnicodeDecodeError as error:
            raise ValueError(f"not UTF-8 text: {error.reason} at byte {error.start}") from error
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON, or cut off: {error}") from error
        except ValueError as error:  # an integer of thousands of digits
            raise ValueError(f"not usable JSON: {error}") from error
        except RecursionError:
            document = _DEEP
        if document is _DEEP or _deeper_than(document, MAX_DEPTH):
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
        return document

    def _constant(self, _token: str) -> None:
        self.nonfinite += 1

    def _float(self, text: str) -> float | None:
        number = float(text)
        if math.isfinite(number):  # `1e999` is JSON, and no number
            return number
        self.nonfinite += 1
        return None


_DEEP: Any = object()


def _deeper_than(document: Any, depth: int) -> bool:
    level = [document]
    for _ in range(depth):
        level = [child for parent in level for child in _children(parent) if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _children(parent: Any) -> Any:
    if isinstance(parent, dict):
        return parent.values()
    return parent if isinstance(parent, list) else ()


def _of_envelope(document: Any, nonfinite: int) -> ResultReading:
    version = document.get("botdock") if isinstance(document, dict) else None
    if type(version) is not int or version != ENVELOPE_VERSION:
        return ResultReading(problem="the result file does not hold what the runtime's wrapper writes")
    counted = _integer(document.get("nonfinite"), 10**9) or 0
    reading = ResultReading(
        exit_code=_integer(document.get("exit_code"), _MAX_EXIT_CODE),
        nonfinite=counted + nonfinite,
        problem=_text(document.get("problem")),
    )
    reading = _with_error(reading, document.get("error"))
    return _of_value(reading, document.get("value")) if document.get("has_value") is True else reading


def _with_error(reading: ResultReading, error: Any) -> ResultReading:
    if not isinstance(error, dict):
        return reading
    kind, message = _text(error.get("type")), _text(error.get("message"))
    return attrs.evolve(reading, error_type=kind, error=": ".join(part for part in (kind, message) if part))


def _of_value(reading: ResultReading, value: Any) -> ResultReading:
    declared = isinstance(value, dict) and value.get("status") == "error"
    said = (_text(value.get("message")) or _text(value.get("error"))) if declared else ""
    return attrs.evolve(
        reading, value=value, present=True, declared_error=declared, error=reading.error or said, problem=""
    )


def _integer(value: Any, largest: int) -> int | None:
    return value if type(value) is int and 0 <= value <= largest else None


def _text(value: Any) -> str:
    """Return a text that can be printed and stored anywhere, without lone surrogates, of bounded length."""
    return value[:_MAX_TEXT].encode(errors="replace").decode() if isinstance(value, str) else ""
