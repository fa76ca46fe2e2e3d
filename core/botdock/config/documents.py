"""The configuration as plain data and as TOML, to be shown or written down."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from botdock.config.rules import SECRET

if TYPE_CHECKING:
    from botdock.config.config import Config

MASK = "***"

_SECRET_KEY = re.compile(r"secret|passw|token|key|credential", re.IGNORECASE)
_LEAST = 8
"""Characters of the shortest secret, as of a secret key of MinIO; a user `admin` shall not mask that word."""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def document(config: Config, *, show_secrets: bool = False) -> dict[str, Any]:
    """Return the configuration as plain nested data, such as JSON and TOML can hold.

    Args:
        config: The configuration.
        show_secrets: Whether secrets stand there as they are; otherwise as `***`. In `options`, whose meaning only
            plugins know, everything counts as secret whose key looks like it.
    """
    return _table(config, show_secrets=show_secrets)


def secrets_of(config: Config) -> list[str]:
    """Return the secrets of a configuration: what `document` would mask, but for texts that are too short for one."""
    return [text for text in _differences(document(config, show_secrets=True), document(config)) if len(text) >= _LEAST]


def _differences(shown: Any, masked: Any) -> Iterator[str]:
    if masked == MASK != shown:
        yield str(shown)
    elif isinstance(masked, Mapping):
        for key, inner in masked.items():
            yield from _differences(shown[key], inner)


def _table(section: Any, *, show_secrets: bool, of_plugin: bool = False) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for field in attrs.fields(type(section)):
        value = getattr(section, field.name)
        if attrs.has(type(value)):
            table[field.name] = _table(value, show_secrets=show_secrets, of_plugin=of_plugin)
        elif field.metadata.get(SECRET) and value and not show_secrets:
            table[field.name] = MASK
        elif of_plugin:
            table[field.name] = _option(field.name, value, mask=not show_secrets)
        else:
            table[field.name] = _plain(value, mask=not show_secrets and field.name == "options")
    return table


def _plain(value: object, *, mask: bool) -> Any:
    match value:
        case _ if attrs.has(type(value)):
            return _table(value, show_secrets=not mask, of_plugin=True)
        case Mapping():
            return {str(key): _option(str(key), inner, mask=mask) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner, mask=mask) for inner in value]
        case Enum():
            return value.value
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return str(value) if isinstance(value, Path) else value


def _option(key: str, value: object, *, mask: bool) -> Any:
    is_table = isinstance(value, Mapping) or attrs.has(type(value))
    hidden = mask and not is_table and value and _SECRET_KEY.search(key)
    return MASK if hidden else _plain(value, mask=mask)


def to_toml(document: Mapping[str, Any]) -> str:
    """Return plain nested data as TOML, which has no null: what is None is left out.

    Example:
        >>> print(to_toml({"engine": "mine", "code": {"depth": 9, "ratio": None}}), end="")
        engine = "mine"
        <BLANKLINE>
        [code]
        depth = 9
    """
    return "\n".join(_lines(document, ())) + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    values = {key: value for key, value in table.items() if not isinstance(value, Mapping) and value is not None}
    if path and (values or not table):
        yield from ("", f"[{'.'.join(map(_key, path))}]")
    for key, value in values.items():
        yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _lines(value, (*path, key))


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _value(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _text(value)
        case Mapping():
            pairs = (f"{_key(key)} = {_value(inner)}" for key, inner in value.items() if inner is not None)
            return f"{{{', '.join(pairs)}}}"
        case list() | tuple():
            return f"[{', '.join(_value(inner) for inner in value if inner is not None)}]"
        case _:
            return repr(value)


def _text(text: str) -> str:
    """Return a TOML string; JSON's escapes are TOML's too, and DEL must be escaped as well."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
