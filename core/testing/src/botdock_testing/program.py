"""What a container is to do in a test, described once: a real engine runs it as a shell script, the fake plays it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from botdock.model.runtime import ENTRYPOINT_SCRIPT

if TYPE_CHECKING:
    from collections.abc import Iterator

FAREWELL_EXIT_CODE = 3
"""What a program with a farewell exits with."""

NO_SUCH_PROGRAM = "/botdock/no-such-program"
"""A command that no image holds."""


@attrs.frozen(kw_only=True)
class Program:
    """A program of a test: it writes stdout, then stderr, then its result, waits if it is to, and exits.

    Attributes:
        stdout: Bytes it writes to stdout.
        stderr: Bytes it writes to stderr, after those.
        result: Bytes it writes into the result file.
        exit_code: What it exits with.
        forever: Whether it then goes on until it is stopped.
        ignores_term: Whether SIGTERM means nothing to it.
        farewell: What it writes to stdout on SIGTERM, before it exits with `FAREWELL_EXIT_CODE`; None for no handler.
        shows_environment: Whether it begins by printing its environment, one `NAME=value` a line.
        fills: A folder in which it first makes a file; it exits with 1 where it cannot. Empty for none.
        missing: Whether there is no such program.
    """

    stdout: bytes = b""
    stderr: bytes = b""
    result: bytes = b""
    exit_code: int = 0
    forever: bool = False
    ignores_term: bool = False
    farewell: bytes | None = None
    shows_environment: bool = False
    fills: str = ""
    missing: bool = False

    def command(self, program: str, result: str) -> tuple[str, ...]:
        """Return the command, which ends in the context folder, where it sees its program and its result file there."""
        if self.missing:
            return (NO_SUCH_PROGRAM,)
        return ("/bin/sh", f"{program}/{ENTRYPOINT_SCRIPT}", result)

    def write(self, program: Path, context: Path) -> None:
        """Write the shell script into the program folder, and the data that it prints into the context folder."""
        files = {"stdout": self.stdout, "stderr": self.stderr, "result": self.result, "farewell": self.farewell or b""}
        script = "".join(f"{line}\n" for line in self._lines()).encode()
        for path, data in ((program / ENTRYPOINT_SCRIPT, script), *((context / name, files[name]) for name in files)):
            path.write_bytes(data)
            path.chmod(0o644)  # the bot is another user

    def _lines(self) -> Iterator[str]:
        yield "result=$1 files=$2"
        if self.ignores_term:
            yield "trap '' TERM"
        elif self.farewell is not None:
            yield f"trap 'cat \"$files/farewell\"; exit {FAREWELL_EXIT_CODE}' TERM"
        if self.fills:
            yield f"(umask 377 && : >{self.fills}/file) || exit 1"
        if self.shows_environment:
            yield "env"
        for name, target in (("stdout", ""), ("stderr", " >&2"), ("result", ' >"$result"')):
            if getattr(self, name):
                yield f'cat "$files/{name}"{target}'
        if self.forever:
            yield "while :; do sleep 1 & wait $!; done"  # `wait` lets a trap run at once; a foreground sleep would not
        yield f"exit {self.exit_code}"
