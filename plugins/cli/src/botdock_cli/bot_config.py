"""The bot's config, as `--config` gives it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from botdock.errors import UserError

_MENDED = 'Write an object such as \'{"symbol": "BTC"}\', or @FILE that holds one.'


class BotConfigError(UserError):
    """`--config` is no JSON object."""


def read_bot_config(text: str) -> dict[str, Any]:
    """Return the object that `text` is, or that the file behind its `@` holds; `@-` is stdin.

    Raises:
        BotConfigError: It cannot be read, is not JSON, or is not an object.
    """
    source, document = ("--config", text) if not text.startswith("@") else _read(text[1:])
    try:
        value = json.loads(document)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise BotConfigError(f"{source} is not JSON: {error.msg} ({where})", hint=_MENDED) from None
    except (ValueError, RecursionError) as error:  # bytes in no encoding, a number or a nesting beyond all bounds
        raise BotConfigError(f"{source} is not JSON: {error}", hint=_MENDED) from None
    if not isinstance(value, dict):
        raise BotConfigError(f"{source} must be a JSON object, not {_word(value)}", hint=_MENDED)
    return value


def _read(name: str) -> tuple[str, bytes]:
    if name == "-":
        return "--config (stdin)", sys.stdin.buffer.read()
    try:
        return f"--config ({name})", Path(name).read_bytes()
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise BotConfigError(f"--config: {name!r} cannot be read: {said}") from None


def _word(value: object) -> str:
    words = {bool: "a boolean", str: "a text", list: "a list", type(None): "null"}
    return words.get(type(value), "a number")
