"""What a container of the fake engine does."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import attrs

from botdock.entrypoints import ENVELOPE_VERSION
from botdock.model import LogChunk, Stream
from botdock_testing.program import Program

Step: TypeAlias = LogChunk | float
"""A piece of output, or a pause in seconds."""


def envelope(content: bytes = b"", **header: Any) -> bytes:
    """Return a result file as a wrapper writes it, around the JSON text of a value; `header` adds to its header."""
    known = {"botdock": ENVELOPE_VERSION, "exit_code": 0, "value_bytes": len(content)}
    return json.dumps(known | header).encode() + b"\n" + content


@attrs.frozen(kw_only=True)
class Script:
    r"""What a container does once it is started.

    Example:
        >>> Script(output=(Script.out(b"hi\n"), 0.01, Script.err(b"oops\n")), exit_code=1).exit_code
        1

    Attributes:
        output: What it writes, with pauses between.
        exit_code: What it exits with; None for one that is not known.
        signal: The signal that ends it, if one does.
        oom_killed: Whether the kernel killed some process of it for memory.
        error: What the engine says about its end.
        result: What it writes into its result file when the output is out; None for nothing.
        forever: Whether it then goes on until it is stopped, removed or ended by `FakeEngine.finish`.
        ignores_term: Whether SIGTERM means nothing to it.
        farewell: What it writes to stdout on SIGTERM, before it exits with 3; None for no handler.
        shows_environment: Whether it begins by printing its environment, one `NAME=value` a line.
        start_error: Why it cannot be started; empty when it can.
    """

    output: tuple[Step, ...] = ()
    exit_code: int | None = 0
    signal: int | None = None
    oom_killed: bool = False
    error: str = ""
    result: bytes | None = None
    forever: bool = False
    ignores_term: bool = False
    farewell: bytes | None = None
    shows_environment: bool = False
    start_error: str = ""

    @staticmethod
    def out(data: bytes) -> LogChunk:
        """Return a step that writes `data` to stdout."""
        return LogChunk(Stream.STDOUT, data)

    @staticmethod
    def err(data: bytes) -> LogChunk:
        """Return a step that writes `data` to stderr."""
        return LogChunk(Stream.STDERR, data)

    @classmethod
    def returning(cls, value: Any, *lines: str, **fields: Any) -> Script:
        """Return the script of a bot that prints lines, and whose `main` returns a value, as JSON can hold it.

        Its runtime must be one with a wrapper, such as Python or Node; `fields` are others of a script.
        """
        output = tuple(cls.out(f"{line}\n".encode()) for line in lines)
        return cls(output=output, result=envelope(json.dumps(value).encode()), **fields)

    @classmethod
    def of(cls, program: Program) -> Script:
        """Return the script that does what `program` does."""
        written = (cls.out(program.stdout), cls.err(program.stderr))
        return cls(
            output=tuple(chunk for chunk in written if chunk.data),
            exit_code=program.exit_code,
            result=program.result or None,
            forever=program.forever,
            ignores_term=program.ignores_term,
            farewell=program.farewell,
            shows_environment=program.shows_environment,
            start_error="no such program" if program.missing else "",
        )
