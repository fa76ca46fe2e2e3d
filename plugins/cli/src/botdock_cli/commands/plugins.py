"""`botdock plugins`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botdock_cli.commands import verb
from botdock_cli.options import json_option
from botdock_cli.output import aligned, print_json, print_text
from botdock_cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botdock.plugin_manager import PluginManager, PluginRecord

HELP = """A plugin is a Python package that names itself in the entry-point group `botdock`. One that does not load
never hides the others.

\b
Exit codes: 0; 2 when the configuration is wrong."""

_LOADED = "loaded"
_HEADINGS = ("KIND", "NAME", "DISTRIBUTION", "VERSION", "SUMMARY")


@verb("plugins", HELP)
@json_option
def command(session: Session, *, as_json: bool) -> int:
    """List the plugins."""
    return print_json(as_document(session.plugins)) if as_json else print_text(as_text(session.plugins))


def as_document(manager: PluginManager) -> list[dict[str, Any]]:
    """Return one object for each plugin."""
    return [
        {
            "name": record.name,
            "distribution": record.distribution,
            "version": record.version,
            "module": record.module,
            "stage": str(record.stage),
            "reason": record.reason,
            "provides": list(record.provides),
        }
        for record in manager.records
    ]


def as_text(manager: PluginManager) -> Iterator[str]:
    """Yield a table of what can be used, and below it what cannot, with the reason."""
    summaries = _summaries(manager)
    rows = [row for record in manager.records for row in _rows(record, summaries)]
    if rows:
        yield from aligned([_HEADINGS, *sorted(rows)])
    else:
        yield 'no plugin is installed; `pip install "botdock[standard]"` brings the bundled ones'
    odd = [record for record in manager.records if record.stage != _LOADED or record.reason]
    if odd:
        yield ""
        yield from (_problem(record) for record in odd)


def _summaries(manager: PluginManager) -> dict[str, str]:
    """Return what each object says of itself, by the key that records have for it."""
    kinds: dict[str, Mapping[str, Any]] = {
        "runtime": manager.runtimes(),
        "engine": manager.engines(),
        "storage": manager.storage_backends(),
        "sink": manager.log_sinks(),
        "exporter": manager.metrics_exporters(),
    }
    return {f"{kind}:{name}": _summary(item) for kind, items in kinds.items() for name, item in items.items()}


def _summary(item: Any) -> str:
    aliases = getattr(item, "aliases", ())
    also = f"(also {', '.join(aliases)})" if aliases else ""
    return f"{item.summary} {also}".strip()


def _rows(record: PluginRecord, summaries: dict[str, str]) -> Iterator[tuple[str, ...]]:
    for provided in record.provides:
        kind, _, name = provided.partition(":")
        yield kind, name, record.distribution, record.version, summaries.get(provided, "")


def _problem(record: PluginRecord) -> str:
    word = "not loaded" if record.stage != _LOADED else "loaded, but"
    where = f"{record.name} ({f'{record.distribution} {record.version}'.strip()})"
    return f"{word}: {where}: {record.stage}: {record.reason}"
