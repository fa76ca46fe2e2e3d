"""What the end of an execution means for a shell, and for a person."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

from botdock.model import Outcome
from botdock.model.limits import SIZES
from botdock.model.units import format_bytes, parse_bytes
from botdock_cli.output import counted, format_seconds
from botdock_cli.report import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from botdock.model import ExecutionResult

EXIT_CODES = {
    Outcome.SUCCEEDED: 0,
    Outcome.TIMED_OUT: 124,  # as coreutils' timeout
    Outcome.OOM_KILLED: 137,  # 128 + SIGKILL, as Docker
    Outcome.STOPPED: 143,  # 128 + SIGTERM
    Outcome.OUTPUT_LIMIT: 1,
    Outcome.INFRASTRUCTURE_ERROR: 125,  # as `docker run`
    Outcome.LOST: 125,
}
"""Exit code of each outcome; `failed` and `signaled` have the bot's own."""

RECOVER = "`botdock recover` removes it; the next run tries to as well."
_SIGNAL_BASE = 128
_HIGHEST_CODE = 255
_BRIEF = 200
"""Characters that a value takes at most in the line after a run."""


def exit_code(result: ExecutionResult) -> int:
    """Return what `botdock run` exits with."""
    name = str(result.evidence.get("signal", ""))
    number = signal.Signals[name] if name in signal.Signals.__members__ else 0
    unknown = result.exit_code is None or not _SIGNAL_BASE < result.exit_code <= _HIGHEST_CODE
    if result.outcome is Outcome.SIGNALED and unknown and number:
        return _SIGNAL_BASE + number
    return exit_code_of(result.outcome, result.exit_code)


def exit_code_of(outcome: Outcome | None, code: int | None) -> int:
    """Return what `botdock run` exits with for an outcome and the bot's own code."""
    if outcome is Outcome.FAILED:
        return code if code and 0 < code <= _HIGHEST_CODE else 1
    if outcome is Outcome.SIGNALED:
        return code if code is not None and _SIGNAL_BASE < code <= _HIGHEST_CODE else 1
    return EXIT_CODES[outcome or Outcome.LOST]


_CURES = {
    Outcome.TIMED_OUT: "{timed_out}",
    Outcome.OOM_KILLED: "killed for using more memory than {memory}; raise it with --memory",
    Outcome.OUTPUT_LIMIT: "ended for writing more than {output} to stdout and stderr; raise it {raise_output}",
    Outcome.SIGNALED: "{error}, which botdock did not send",
    Outcome.INFRASTRUCTURE_ERROR: "botdock could not do its part: {error}\n`botdock doctor` says what works here.",
    Outcome.LOST: "how it ended is not known: {error}\n`botdock doctor` says what works here.",
}


_TIMED_OUT = {
    "wall": ("timed out after {} (wall time); raise it with {}", "timeout"),
    "start": ("timed out: it wrote nothing within {} of its start; raise it with {}", "start_timeout"),
    "silence": ("timed out: it wrote nothing for {}; raise it with {}", "silence_timeout"),
}
"""For each deadline what is said, and the bound that it is."""


def cure(result: ExecutionResult) -> str | None:
    """Say how the execution ended and what to do about it; None where the bot's own output and code say it all."""
    if result.outcome is Outcome.FAILED and _failed_silently(result):
        return f"failed: {result.error}"
    if result.outcome is None or result.outcome not in _CURES:
        return None
    timed_out, bound = _TIMED_OUT[str(result.evidence.get("timeout", "wall"))]
    by_manifest = _bounds(result).get("output", {}).get("source") == "manifest"
    return _CURES[result.outcome].format(
        timed_out=timed_out.format(_in_force(result, bound), f"--{bound.replace('_', '-')}"),
        memory=_in_force(result, "memory"),
        output=_in_force(result, "output"),
        raise_output="in its bot.toml" if by_manifest else "with --set runtime.limits.output=SIZE",
        error=result.error or "no reason is known",
    )


def _bounds(result: ExecutionResult) -> dict[str, dict[str, Any]]:
    """Return what bounded it, by name; see `Bound`."""
    found: dict[str, dict[str, Any]] = result.evidence.get("bounds", {})
    return found


def _in_force(result: ExecutionResult, name: str) -> str:
    value = _bounds(result).get(name, {}).get("value")
    if value is None:
        return "its limit"
    return format_seconds(value) if name.endswith("timeout") else format_bytes(value)


def _unmet(result: ExecutionResult) -> Iterator[str]:
    """Yield what its `bot.toml` asked for in vain, and the options with which the caller allows it."""
    asked = {name: bound for name, bound in _bounds(result).items() if "asked" in bound and name != "restart"}
    if asked:
        changes = (f"{n} {_typed(n, b['asked'])} and gets {_typed(n, b['value'])}" for n, b in asked.items())
        options = (f"{_option(name)}{_typed(name, bound['asked'])}" for name, bound in asked.items())
        yield f"its bot.toml asks for {', '.join(changes)}; if you trust it, allow that with {' '.join(options)}"


def _option(limit: str) -> str:
    from botdock_cli.request import OPTION_OF_FIELD

    option = OPTION_OF_FIELD.get(f"limits.{limit}")
    return f"{option} " if option else f"--set runtime.limits.{limit}="


def _typed(limit: str, value: float) -> str:
    """Return a limit as a user types it, exactly."""
    text = format_bytes(value).replace(" ", "")
    return text if limit in SIZES and parse_bytes(text) == value else str(value)


def _failed_silently(result: ExecutionResult) -> bool:
    """Whether the bot printed nothing about its failure: its code is 0, or what it returned is the failure."""
    declared = isinstance(result.value, dict) and result.value.get("status") == "error"
    return not result.exit_code or declared or "value_problem" in result.evidence


def summary(result: ExecutionResult) -> str:
    """Return the one line that a terminal shows after a run."""
    outcome = result.outcome.value if result.outcome else "running"
    value = "" if result.value is None else f", and returned {brief(result.value)}"
    whole = "" if result.value is None else f", `botdock result {result.execution_id}` all that it returned"
    log = f"`{logs_command(result)}` shows its log again"
    return f"{outcome} after {format_seconds(result.duration)}{value}; {log}{whole}"


def brief(value: object) -> str:
    """Return the beginning of a value as JSON of one line, with what a terminal would obey escaped."""
    text = ""
    for piece in json.JSONEncoder(ensure_ascii=False, default=str).iterencode(value):
        text += piece[:_BRIEF]
        if len(text) > _BRIEF:
            break
    shown = printable(text, keep="")
    return shown if len(shown) <= _BRIEF else f"{shown[: _BRIEF - 3]}..."


def logs_command(result: ExecutionResult) -> str:
    """Return the command that shows its log."""
    return f"botdock logs {result.execution_id}"


def notes(result: ExecutionResult) -> Iterator[str]:
    """Yield what its output does not show: a hint, limits in vain, what is left out, lost or left behind."""
    if hint := result.evidence.get("hint"):
        yield str(hint)
    yield from _unmet(result)
    if note := result.evidence.get("code"):
        yield f"code: {note}"
    yield from _losses(result)
    if problems := result.evidence.get("left_behind"):
        yield f"not all of it could be removed: {'; '.join(map(str, problems))}\n{RECOVER}"


def _losses(result: ExecutionResult) -> Iterator[str]:
    """Yield what of the log is not there, which its reader would not see; nothing where there never was a log."""
    log = result.log
    if log.gaps:
        missing = f"{log.gap_bytes:,} bytes" if log.gap_bytes else "bytes that could not be counted"
        yield f"{missing} of its log are missing, in {counted(log.gaps, 'place')}; `{logs_command(result)}` says where"
    if not log.complete and (log.bytes or result.container_id):
        yield "its log is not complete: its end could not be read, or how the bot ended is not known"


def maskings(result: ExecutionResult) -> Iterator[str]:
    """Yield how many secrets were masked, if any were."""
    if result.log.masked:
        yield f"{counted(result.log.masked, 'secret')} masked in its log"
