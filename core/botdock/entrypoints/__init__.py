"""How a bot is started: the files that stand beside its code, and the result that comes back."""

from botdock.entrypoints.context import (
    MAX_ENVIRONMENT_BYTES,
    begin_result,
    config_text,
    context_document,
    environment_of,
    write_context,
)
from botdock.entrypoints.program import EntrypointManager, write_program
from botdock.entrypoints.result import ENVELOPE_VERSION, NOT_WRITTEN, ResultReading, most_bytes, read_result
from botdock.entrypoints.shell import shell_entrypoint, wrapper_entrypoint

__all__ = [
    "ENVELOPE_VERSION",
    "MAX_ENVIRONMENT_BYTES",
    "NOT_WRITTEN",
    "EntrypointManager",
    "ResultReading",
    "begin_result",
    "config_text",
    "context_document",
    "environment_of",
    "most_bytes",
    "read_result",
    "shell_entrypoint",
    "wrapper_entrypoint",
    "write_context",
    "write_program",
]
