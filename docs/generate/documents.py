"""The JSON documents: what each holds, most of it told by the class whose attributes it shows."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import attrs
from schemas import Schema, closed, fields, in_words, meanings, ref, said, several, typed

from botdock.executions import ExecutionRecord, Finding
from botdock.factory import Explanation
from botdock.model import Check, ExecutionResult, GapReason, LogSummary, Notification, ObjectInfo, OperationStats
from botdock.orchestrator import Leftover
from botdock.orchestrator.retention import Removed
from botdock.plugin_manager import PluginRecord
from botdock.pool import PoolReport, PoolStatus

_SCHEMA = {"schema": {"const": 1, "description": "The version of the document's form."}}
_RESULT = ("execution_id", "id", "runtime", "engine", "entrypoint", "outcome", "exit_code", "error", "evidence")
_TIMES = ("started_at", "finished_at", "phases", "container_id", "image", "image_digest", "log")
_RECORD = tuple(field.name for field in attrs.fields(ExecutionRecord) if field.name != "directory")
_END = {
    **_SCHEMA,
    **fields(ExecutionResult, *_RESULT),
    "duration_seconds": said(meanings(ExecutionResult)["duration"], float),
    **fields(ExecutionResult, *_TIMES),
}
_EXECUTION = {
    **_SCHEMA,
    **fields(ExecutionRecord, *_RECORD),
    "waits_for": said("Why its engine has not started it yet, in its words; empty where nothing hinders it.", str),
    "crash_loop": said("Whether it is the next of a bot that fails again and again; see `supervisor.stable`.", bool),
}
_FAILURE = {
    "error_class": said("The class of `botdock.errors` or of Python, `UsageError`, or `Interrupted`."),
    "problems": said("The message as a list: a wrong configuration or executable has several.", list[str]),
    "hint": said("What mends it.", str | None),
}
_MOMENT = "RFC 3339 in UTC, with nanoseconds; null where it is not known."
_STREAM = said("Of which stream.", {"enum": ["stdout", "stderr"]})

DEFINITIONS: dict[str, Schema] = {
    "Result": closed(
        "How one run went: `run`, and in a list `recover`. One that ended with an error has the last three keys too.",
        {**_END, "value": said("What the bot returned; any JSON.", Any), **_FAILURE},
        optional=(*_FAILURE,),
    ),
    "End": closed("`outcome.json` of the state folder: a result without its value, which `result.json` has.", _END),
    "Execution": closed(
        "One execution, as `start` prints it, and in a list `ps`, `wait`, `stop` and `rm`.", _EXECUTION
    ),
    "Inspection": closed(
        "All that is known of an execution: `inspect`; of several, a list.",
        {
            **_EXECUTION,
            "directory": said("Its folder."),
            "request": said("What was asked for; of secrets only the names.", dict[str, Any] | None),
            "run": said("What a successor must know, while it runs.", dict[str, Any] | None),
            "end": {**ref("End", nullable=True), "description": "How it ended."},
            "events": {**several("Event"), "description": "Its steps."},
        },
    ),
    "Event": {
        **closed(
            "A line of `events.jsonl` of the state folder; what else it has depends on the event.",
            {
                "event": said("What happened."),
                "time_ns": said("When, in nanoseconds since 1970.", int),
                "monotonic_ns": said("The same on the clock that no one sets.", int),
            },
        ),
        "additionalProperties": True,
    },
    "Value": closed(
        "What a bot returned: `result`; of several, a list.",
        {**_SCHEMA, **fields(ExecutionResult, "execution_id", "id", "outcome"), "value": said("Any JSON.", Any)},
    ),
    "Report": closed(
        "What `report` wrote.",
        {
            **_SCHEMA,
            "file": said("The page."),
            "executions": said("Those that it shows.", list[str]),
            "faults": said(
                "The parts of their values that do not have their form: `where`, `problem`, `hint`.",
                dict[str, list[dict[str, str]]],
            ),
        },
    ),
    "Line": closed(
        "A line of `logs`; where bytes are missing, a gap stands in its place.",
        {
            "time": said(_MOMENT, str | None),
            "stream": _STREAM,
            "text": said("The line without its newline, what is not UTF-8 replaced."),
            "complete": said("Whether a newline ended it.", bool),
            "base64": said("Its exact bytes; only where they are not UTF-8."),
        },
        optional=("base64",),
    ),
    "Gap": closed(
        "Bytes that are missing in what `logs` shows.",
        {
            "time": said(_MOMENT, str | None),
            "stream": _STREAM,
            "gap": said("Why: the engine had it no longer, the output limit, retention.", typed(GapReason)),
            "bytes": said("How many; null where that is not known.", int | None),
            "since": said(_MOMENT, str | None),
            "until": said(_MOMENT, str | None),
        },
    ),
    "LogCheck": closed(
        "What `logs --verify` found.",
        {
            **_SCHEMA,
            **fields(ExecutionResult, "execution_id"),
            "ok": said("Whether nothing differs, in the storage's copy neither.", bool),
            "ended": said("Whether the log has ended.", bool),
            "records": said("How many records of its index were checked.", int),
            **fields(LogSummary, "complete", "segments", "bytes", "lines", "sha256", "streams", "gaps", "gap_bytes"),
            **fields(LogSummary, "masked"),
            "findings": {**several("Finding"), "description": "What differs."},
            "storage": said("What the storage has of it; null where nothing was stored.", dict[str, Any] | None),
        },
    ),
    "LogSummary": closed("What is stored of a log, with its proof.", fields(LogSummary)),
    "Finding": closed("One thing that is not as it was stored.", fields(Finding)),
    "Handover": closed(
        "What `supervise` prints when it has handed over.",
        {**_SCHEMA, "home": said("The state folder."), "pid": said("Its process.", int)},
    ),
    "Created": closed(
        "What `new` wrote.",
        {
            **_SCHEMA,
            "kind": said("As it was asked for."),
            "name": said("As it was asked for."),
            "folder": said("Where."),
            "files": said("Its files, below the folder.", list[str]),
            "next": said("What to do next.", list[str]),
        },
    ),
    "Plugin": closed("A plugin, in the list of `plugins`.", {**_SCHEMA, **fields(PluginRecord)}),
    "Doctor": closed(
        "What `doctor` saw.",
        {
            **_SCHEMA,
            "checks": {**several("Check"), "description": "Each thing that was looked at."},
            "ok": said("Whether none failed.", bool),
        },
    ),
    "Check": closed("One thing that was looked at.", fields(Check)),
    "Explanation": closed(
        "What `explain` says of a run.",
        {
            **_SCHEMA,
            "values": said(meanings(Explanation)["values"], dict[str, dict[str, Any]]),
            "variables": said(meanings(Explanation)["variables"], dict[str, str]),
            "template": said(meanings(Explanation)["template"], dict[str, Any] | None),
            "pool": said("Whether a container that waits would take it (`warm`), and else `why` not.", dict[str, Any]),
            "enforced": said("What the engine enforces; null where it was not asked.", list[str] | None),
            "refusals": said(meanings(Explanation)["refusals"], list[dict[str, Any]]),
            "unknown": said(meanings(Explanation)["unknown"], list[str]),
            "policies": said(meanings(Explanation)["policies"], list[str]),
        },
    ),
    "PoolReport": closed("What one runner keeps waiting, in the list of `pool`.", {**_SCHEMA, **fields(PoolReport)}),
    "PoolStatus": closed("What is kept waiting of one template.", fields(PoolStatus)),
    "Metrics": closed(
        "What all runners of the state folder counted: `metrics`.",
        {
            **_SCHEMA,
            "since": said("Since when.", datetime),
            "taken_at": said("Until when.", datetime),
            "reset": said("Whether it was forgotten afterwards.", bool),
            "runners": said("How many runners counted.", int),
            "operations": {**several("Operation"), "description": "What was counted, by operation and labels."},
        },
    ),
    "Operation": closed(
        "What was counted of one operation under one set of labels.",
        {
            "operation": said("What was done, such as `container.create`."),
            "labels": said("Of what.", dict[str, str]),
            **fields(OperationStats, "count", "errors", "bytes", "seconds"),
            "timed": said("How many were timed.", int),
            **{f"p{share}_seconds": said(f"{share} % took no longer.", float | None) for share in (50, 95, 99)},
            "buckets": said("How many took no longer than so many seconds, by those.", dict[str, int]),
        },
    ),
    "Removed": closed("What `gc` removed, or would, in a list.", {**_SCHEMA, **fields(Removed)}),
    "Leftover": closed("What `recover --dry-run` would do, in a list.", {**_SCHEMA, **fields(Leftover)}),
    "Archive": closed(
        "What `pack` made.",
        {
            **_SCHEMA,
            "path": said("The file; null where it went to the storage alone.", str | None),
            "format": said("Such as `zip`."),
            "entries": said("Files, folders and links.", int),
            "bytes": said("Of the files, unpacked.", int),
            "size": said("Of the archive.", int),
            "sha256": said("Of the archive."),
            "left_out": said("What is not code, and so not in it.", list[str]),
            "key": said("With `--put`: where it is in the storage."),
            "etag": said("With `--put`: what the storage calls this content."),
        },
        optional=("key", "etag"),
    ),
    "Object": closed(
        "An object: `storage stat`, `storage put`, in a list `storage ls`.", {**_SCHEMA, **fields(ObjectInfo)}
    ),
    "Fetched": closed(
        "What `storage get` wrote.",
        {**_SCHEMA, **fields(ObjectInfo, "key", "size"), "path": said("The file.")},
    ),
    "Deleted": closed(
        "What `storage rm` did.",
        {
            **_SCHEMA,
            "deleted": said("How many objects.", int),
            "failures": said("Those that could not be deleted: `key` and `reason`.", list[dict[str, str]]),
        },
    ),
    "ConfigFiles": closed(
        "Which file holds: `config --path`. `config --json` has the settings, by section and key.",
        {
            **_SCHEMA,
            "path": said("The one that wins; null for none.", str | None),
            "candidates": said(
                "Where one may be: `source`, `path`, `exists`, `used`, `ignored`.", list[dict[str, Any]]
            ),
        },
    ),
    "Trust": closed(
        "What `config trust` has done.",
        {**_SCHEMA, "file": said("The file."), "trusted": said("Whether it is trusted now.", bool)},
    ),
    "Error": closed(
        "What went wrong, of any verb with `--json`; see [errors as JSON](errors-as-json.md).",
        {
            **_SCHEMA,
            "error": said("The message: all problems, a line each."),
            **_FAILURE,
            "exit_code": said("What the command exits with.", int),
            "phase": said("The phase of the run that failed.", str | None),
            "execution_id": said("The run.", str | None),
        },
    ),
    "Notification": closed(
        "What `notify.command` gets on stdin, and `notify.webhook` by POST.", {**_SCHEMA, **fields(Notification)}
    ),
}


def schema_of(definition: str) -> Schema:
    """Return the whole schema of one document."""
    return {"$schema": "http://json-schema.org/draft-07/schema#", **ref(definition), "definitions": DEFINITIONS}


def page() -> str:
    """Return the page of the documents."""
    lines = _PAGE.splitlines()
    for name, schema in DEFINITIONS.items():
        lines += ["", f"## {name}", "", schema["description"], "", "| key | type | meaning |", "|---|---|---|"]
        for key, value in schema["properties"].items():
            meaning = value["description"].replace("|", "\\|")
            left_out = "" if key in schema["required"] else ", or absent"
            lines.append(f"| `{key}` | {in_words(value)}{left_out} | {meaning} |")
    return "\n".join(lines)


_PAGE = """# JSON documents

What botdock prints with `--json`, and what it tells other programs. [documents.json](documents.json) has all of it as
a JSON Schema (draft 7), each document below `definitions`. An object has the keys that are listed and no others; a
program should ignore what it does not know, for later versions may add keys without another number in `schema`.
"""


def all_schemas() -> str:
    """Return the file of the schemas."""
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "The JSON documents of botdock"}
    return json.dumps({**head, "definitions": DEFINITIONS}, indent=2)
