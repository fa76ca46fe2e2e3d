"""Writes TOML: tables, and below them keys and values, as `botdock.toml` has them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(document: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    r"""Yield the lines of `document`; what is None, which TOML cannot say, becomes a comment.

    Example:
        >>> print("\n".join(to_toml({"engine": "docker", "runtime": {"timeout": 30.0, "network": None}})))
        engine = "docker"
        <BLANKLINE>
        [runtime]
        timeout = 30.0
        # network is not set
    """
    for key, value in document.items():
        if not isinstance(value, dict):
            yield f"# {_key(key)} is not set" if value is None else f"{_key(key)} = {_value(value)}"
    for key, value in document.items():
        if isinstance(value, dict):
            yield ""
            yield f"[{'.'.join(map(_key, (*path, key)))}]"
            yield from to_toml(value, (*path, key))


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(key)} = {_value(inner)}' for key, inner in value.items())} }}"
    return _text(str(value))


def _text(text: str) -> str:
    """Return a basic string: JSON's escapes are TOML's, but for the DEL that JSON lets through."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
