"""`botdock logs`: the log of an execution as it is stored, and as it grows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from botdock.errors import LogError
from botdock.model import LogGap, LogLine
from botdock_cli.log_output import JsonPrinter, RawPrinter, TextPrinter, show
from botdock_cli.outlet import Outlet
from botdock_cli.output import abandon_stdout
from botdock_cli.report import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock.executions import ExecutionRecord, Executions
    from botdock_cli.log_output import Item, Printer
    from botdock_cli.log_request import LogRequest
    from botdock_cli.session import Session

POLL_INTERVAL = 0.05
"""Seconds between two looks for a log that is about to begin."""
_UNPROVEN = "its end could not be read, or how the bot ended is not known"
LATE = 1_000_000_000
"""Nanoseconds that a line may take from the bot to the disk; so much later than its time, nothing older comes."""


def show_logs(session: Session, request: LogRequest) -> int:
    """Show the log of one execution, and return what to exit with.

    Raises:
        UserError: There is no such execution.
        LogError: The log cannot be read; or its runner has died.
        OSError: What is shown cannot be written.
    """
    try:
        return _Showing(session.executions(), request).run()
    except BrokenPipeError:
        abandon_stdout()
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OSError:
        abandon_stdout()
        raise


class _Showing:
    """One look at a log, from its first line to what is said behind the last one.

    Args:
        executions: Where it is looked for.
        request: What is to be shown.
    """

    def __init__(self, executions: Executions, request: LogRequest) -> None:
        self._executions = executions
        self._request = request
        self._record = executions.get(request.name)
        self._log = executions.log(self._record.execution_id)
        self._outlet = Outlet(eager=request.follow)
        self._printer = _printer(request, self._outlet)
        self._reader_gone = False

    def run(self) -> int:
        if self._begins():
            try:
                show(self._items(), self._printer)
            finally:
                self._outlet.flush()
        elif not self._reader_gone:
            return self._tell_absence()
        if self._reader_gone:
            raise BrokenPipeError
        self._tell_end()
        return 0

    def _begins(self) -> bool:
        """Wait, where more is wanted than what is there, until there is a log; return whether there is."""
        while not self._record.logs.is_dir():
            if not (self._request.follow and self._goes_on()):
                return self._record.logs.is_dir()
            time.sleep(POLL_INTERVAL)
        return True

    def _items(self) -> Iterator[Item]:
        request, log = self._request, self._log
        if self._wants_lines():
            return log.lines(
                tail=request.tail,
                since_ns=request.since_ns,
                until_ns=request.until_ns,
                stream=request.stream,
                follow=request.follow,
                alive=self._goes_on,
            )
        return self._pieces()

    def _wants_lines(self) -> bool:
        """Whether the lines matter; where they do not, the bytes are shown as they lie there, with less delay."""
        request = self._request
        if request.is_selective or request.timestamps or request.as_json:
            return True
        return not request.raw and any(self._outlet.terminals.values())

    def _pieces(self) -> Iterator[Item]:
        for entry in self._log.entries(follow=self._request.follow, alive=self._goes_on):
            if self._request.stream in {None, entry.stream}:
                yield (
                    entry
                    if isinstance(entry, LogGap)
                    else LogLine(entry.stream, entry.data, entry.time_ns, complete=False)
                )

    def _goes_on(self) -> bool:
        """Whether more may come that is wanted."""
        if not self._outlet.has_reader():
            self._reader_gone = True
            return False
        until = self._request.until_ns
        return self._executions.is_alive(self._record) and (until is None or time.time_ns() < until + LATE)

    def _tell_absence(self) -> int:
        outcome = self._end()
        if outcome is None and self._is_abandoned():
            raise self._died("before there was a log")
        if outcome is None:
            say(f"{_named(self._record)} has no log yet: it is being prepared")
        else:
            say(f"{_named(self._record)} has no log: {outcome.get('error') or 'its bot was never started'}")
        return 0

    def _end(self) -> dict[str, Any] | None:
        """Return how it ended, be it that not all of it could be removed yet; None where that is not known."""
        end: dict[str, Any] | None = self._executions.inspect(self._record.execution_id)["end"]
        return end

    def _is_abandoned(self) -> bool:
        return self._executions.get(self._record.execution_id).state == "abandoned"

    def _tell_end(self) -> None:
        """Say what a reader would not see: that the log has no proper end."""
        if self._request.until_ns is not None:
            return
        if (summary := self._log.summary()) is not None:
            if not summary.complete:
                self._printer.notice(f"the log of {_named(self._record)} is not complete: {_UNPROVEN}")
        elif self._end() is not None:
            self._printer.notice(f"the log of {_named(self._record)} is not complete: it was never closed")
        elif self._is_abandoned() and not self._log.ended:
            self._tell_death()

    def _tell_death(self) -> None:
        error = self._died("before the log's end")
        if self._request.follow:
            self._printer.end_line()
            raise error
        self._printer.notice(f"{error.message}\n{error.hint}")

    def _died(self, when: str) -> LogError:
        return LogError(
            f"the runner of {_named(self._record)} died {when}",
            hint="`botdock recover` takes over what still runs, and finishes what has ended.",
        )


def _printer(request: LogRequest, outlet: Outlet) -> Printer:
    if request.raw:
        return RawPrinter(outlet)
    return JsonPrinter(outlet) if request.as_json else TextPrinter(outlet, timestamps=request.timestamps)


def _named(record: ExecutionRecord) -> str:
    return f"execution {record.execution_id}"
