"""File, environment and arguments, one over the other, with the memory of what came from where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from botdock.config.problems import Path, dotted


@attrs.frozen(kw_only=True)
class Layer:
    """One source of settings.

    Attributes:
        data: Nested like the file.
        source: As messages name it.
        variables: For the environment, the variable that set a path.
        written: For settings of plugins, the path under which the user wrote what is read from another.
    """

    data: dict[str, Any]
    source: str
    variables: dict[Path, str] = attrs.field(factory=dict)
    written: dict[Path, Path] = attrs.field(factory=dict)

    def holds(self, path: Path) -> bool:
        """Whether something stands at `path`."""
        value: object = self.data
        for key in path:
            if isinstance(value, Mapping) and key in value:
                value = value[key]
            elif isinstance(value, Sequence) and isinstance(key, int) and not isinstance(value, str):
                value = value[key] if key < len(value) else None
            else:
                return False
        return True

    def name(self, path: Path) -> str:
        """Return what a user calls `path` in this source: `botdock.toml: docker.host`, `environment BOTDOCK_...`."""
        for length in range(len(path), 0, -1):
            if variable := self.variables.get(path[:length]):
                return f"{self.source} {variable}"
        for length in range(len(path), 0, -1):
            if written := self.written.get(path[:length]):
                return f"{self.source}: {dotted((*written, *path[length:]))}"
        return f"{self.source}: {dotted(path)}"


def insert(data: dict[str, Any], path: Path, value: object) -> None:
    """Put a value at a path of nested tables; what is no table on the way is replaced by one."""
    *parents, last = path
    for key in parents:
        if not isinstance(data.get(str(key)), dict):
            data[str(key)] = {}
        data = data[str(key)]
    data[str(last)] = value


def merged(layers: Sequence[Layer]) -> dict[str, Any]:
    """Return all layers in one, the later over the earlier, table by table."""
    result: dict[str, Any] = {}
    for layer in layers:
        result = _merge(result, layer.data)
    return result


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = _merge(result[key], value) if both else value
    return result


def name_of(layers: Sequence[Layer], *paths: Path) -> str:
    """Return where the first of `paths` that anybody set was set last, as `source: key.path`."""
    for path in paths:
        for layer in reversed(layers):
            if layer.holds(path):
                return layer.name(path)
    table = paths[0][:-1]
    for layer in reversed(layers):  # of what is missing, where its table stands
        if len(table) > 1 and layer.holds(table):
            return layer.name(paths[0])
    return f"configuration: {dotted(paths[0])}"
