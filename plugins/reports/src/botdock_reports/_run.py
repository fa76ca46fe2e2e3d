"""One run in a report: what is known of it, what it returned, and the end of its log."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from botdock.errors import LogError
from botdock.executions import Executions

LOG_LINES = 200
"""Lines of a log's end in a report."""
MAX_CONFIG = 50
"""Values of a config in a report."""

_SECRET = re.compile(r"key|secret|token|passw|credential|auth|private", re.IGNORECASE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@attrs.frozen(kw_only=True)
class Run:
    """One column of a report.

    Attributes:
        name: At its head, such as the bot's id.
        execution_id: The run; empty where there is none. Tells runs of one name apart.
        value: What it returned; None for nothing.
        facts: What else is known of it, by what it is called.
        log: The end of its log, a line each.
    """

    name: str
    execution_id: str = ""
    value: Any = None
    facts: Mapping[str, str] = attrs.Factory(dict)
    log: Sequence[str] = ()


def run_of(executions: Executions, name: str) -> Run:
    """Return what a report shows of an execution, from the state folder alone, also while it runs.

    Args:
        executions: Where it is looked for.
        name: An execution id, the beginning of one, a container's id, or a bot's id, which means its newest execution.

    Raises:
        UserError: The execution is not known.
        BotdockError: Its result cannot be read.
    """
    record = executions.get(name)
    known = executions.inspect(record.execution_id)
    end, request = known["end"] or {}, known["request"] or {}
    facts = {
        "Outcome": record.outcome or record.state,
        "Error": record.error,
        "Exit code": "" if record.exit_code is None else str(record.exit_code),
        "Entrypoint": record.entrypoint,
        "Runtime": record.runtime,
        "Engine": record.engine,
        "Image": str(end.get("image") or ""),
        "Code": str(request.get("file_path") or ""),
        "Started": f"{record.started_at:%Y-%m-%d %H:%M:%S} UTC" if record.started_at else "",
        "Duration": f"{end['duration_seconds']:,.1f} s" if end.get("duration_seconds") is not None else "",
        "Execution": record.execution_id,
        **_config(request.get("config")),
    }
    return Run(
        name=record.id,
        execution_id=record.execution_id,
        value=executions.result(record.execution_id) if record.outcome else None,
        facts={label: text for label, text in facts.items() if text},
        log=_log(executions, record.execution_id),
    )


def _config(given: Any) -> dict[str, str]:
    """Return the values of a config that compare: not what looks like a secret, for a report is passed on."""
    config = given if isinstance(given, Mapping) else {}
    shown = {name: value for name, value in config.items() if not isinstance(value, dict | list)}
    return {
        f"config {name}": "***" if _SECRET.search(name) else str(value) for name, value in [*shown.items()][:MAX_CONFIG]
    }


def _log(executions: Executions, execution_id: str) -> list[str]:
    try:
        return [_COLOUR.sub("", line.text) for line in executions.logs(execution_id, tail=LOG_LINES)]
    except LogError:  # it has none, or what is left of it cannot be read: the rest of the report can
        return []
