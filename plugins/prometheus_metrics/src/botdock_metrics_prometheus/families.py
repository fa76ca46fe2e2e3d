"""Which metrics there are: how botdock's names become Prometheus's names, units and labels.

    execution                 botdock_executions_total, botdock_execution_...
    phase.pull                botdock_phase_duration_seconds{phase="pull"}
    container.create          botdock_container_operations_total{operation="create"}, ...
    log.gap, storage.put      botdock_log_..., botdock_storage_..., botdock_cache_...
    anything.else             botdock_plugin_operations_total{operation="anything.else"}, ...

Names of metrics never come from what was recorded, labels do: so there are as many metrics as stand here, whatever
plugins record.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from botdock.model.metrics import OTHER

if TYPE_CHECKING:
    from botdock.model import OperationStats
    from botdock.model.metrics import Labels, Series

OPERATIONS = ("container", "storage", "log", "cache")
"""Kinds whose second word is the operation."""
PLUGIN = "plugin"
"""The kind of everything that botdock itself does not record."""
_OURS = frozenset({"operation", "phase", "result", "le"})
"""Labels that have a meaning of their own here."""


@attrs.frozen
class Row:
    """One series of a kind.

    Attributes:
        labels: Values, in the order of the kind's names.
        stats: What was recorded.
    """

    labels: tuple[str, ...]
    stats: OperationStats


@attrs.frozen
class Kind:
    """All series of one kind; what several of them would be called alike is added up.

    Attributes:
        labels: Names of labels.
        rows: The series, sorted.
    """

    labels: tuple[str, ...]
    rows: tuple[Row, ...]


def sort_out(operations: Mapping[Series, OperationStats]) -> dict[str, Kind]:
    """Return what was recorded, by kind; `OTHER` is none of them."""
    found: dict[str, list[tuple[dict[str, str], OperationStats]]] = {}
    for (name, labels), stats in operations.items():
        if (name, labels) != OTHER:
            kind, own = _kind(name)
            found.setdefault(kind, []).append((own | _named(labels), stats))
    return {kind: _table(kind, series) for kind, series in found.items()}


def _kind(name: str) -> tuple[str, dict[str, str]]:
    first, dot, rest = name.partition(".")
    if name == "execution":
        return name, {}
    if first == "phase" and rest:
        return first, {"phase": rest}
    if first in OPERATIONS and dot:
        return first, {"operation": rest}
    return PLUGIN, {"operation": name}


_FIXED = {"execution": ("engine", "runtime", "outcome"), "phase": ("phase", "engine", "runtime")}


def _table(kind: str, series: Iterable[tuple[dict[str, str], OperationStats]]) -> Kind:
    series = list(series)
    fixed = _FIXED.get(kind, ("operation",))
    more = sorted({name for labels, _ in series for name in labels} - set(fixed))
    names = (*fixed, *more)
    rows: dict[tuple[str, ...], OperationStats] = {}
    for labels, stats in series:
        values = tuple(labels.get(name, "") for name in names)
        rows[values] = rows[values].plus(stats) if values in rows else stats
    return Kind(names, tuple(Row(values, rows[values]) for values in sorted(rows)))


def _named(labels: Labels) -> dict[str, str]:
    return {_label(name): value for name, value in labels}


def _label(name: str) -> str:
    """Return `name` as Prometheus allows it; names that begin with `__` are its own."""
    allowed = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    return f"label_{allowed}" if name in _OURS or not allowed[:1].isalpha() else allowed
