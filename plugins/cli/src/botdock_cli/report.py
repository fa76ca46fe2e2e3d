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


def say(text: str) -> None:
    """Write one message of botdock's own to stderr: `botdock: text`, its further lines indented.

    A reader that went away is not a reason to fail. What a terminal would obey is shown as an escape.
    """
    first, *rest = printable(text).splitlines() or [""]
    lines = [f"botdock: {first}", *(f"  {line}" for line in rest)]
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


def report(error: BaseException, *, debug: bool) -> int:
    """Tell a person about `error`, and return what to exit with."""
    if debug:
        import traceback

        say("".join(traceback.format_exception(error)))
    from botdock.errors import BotdockError

    if isinstance(error, BotdockError):
        return _report_ours(error)
    if is_usage_error(error):
        return _report_usage(error)
    if isinstance(error, OSError):
        say(_os_error(error) + _debug_hint(debug=debug))
        return EXIT_BUG
    say(
        f"unexpected {type(error).__name__}: {error}\nThis is a bug in botdock or in a plugin; "
        f"please report it with the traceback.{_debug_hint(debug=debug)}"
    )
    return EXIT_BUG


def report_interrupt() -> int:
    """Tell a person that nothing more is done, and return what to exit with."""
    say("interrupted")
    return EXIT_INTERRUPTED


def is_interrupt(error: BaseException) -> bool:
    """Whether `error` is what Python 3.11 makes of an interrupt that comes while a class is being made."""
    return isinstance(error.__cause__, KeyboardInterrupt)


def is_usage_error(error: BaseException) -> bool:
    """Whether click refused the command line; click itself is not asked, for its import may be what failed."""
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _report_ours(error: BotdockError) -> int:
    problems: list[str] = list(getattr(error, "problems", ())) or [error.message]
    if error.phase and error.exit_code == EXIT_BUG:
        problems[0] += f" (phase: {error.phase}{_execution(error)})"
    if error.hint:
        problems[-1] += f"\n{error.hint}"
    for problem in problems:
        say(problem)
    return error.exit_code


def _execution(error: BotdockError) -> str:
    return f", execution: {error.execution_id}" if error.execution_id else ""


def _report_usage(error: BaseException) -> int:
    message: str = error.format_message()  # type: ignore[attr-defined] # asked for by is_usage_error
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", "botdock")
    say(f"{message}\n`{command} --help` shows what there is.")
    code: int = error.exit_code  # type: ignore[attr-defined] # asked for by is_usage_error
    return code


def _os_error(error: OSError) -> str:
    where = f": {error.filename}" if error.filename else ""
    return f"{error.strerror or type(error).__name__}{where}"


def _debug_hint(*, debug: bool) -> str:
    return "" if debug else "\nBOTDOCK_DEBUG=1 shows the traceback."
