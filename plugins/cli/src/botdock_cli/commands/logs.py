"""`botdock logs`: the log of an execution as it is stored, and as it grows."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import click

from botdock_cli.commands import verb
from botdock_cli.options import complete_executions, json_option
from botdock_cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock.errors import LogError
    from botdock.executions import Executions
    from botdock.model import LogGap, LogLine
    from botdock_cli.log_output import RawPrinter

HELP = """ID is an execution id, the beginning of one, or a bot's id, which means its newest execution. Nothing but the
state folder is asked: neither an engine nor a network is needed, and the container may be gone.

The bot's stdout comes out on stdout, its stderr on stderr, byte for byte. On a terminal, control characters are shown
as escapes, and colours stay. What is missing is told on stderr, in its place; --raw adds nothing at all.

\b
Examples:
  botdock logs sma                             all that the newest run of the bot sma wrote
  botdock logs -f --tail 10 01k5x              its last ten lines, and those to come
  botdock logs sma --since 1h30m --until 10m
  botdock logs sma --since 2026-01-31T09:30:00.5Z -t --stream stderr
  botdock logs sma --json | jq -r 'select(.stream == "stderr").text'
  botdock logs sma --raw --stream stdout | sha256sum
  botdock logs --verify sma                    recompute counts and hashes; compare with the storage

\b
TIME is one of:
  2026-01-31T09:30:00.123456789Z               RFC 3339; without a zone it is the one of this machine
  1769851800.5                                 seconds since 1970
  90s, 10m, 1h30m                              so long ago

\b
With --json, each line is one object:
  {"time": "...", "stream": "stdout", "text": "...", "complete": true}     and "base64" where it is not UTF-8
  {"time": "...", "stream": "stdout", "gap": "lost", "bytes": 12345, "since": "...", "until": null}

\b
Exit codes:
  0    it was shown; with -f, the log has ended
  1    --verify found a difference
  2    wrong usage, or no such execution
  125  the log cannot be read; with -f, its runner died before its end (`botdock recover` mends that)
  130  Ctrl-C ended it; the bot goes on
  141  the reader of the output went away"""

POLL_INTERVAL = 0.05
"""Seconds between two looks for a log that is about to begin."""
LATE = 1_000_000_000
"""Nanoseconds that a line may take from the bot to the disk; so much later than its time, nothing older comes."""
_UNPROVEN = "its end could not be read, or how the bot ended is not known"


@verb("logs", HELP)
@click.argument("id", metavar="ID", shell_complete=complete_executions)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until the log ends.")
@click.option("--tail", "-n", metavar="N|all", help="Only the last N lines, and what follows.")
@click.option("--since", metavar="TIME", help="Only lines from TIME on.")
@click.option("--until", metavar="TIME", help="Only lines until TIME.")
@click.option("--timestamps", "-t", is_flag=True, help="Begin each line with its time, in UTC.")
@click.option("--stream", type=click.Choice(["stdout", "stderr"]), help="Only this stream.")
@click.option("--raw", is_flag=True, help="Exactly the bytes; on a terminal, too.")
@json_option
@click.option("--verify", is_flag=True, help="Check the whole log; show what differs, and where.")
def command(session: Session, **given: Any) -> int:
    """Show or check a log."""
    _check_alone("raw", given, "as_json", "timestamps")
    _check_alone("as_json", given, "timestamps", hint="Each object has its time.")
    shown = ("follow", "tail", "since", "until", "stream", "timestamps", "raw")
    _check_alone("verify", given, *shown, hint="It checks all of it.")
    if given["verify"]:
        from botdock_cli.log_checking import verify_log

        return verify_log(session, given["id"], as_json=given["as_json"])
    from botdock_cli.output import to_stdout
    from botdock_cli.report import EXIT_INTERRUPTED

    wanted = _wanted(given)
    try:
        return to_stdout(_Showing(session.executions(), given, wanted).run)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _check_alone(name: str, given: dict[str, Any], *others: str, hint: str | None = None) -> None:
    from botdock_cli.values import OptionError

    option = {option: f"--{option}" for option in given} | {"as_json": "--json"}
    clash = " and ".join(option[other] for other in others if given[other] not in (None, False))
    if given[name] and clash:
        raise OptionError(option[name], f"cannot be combined with {clash}", hint=hint)


def _wanted(given: dict[str, Any]) -> dict[str, Any]:
    """Return which lines the options ask for, as the reader of a log takes them.

    Raises:
        OptionError: An option is wrong, or two exclude each other.
    """
    from botdock.model import Stream
    from botdock_cli.values import OptionError, moment_option

    since_ns, until_ns = moment_option("--since", given["since"]), moment_option("--until", given["until"])
    if since_ns is not None and until_ns is not None and since_ns > until_ns:
        raise OptionError("--until", "is earlier than --since", hint="Nothing lies between them.")
    tail, text = None, (given["tail"] or "all").strip()
    if text.lower() != "all":
        if not re.fullmatch(r"[0-9]{1,18}", text):
            problem = f"{given['tail']!r} is not a number of lines"
            raise OptionError("--tail", problem, hint="Write one such as 100, or 'all'.")
        tail = int(text)
    stream = given["stream"] and Stream(given["stream"])
    return {"tail": tail, "since_ns": since_ns, "until_ns": until_ns, "stream": stream}


class _Showing:
    """One look at a log, from its first line to the notice behind the last one.

    Args:
        executions: Where it is looked for.
        given: The options.
        wanted: Which lines they ask for.
    """

    def __init__(self, executions: Executions, given: dict[str, Any], wanted: dict[str, Any]) -> None:
        from botdock_cli.log_output import JsonPrinter, Outlet, RawPrinter, TextPrinter

        self._executions = executions
        self._given = given
        self._wanted = wanted
        self._follow: bool = given["follow"]
        self._record = executions.get(given["id"])
        self._name = f"execution {self._record.execution_id}"
        self._log = executions.log(self._record.execution_id)
        self._outlet = outlet = Outlet(eager=self._follow)
        self._printer: RawPrinter = (
            RawPrinter(outlet)
            if given["raw"]
            else JsonPrinter(outlet)
            if given["as_json"]
            else TextPrinter(outlet, timestamps=given["timestamps"])
        )
        self._reader_gone = False

    def run(self) -> None:
        if self._begins():
            try:
                self._printer.show(
                    self._log.lines(**self._wanted, follow=self._follow, alive=self._goes_on)
                    if self._wants_lines()
                    else self._pieces()
                )
            finally:
                self._outlet.flush()
        elif not self._reader_gone:
            self._tell_absence()
            return
        if self._reader_gone:
            raise BrokenPipeError
        self._tell_end()

    def _begins(self) -> bool:
        """Wait, where more is wanted than what is there, until there is a log; return whether there is."""
        while not self._record.logs.is_dir():
            if not (self._follow and self._goes_on()):
                return self._record.logs.is_dir()
            time.sleep(POLL_INTERVAL)
        return True

    def _wants_lines(self) -> bool:
        """Whether the lines matter; where they do not, the bytes are shown as they lie there, with less delay."""
        selected = any(self._wanted[name] is not None for name in ("tail", "since_ns", "until_ns"))
        if selected or self._given["timestamps"] or self._given["as_json"]:
            return True
        return not self._given["raw"] and any(self._outlet.terminals.values())

    def _pieces(self) -> Iterator[LogLine | LogGap]:
        from botdock.model import LogGap, LogLine

        for entry in self._log.entries(follow=self._follow, alive=self._goes_on):
            if self._wanted["stream"] not in {None, entry.stream}:
                continue
            if isinstance(entry, LogGap):
                yield entry
            else:
                yield LogLine(entry.stream, entry.data, entry.time_ns, complete=False)

    def _goes_on(self) -> bool:
        """Whether more may come that is wanted."""
        if not self._outlet.has_reader():
            self._reader_gone = True
            return False
        until = self._wanted["until_ns"]
        return self._executions.is_alive(self._record) and (until is None or time.time_ns() < until + LATE)

    def _tell_absence(self) -> None:
        from botdock_cli.report import say

        outcome = self._end()
        if outcome is None and self._is_abandoned():
            raise self._died("before there was a log")
        if outcome is None:
            say(f"{self._name} has no log yet: it is being prepared")
        else:
            say(f"{self._name} has no log: {outcome.get('error') or 'its bot was never started'}")

    def _end(self) -> dict[str, Any] | None:
        """Return how it ended, be it that not all of it could be removed yet; None where that is not known."""
        end: dict[str, Any] | None = self._executions.inspect(self._record.execution_id)["end"]
        return end

    def _is_abandoned(self) -> bool:
        return self._executions.get(self._record.execution_id).state == "abandoned"

    def _tell_end(self) -> None:
        """Say what a reader would not see: that the log has no proper end."""
        if self._wanted["until_ns"] is not None:
            return
        if (summary := self._log.summary()) is not None:
            if not summary.complete:
                self._printer.notice(f"the log of {self._name} is not complete: {_UNPROVEN}")
        elif self._end() is not None:
            self._printer.notice(f"the log of {self._name} is not complete: it was never closed")
        elif self._is_abandoned() and not self._log.ended:
            self._tell_death()

    def _tell_death(self) -> None:
        error = self._died("before the log's end")
        if self._follow:
            self._printer.end_line()
            raise error
        self._printer.notice(f"{error.message}\n{error.hint}")

    def _died(self, when: str) -> LogError:
        from botdock.errors import LogError

        return LogError(
            f"the runner of {self._name} died {when}",
            hint="`botdock recover` takes over what still runs, and finishes what has ended.",
        )
