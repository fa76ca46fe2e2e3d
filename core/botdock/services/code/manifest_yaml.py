"""`bot-config.yaml`, the manifest of the old runner.

Only the nodes of the fields that are wanted are looked at, so nothing is ever built from the rest: neither what an
alias repeats nor what a tag names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock.model import ENTRYPOINTS
from botdock.services.code.manifest import Manifest, Problems

if TYPE_CHECKING:
    from yaml.nodes import Node

_TEXT = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"
_BOOLEAN = "tag:yaml.org,2002:bool"
"""What a plain `no` is in YAML 1.1."""


def parse_yaml(data: bytes, problems: Problems) -> Manifest:
    """Return what a `bot-config.yaml` says; keys that are not ours are ignored, since old files carry more.

    Raises:
        CodeError: It is not YAML.
    """
    root = _mapping("the file", _compose(data, problems), problems)
    entrypoints = _mapping("entrypoints", root.get("entrypoints"), problems)
    return Manifest(
        name=_yaml_text("name", root, problems),
        runtime=_yaml_text("runtime", root, problems),
        type=_yaml_text("type", root, problems),
        entrypoints={
            kind: script for kind in ENTRYPOINTS if (script := _yaml_text(kind, entrypoints, problems, "entrypoints."))
        },
        restart=problems.restart("restart", _yaml_text("restart", root, problems, also=_BOOLEAN)),
        source="bot-config.yaml",
    )


def _compose(data: bytes, problems: Problems) -> Node | None:
    try:
        import yaml
    except ImportError:
        hint = 'Run: pip install "botdock[yaml]"; or write a bot.toml in its place.'
        raise problems.error("it is YAML, and PyYAML is not installed", hint=hint) from None
    try:
        return yaml.compose(data.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except RecursionError:
        raise problems.error("is nested too deeply") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise problems.error(f"is not YAML: {' '.join(str(error).split())}") from None


def _mapping(key: str, node: Node | None, problems: Problems) -> dict[str, Node]:
    """Return the entries of a mapping that have a plain name; the last one of a name counts."""
    if node is None or node.tag == _NULL:
        return {}
    from yaml.nodes import MappingNode, ScalarNode

    if isinstance(node, MappingNode):
        return {name.value: value for name, value in node.value if isinstance(name, ScalarNode)}
    problems.add(key, f"must be a mapping, not {_kind(node)}")
    return {}


def _yaml_text(
    key: str, nodes: dict[str, Node], problems: Problems, path: str = "", *, also: str = _TEXT
) -> str | None:
    node = nodes.get(key)
    if node is None or node.tag == _NULL:
        return None
    if node.tag in {_TEXT, also}:
        return problems.text(f"{path}{key}", node.value)
    problems.add(f"{path}{key}", f"must be text, not {_kind(node)}; put it in quotes")
    return None


def _kind(node: Node) -> str:
    """Return YAML's word for what a node is, such as `float`; a tag of the author's own may be any text."""
    kind = str(node.tag).removeprefix("tag:yaml.org,2002:")
    return kind if kind.isalpha() else "a tagged value"
