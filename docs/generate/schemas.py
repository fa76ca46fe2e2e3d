"""JSON Schemas (draft 7) of what classes of attrs hold, and what they say in words."""

from __future__ import annotations

import inspect
import json
import re
import types
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import attrs

Schema = dict[str, Any]

_TYPES: dict[Any, Schema] = {
    Any: {},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    datetime: {"type": "string", "format": "date-time"},
}
_ATTRIBUTES = re.compile(r"^Attributes:\n((?:(?:    .*)?\n?)+)", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^    (\w+): ((?:.*)(?:\n {5,}.*)*)", re.MULTILINE)


def meanings(kind: type) -> dict[str, str]:
    """Return what the docstring of a class says of each of its attributes."""
    section = _ATTRIBUTES.search(f"{inspect.getdoc(kind)}\n")
    found = _ATTRIBUTE.findall(section[1]) if section else ()
    return {name: re.sub(r"\s+", " ", text).strip() for name, text in found}


def typed(hint: Any) -> Schema:
    """Return the schema of a type; of any type that JSON has not, that of anything."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return typed(inner[0])
    if origin in {Union, types.UnionType}:
        return {"anyOf": [typed(one) for one in inner]}
    if origin in {tuple, list, Sequence}:
        return {"type": "array", "items": typed(inner[0])}
    if origin in {dict, Mapping}:
        return {"type": "object", "additionalProperties": typed(inner[1])}
    return _plain(hint)


def _plain(hint: Any) -> Schema:
    if not inspect.isclass(hint) or hint in _TYPES:
        return _TYPES.get(hint, {})
    if issubclass(hint, Enum):
        return {"enum": [member.value for member in hint]}
    return ref(hint.__name__)


def said(text: str, hint: Any = str) -> Schema:
    """Return the schema of one key, of a type or another schema, with what it means."""
    return {**(hint if isinstance(hint, dict) else typed(hint)), "description": text}


def closed(description: str, properties: Mapping[str, Schema], *, optional: Sequence[str] = ()) -> Schema:
    """Return the schema of an object that has these keys and no others."""
    required = [name for name in properties if name not in optional]
    known: Schema = {"properties": dict(properties), "required": required, "additionalProperties": False}
    return {"description": description, "type": "object", **known}


def fields(kind: type[Any], *names: str) -> dict[str, Schema]:
    """Return the schemas of some attributes of a class, or of all, with what its docstring says of them."""
    hints, meaning = get_type_hints(kind, include_extras=True), meanings(kind)
    shown = names or tuple(field.name for field in attrs.fields(kind))
    return {name: said(re.sub(r"\bNone\b", "null", meaning[name]), hints[name]) for name in shown}


def several(definition: str) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": ref(definition)}


def ref(definition: str, *, nullable: bool = False) -> Schema:
    """Return the schema of what is one of the definitions."""
    there = {"$ref": f"#/definitions/{definition}"}
    return {"anyOf": [there, {"type": "null"}]} if nullable else there


def in_words(schema: Schema) -> str:
    """Return what a value may be, for a table; what is defined is a link to its heading."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(in_words, schema["anyOf"]))
    if values := schema.get("enum") or [schema[key] for key in ("const",) if key in schema]:
        return " or ".join(f"`{json.dumps(value)}`" for value in values)
    return f"list of {in_words(schema['items'])}" if "items" in schema else str(schema.get("type", "any"))
