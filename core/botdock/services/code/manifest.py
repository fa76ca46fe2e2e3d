"""What a bot's code says of itself: `bot.toml`, read strictly, or `bot-config.yaml`, the manifest of the old runner.

Of YAML only the nodes of the fields that are wanted are looked at, so nothing is ever built from the rest: neither what
an alias repeats nor what a tag names.
"""

from __future__ import annotations

import os
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from botdock.errors import CodeError
from botdock.model import ENTRYPOINTS, Limits
from botdock.model.limits import SIZES
from botdock.model.runtime import inside, read_head
from botdock.model.units import parse_bytes
from botdock.services.code.manifest_fields import Manifest, ManifestProblemsError, Problems, check_marks

if TYPE_CHECKING:
    from yaml.nodes import Node

__all__ = ["MANIFESTS", "MAX_MANIFEST_BYTES", "Manifest", "read_manifest"]

MAX_MANIFEST_BYTES = 64 * 1024
"""A manifest is written by hand; one that is larger is something else."""
_MAX_PROBLEM = 500
_one_manifest = threading.Lock()
"""Reading YAML takes some 300 times the memory of its text, so there is one at a time."""
_KNOWN = ("name", "runtime", "type", "entrypoints", "limits", "image")
_LIMITS = attrs.fields_dict(Limits)
_LONGEST = 63
"""Bits of the largest number that TOML promises to hold; Python's reader takes longer ones."""
_TEXT = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"


def read_manifest(tree: Path) -> Manifest | None:
    """Return the manifest at the top of a tree of code: `bot.toml`, else the older `bot-config.yaml`, else None.

    Raises:
        CodeError: It cannot be read, or is wrong; with every problem as `bot.toml: key.path: problem`.
    """
    for name, parse in MANIFESTS.items():
        data = _read(tree, name)
        if data is not None:
            try:
                with _one_manifest:
                    return parse(data)
            except ManifestProblemsError as error:
                lines = "\n".join(f"{name}: {problem[:_MAX_PROBLEM]}" for problem in error.problems)
                raise CodeError(lines, source=str(tree / name), hint=error.hint) from None
    return None


def _read(tree: Path, name: str) -> bytes | None:
    path = tree / name
    if not os.path.lexists(path):
        return None
    if not inside(tree, name):
        raise CodeError(f"{name}: is a link that leads out of the code", source=str(path))
    try:
        data = read_head(path, MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise CodeError(f"{name}: {error.strerror or error}", source=str(path)) from None
    if data is None or len(data) > MAX_MANIFEST_BYTES:
        problem = "is not a regular file" if data is None else f"is larger than {MAX_MANIFEST_BYTES // 1024} KiB"
        raise CodeError(f"{name}: {problem}", source=str(path))
    return data


def parse_toml(data: bytes) -> Manifest:
    """Return what a `bot.toml` says.

    Raises:
        ManifestProblemsError: It is not TOML, or holds what means nothing here.
    """
    check_marks(data, b".")  # the cost of a dotted key grows with the square of its parts
    try:
        document = tomllib.loads(data.decode("utf-8-sig"))
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
        image=problems.image("image", document.get("image")),
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
    found = {kind: problems.text(f"entrypoints.{kind}", table.get(kind)) for kind in ENTRYPOINTS}
    return {kind: script for kind, script in found.items() if script is not None}


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


def parse_yaml(data: bytes) -> Manifest:
    """Return what a `bot-config.yaml` says; keys that are not ours are ignored, since old files carry more.

    Raises:
        ManifestProblemsError: It is not YAML, or one of our keys holds something else than text.
    """
    problems = Problems()
    root = _mapping("the file", _compose(data), problems)
    entrypoints = _mapping("entrypoints", root.get("entrypoints"), problems)
    manifest = Manifest(
        name=_yaml_text("name", root, problems),
        runtime=_yaml_text("runtime", root, problems),
        type=_yaml_text("type", root, problems),
        entrypoints={
            kind: script for kind in ENTRYPOINTS if (script := _yaml_text(kind, entrypoints, problems, "entrypoints."))
        },
        source="bot-config.yaml",
    )
    problems.raise_any()
    return manifest


def _compose(data: bytes) -> Node | None:
    check_marks(data, b"[", b"{")  # the cost of what is open grows with the square of its depth
    try:
        import yaml
    except ImportError:
        raise ManifestProblemsError(
            ["it is YAML, and PyYAML is not installed"],
            hint='Run: pip install "botdock[yaml]"; or write a bot.toml in its place.',
        ) from None
    try:
        return yaml.compose(data.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except RecursionError:
        raise ManifestProblemsError(["is nested too deeply"]) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ManifestProblemsError([f"is not YAML: {' '.join(str(error).split())}"]) from None


def _mapping(key: str, node: Node | None, problems: Problems) -> dict[str, Node]:
    """Return the entries of a mapping that have a plain name; the last one of a name counts."""
    if node is None or node.tag == _NULL:
        return {}
    from yaml.nodes import MappingNode, ScalarNode

    if isinstance(node, MappingNode):
        return {name.value: value for name, value in node.value if isinstance(name, ScalarNode)}
    problems.add(key, f"must be a mapping, not {_kind(node)}")
    return {}


def _yaml_text(key: str, nodes: dict[str, Node], problems: Problems, path: str = "") -> str | None:
    node = nodes.get(key)
    if node is None or node.tag == _NULL:
        return None
    if node.tag == _TEXT:
        return problems.text(f"{path}{key}", node.value)
    problems.add(f"{path}{key}", f"must be text, not {_kind(node)}; put it in quotes")
    return None


def _kind(node: Node) -> str:
    """Return YAML's word for what a node is, such as `float`; a tag of the author's own may be any text."""
    kind = str(node.tag).removeprefix("tag:yaml.org,2002:")
    return kind if kind.isalpha() else "a tagged value"


MANIFESTS: dict[str, Callable[[bytes], Manifest]] = {"bot.toml": parse_toml, "bot-config.yaml": parse_yaml}
"""The manifests that are read, the first that is there; the second is that of the old runner."""
