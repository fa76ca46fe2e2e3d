"""How a bot is started: the files that stand beside its code, and the result that comes back.

Names are imported on first use: a runtime needs one of them when plugins are looked for.
"""

from typing import TYPE_CHECKING

from botdock._lazy import importing as _importing

if TYPE_CHECKING:
    from botdock.entrypoints.context import (
        MAX_ENVIRONMENT_BYTES,
        environment_of,
        shell_entrypoint,
        wrapper_entrypoint,
        write_context,
    )
    from botdock.entrypoints.program import EntrypointManager, write_program
    from botdock.entrypoints.result import (
        ENVELOPE_VERSION,
        NOT_WRITTEN,
        ResultReading,
        begin_result,
        most_bytes,
        read_result,
    )

_HOMES = {
    "context": "MAX_ENVIRONMENT_BYTES environment_of shell_entrypoint wrapper_entrypoint write_context",
    "program": "EntrypointManager write_program",
    "result": "ENVELOPE_VERSION NOT_WRITTEN ResultReading begin_result most_bytes read_result",
}
"""Which names live in which module."""

__all__ = [
    "ENVELOPE_VERSION",
    "MAX_ENVIRONMENT_BYTES",
    "NOT_WRITTEN",
    "EntrypointManager",
    "ResultReading",
    "begin_result",
    "environment_of",
    "most_bytes",
    "read_result",
    "shell_entrypoint",
    "wrapper_entrypoint",
    "write_context",
    "write_program",
]


if not TYPE_CHECKING:  # a type checker is to see unknown names as errors
    __getattr__ = _importing(__name__, _HOMES)
