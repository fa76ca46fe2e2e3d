"""The two classes that all others descend from."""

from __future__ import annotations

from typing import Any, ClassVar

EXIT_USAGE = 2
EXIT_INFRASTRUCTURE = 125


class BotdockError(Exception):
    """The base of all errors of botdock.

    Attributes:
        message: What went wrong, and where it came from; one or two lines.
        hint: How to mend it, or None where nobody can know.
        phase: The phase of the execution that failed, once the orchestrator has seen the error.
        execution_id: The execution it belongs to, if there is one.
    """

    exit_code: ClassVar[int] = EXIT_INFRASTRUCTURE
    """What a command line exits with: 2 where the caller can mend it, 125 where botdock failed."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.phase: str | None = None
        self.execution_id: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Be copied and pickled whole, whatever the constructor asks for: errors cross pools of processes."""
        return _bare, (type(self), self.args), self.__dict__

    def __str__(self) -> str:
        """Return the message and, after it, the hint."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message


def _bare(kind: type[BotdockError], args: tuple[Any, ...]) -> BotdockError:
    return kind.__new__(kind, *args)


class UserError(BotdockError):
    """The caller asked for something that cannot be; changing the request mends it."""

    exit_code = EXIT_USAGE
