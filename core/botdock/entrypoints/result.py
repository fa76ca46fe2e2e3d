"""Reads what a wrapper wrote into the result file. The bot could have written it too: nothing in it is believed.

The envelope, what a wrapper with `ResultFormat.ENVELOPE` writes, is one line of JSON, its header, and then the value:

    {"botdock": 2, "exit_code": 0, "value_bytes": 12, "nonfinite": 0, "problem": "", "lost": "", "error": null}
    {"pnl": 4.2}

    botdock      the version of the envelope, 2
    exit_code    what the wrapper is about to exit with, 0 to 255: the kernel does not end it by a signal
    signal       the signal for which it ends, with the exit code 128 + signal; 0, or absent, where it ends by itself
    value_bytes  how many bytes of JSON follow: what `main` returned; 0 for nothing, or no JSON
    nonfinite    how many NaN and infinities in it became null
    problem      which part of the value has no form in JSON, and became null, or why there is no value at all
    lost         why there is no value although it was fine: it could not be written
    error        {"type": ..., "message": ..., "hint": ...} of the uncaught error, or null; the hint says what mends it

Every key but `botdock` may be absent. The header has at most `MAX_HEADER` bytes, the value as many as a result may
have.

Until a wrapper writes it, the file holds `NOT_WRITTEN`. So a bot that ends past its wrapper (by `os._exit`, or as
another program that it became) can be told from a file that was emptied, cut off or replaced: that is a lost result,
and never a success. A wrapper that cannot even open the file exits with 74 where it would have exited with 0.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from botdock.entrypoints.context import write_file
from botdock.model import ResultFormat, Runtime

ENVELOPE_VERSION = 2
"""Of the form of a wrapper's result file, which stands in its header as `botdock`."""
NOT_WRITTEN = b'{"botdock": 2, "state": "not written"}\n'
"""What a result file holds before the bot has begun: so a bot that wrote none is told from one whose file is gone."""
MAX_HEADER = 64 * 1024

MAX_DEPTH = 200
"""Nested arrays and objects in a value; far more than any report has, far less than Python's recursion limit."""
MAX_NODES = 2**20
"""Values and names in a value; each may cost the runner a hundred bytes while it looks at them."""
_MAX_TEXT = 4096
"""Characters of a text in the envelope that are kept."""
_MAX_EXIT_CODE = 255
_HIGHEST_SIGNAL = 64
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"?+', re.DOTALL)
_DEEP = f"nested more than {MAX_DEPTH} levels deep"
_SEPARATORS = b",:[{"
"""Each comes before a value or a name, but for the first value."""
_DECODING = threading.Lock()
"""One value at a time: ten runs that end together cost the memory of one."""


@attrs.frozen(kw_only=True)
class ResultReading:
    """What a result file says.

    Attributes:
        content: What `main` returned, as the JSON text that the wrapper wrote; NaN and infinities replaced by null.
        value_masked: Whether secrets in it were masked.
        problem: Why there is no usable value, or an empty text.
        lost: Why what should be there is absent or damaged, or an empty text.
        unwritten: Whether the bot ended without its wrapper, as far as the file tells.
        nonfinite: How many NaN and infinities became null.
        exit_code: What the wrapper says it exits with: if the engine saw the same, it ended by itself; or None.
        signal: The signal for which it says that it ends, after its `finally` blocks and the like; 0 for none.
        error: Type and message of the uncaught error, or what a value with `status: "error"` says of itself.
        error_type: Type of the uncaught error.
        hint: What mends it, in one line; empty where the wrapper does not know.
        declared_error: Whether the value is an object whose `status` is `error`.
    """

    content: bytes = b""
    value_masked: bool = False
    problem: str = ""
    lost: str = ""
    unwritten: bool = False
    nonfinite: int = 0
    exit_code: int | None = None
    signal: int = 0
    error: str = ""
    error_type: str = ""
    hint: str = ""
    declared_error: bool = False

    @property
    def present(self) -> bool:
        """Whether there is a value; it may be null."""
        return bool(self.content)

    @property
    def value(self) -> Any:
        """What `main` returned, decoded anew each time; None when there is none."""
        return json.loads(self.content) if self.content else None


def begin_result(runtime: Runtime, path: Path) -> None:
    """Write into the result file, which exists, what says that the wrapper has not.

    Raises:
        EntrypointError: It cannot be written.
    """
    is_wrapped = runtime.capabilities.result is ResultFormat.ENVELOPE
    write_file(path, NOT_WRITTEN if is_wrapped else b"", None)


def most_bytes(runtime: Runtime, limit: int) -> int:
    """Return how many bytes a result file may have whose value has `limit`."""
    return limit + MAX_HEADER if runtime.capabilities.result is ResultFormat.ENVELOPE else limit


def read_result(
    data: bytes, limit: int, runtime: Runtime, entrypoint: str, mask: Callable[[Any], Any] | None = None
) -> ResultReading:
    """Read a result file; never raises, whatever is in it.

    Args:
        data: The content, or the first `most_bytes(runtime, limit) + 1` bytes of it.
        limit: Bytes that a value may have.
        runtime: Says which format its wrapper writes.
        entrypoint: Named in `ResultReading.problem`.
        mask: Returns a value without secrets; None where there are none.
    """
    is_wrapped = runtime.capabilities.result is ResultFormat.ENVELOPE
    reading, content = _unwrap(data) if is_wrapped else (ResultReading(), data.strip())
    if not content:
        return reading
    if len(content) > limit:
        return attrs.evolve(reading, problem=f"the {entrypoint}'s result is longer than {limit} bytes")
    try:
        with _DECODING:
            if len(content) >= MAX_NODES:
                _check_nodes(content)
            value, nonfinite = _parse(content)
            masked = mask(value) if mask else value
            is_masked = masked is not value and masked != value
            if is_masked or nonfinite:
                content = json.dumps(masked).encode()
    except ValueError as error:
        problem = f"the {entrypoint}'s result is {error}"
        if is_wrapped and isinstance(error, _SyntaxError):  # a wrapper writes JSON: it was damaged
            return attrs.evolve(reading, lost=problem)
        return attrs.evolve(reading, problem=problem)
    declared = isinstance(masked, dict) and masked.get("status") == "error"
    message = (_text(masked.get("message")) or _text(masked.get("error"))) if declared else ""
    return attrs.evolve(
        reading,
        content=content,
        value_masked=is_masked,
        nonfinite=reading.nonfinite + nonfinite,
        declared_error=declared,
        error=reading.error or message,
    )


def _unwrap(data: bytes) -> tuple[ResultReading, bytes]:
    """Return what the header of an envelope says, and the value that follows it."""
    if data == NOT_WRITTEN:
        return ResultReading(unwritten=True), b""
    head, newline, content = data.partition(b"\n")
    try:
        header, _ = _parse(head[: MAX_HEADER + 1] if newline else b"")
    except ValueError:
        return ResultReading(lost=f"the result file is {'cut off, or damaged' if data else 'empty'}"), b""
    version = header.get("botdock") if isinstance(header, dict) else None
    if type(version) is not int or version != ENVELOPE_VERSION:
        return ResultReading(lost="the result file is not what the runtime's wrapper writes"), b""
    lost, error = _text(header.get("lost")), header.get("error")
    uncaught = error if isinstance(error, dict) else {}
    kind, message = _text(uncaught.get("type")), _text(uncaught.get("message"))
    reading = ResultReading(
        exit_code=_integer(header.get("exit_code"), _MAX_EXIT_CODE),
        signal=_integer(header.get("signal"), _HIGHEST_SIGNAL) or 0,
        nonfinite=_integer(header.get("nonfinite"), 10**9) or 0,
        problem=_text(header.get("problem")),
        lost=lost and f"what main returned could not be written: {lost}",
        error_type=kind,
        error=": ".join(part for part in (kind, message) if part),
        hint=" ".join(_text(uncaught.get("hint")).split()),
    )
    if len(content) == (header.get("value_bytes") or 0):
        return reading, content
    damage = "the result file is cut off or damaged: the value is not as long as it was"
    return attrs.evolve(reading, lost=damage), b""


class _SyntaxError(ValueError):
    """Says why a text is not JSON at all."""


def _parse(data: bytes) -> tuple[Any, int]:
    """Return a document of a stranger's, bounded in depth, and how many NaN and infinities became null in it.

    Raises:
        ValueError: Continuing 'the result is ...'.
    """
    nonfinite = 0

    def number(text: str) -> float | None:
        nonlocal nonfinite
        found = float(text)
        if math.isfinite(found):  # `1e999` is JSON, and no number
            return found
        nonfinite += 1
        return None

    try:
        document = json.loads(data.decode(), parse_constant=number, parse_float=number)
    except UnicodeDecodeError as error:
        raise _SyntaxError(f"not UTF-8 text: {error.reason} at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise _SyntaxError(f"not JSON, or cut off: {error}") from None  # the error holds all of the text
    except ValueError as error:  # an integer of thousands of digits
        raise ValueError(f"not usable JSON: {error}") from error
    except RecursionError:
        raise ValueError(_DEEP) from None
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _is_deep(document):
        raise ValueError(_DEEP)
    return document, nonfinite


def _check_nodes(data: bytes) -> None:
    """Count the values and names of a document, or a few more, without what stands in its texts."""
    if len(data) - len(data.translate(None, _SEPARATORS)) < MAX_NODES:
        return
    bare = _TEXT.sub(b"", data)
    if len(bare) - len(bare.translate(None, _SEPARATORS)) >= MAX_NODES:
        raise ValueError(f"more than {MAX_NODES:,} values and names: return fewer, or some of them as a text")


def _is_deep(document: Any) -> bool:
    level = [document] if isinstance(document, dict | list) else []
    for _ in range(MAX_DEPTH):
        children = (child for parent in level for child in (parent.values() if isinstance(parent, dict) else parent))
        level = [child for child in children if isinstance(child, dict | list)]
    return bool(level)


def _integer(value: Any, largest: int) -> int | None:
    return value if type(value) is int and 0 <= value <= largest else None


def _text(value: Any) -> str:
    """Return a text that can be printed and stored anywhere, without lone surrogates, of bounded length."""
    return value[:_MAX_TEXT].encode(errors="replace").decode() if isinstance(value, str) else ""
