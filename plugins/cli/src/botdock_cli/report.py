"""Errors, as a person wants to read them, and as a shell wants to count them."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing's own takes longer to import than all of this
if TYPE_CHECKING:
    from botdock.errors import BotdockError

EXIT_BUG = 125
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
"""128 + SIGPIPE: what a shell reports of any program whose reader went away."""


def say(text: str, *, folds: bool = True) -> None:
    """Write one message of botdock's own to stderr: `botdock: text`, its further lines indented.

    A reader that went away is not a reason to fail. What a terminal would obey is shown as an escape.

    Args:
        text: The message.
        folds: Whether a line that is wider than the terminal goes on below, as text does.
    """
    from botdock_cli.layout import columns_of, wrapped

    width = columns_of(sys.stderr) if folds else None
    lines: list[str] = []
    for line in printable(text).splitlines() or [""]:
        indent = "  " if lines else "botdock: "
        lines += wrapped(line, width, first=indent, rest="  ")
    try:
        sys.stderr.write("\n".join(lines) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # gone, closed, or never there
        return


def printable(text: str, *, keep: str = "\n") -> str:
    """Return `text` with all escaped that a terminal would obey, but for `keep`.

    All messages of botdock's own pass here: names, errors and keys are a stranger's.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in keep else ascii(character)[1:-1] for character in text
    )


class InterruptedCommandError(Exception):
    """A signal ended a command, which has cleaned up.

    Args:
        text: What a person is told.
        exit_code: 128 and the signal's number.
    """

    def __init__(self, text: str, exit_code: int = EXIT_INTERRUPTED) -> None:
        super().__init__(text)
        self.text = text
        self.exit_code = exit_code


class PrintedError(Exception):
    """Its cause has a place in the document on stdout already; only a person is still to be told."""


def report(error: BaseException, *, debug: bool, as_json: bool = False, args: list[str] | None = None) -> int:
    """Tell a person about `error` on stderr, and return what to exit with.

    Args:
        error: What was raised.
        debug: Whether its traceback is shown.
        as_json: Whether stdout gets it too, as a document on one line.
        args: The words of the command line, for what may have been meant.
    """
    if isinstance(error, PrintedError) and error.__cause__ is not None:
        error, as_json = error.__cause__, False
    if debug:
        import traceback

        say("".join(traceback.format_exception(error)), folds=False)
    failure = _failure(error, debug=debug, args=args)
    if as_json:
        from botdock_cli.output import print_document

        print_document(_as_document(failure))
    *others, last = failure.problems
    for problem in [*others, f"{last}\n{failure.hint}" if failure.hint else last]:
        say(problem)
    return failure.exit_code


def error_document(error: BaseException) -> dict[str, object]:
    """Return what `--json` shows of an error; see docs/reference/errors-as-json.md."""
    return _as_document(_failure(error, debug=True))


class _Failure:
    """What is told of an error."""

    __slots__ = ("error_class", "execution_id", "exit_code", "hint", "phase", "problems")

    def __init__(self, error_class: str, problems: list[str], hint: str | None, exit_code: int) -> None:
        self.error_class = error_class
        self.problems = problems
        self.hint = hint
        self.exit_code = exit_code
        self.phase: str | None = None
        self.execution_id: str | None = None


def _as_document(failure: _Failure) -> dict[str, object]:
    told = {name: getattr(failure, name) for name in _Failure.__slots__}
    return {"schema": 1, "error": "\n".join(failure.problems), **told}


def _failure(error: BaseException, *, debug: bool, args: list[str] | None = None) -> _Failure:
    from botdock.errors import BotdockError

    name = type(error).__name__
    if isinstance(error, InterruptedCommandError):
        return _Failure("Interrupted", [error.text], None, error.exit_code)
    if isinstance(error, KeyboardInterrupt) or is_interrupt(error):
        return _Failure("Interrupted", ["interrupted"], None, EXIT_INTERRUPTED)
    if isinstance(error, BotdockError):
        return _ours(error)
    if is_usage_error(error):
        return _usage(error, args or [])
    shows_more = None if debug else "BOTDOCK_DEBUG=1 shows the traceback."
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return _Failure(name, [f"{error.strerror or name}{where}"], shows_more, EXIT_BUG)
    please = "This is a bug in botdock or in a plugin; please report it with the traceback."
    return _Failure(name, [f"unexpected {name}: {error}"], "\n".join(filter(None, (please, shows_more))), EXIT_BUG)


def is_interrupt(error: BaseException) -> bool:
    """Whether `error` is what Python 3.11 makes of an interrupt that comes while a class is being made."""
    return isinstance(error.__cause__, KeyboardInterrupt)


def is_usage_error(error: BaseException) -> bool:
    """Whether click refused the command line; click itself is not asked, for its import may be what failed."""
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _ours(error: BotdockError) -> _Failure:
    problems: list[str] = list(getattr(error, "problems", ())) or [error.message]
    if error.phase and error.exit_code == EXIT_BUG:
        execution = f", execution: {error.execution_id}" if error.execution_id else ""
        problems[0] += f" (phase: {error.phase}{execution})"
    failure = _Failure(type(error).__name__, problems, error.hint, error.exit_code)
    failure.phase, failure.execution_id = error.phase, error.execution_id
    return failure


def _usage(error: BaseException, args: list[str]) -> _Failure:
    from botdock_cli.habits import hint_for

    message: str = error.format_message()  # type: ignore[attr-defined] # asked for by is_usage_error
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", "botdock")
    code: int = error.exit_code  # type: ignore[attr-defined] # asked for by is_usage_error
    known = hint_for(error, args)  # type: ignore[arg-type] # asked for by is_usage_error
    if known:  # what click takes for near is far from it
        message = message.partition(" (Did you")[0].partition(" Did you")[0]
    return _Failure("UsageError", [message], known or f"`{command} --help` shows what there is.", code)
