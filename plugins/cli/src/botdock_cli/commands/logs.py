"""`botdock logs`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from botdock_cli.options import ConfigFile, Json, complete_executions
from botdock_cli.session import Session

NAME = "logs"
SUMMARY = "Show what a bot wrote: while it runs, afterwards, and from any process."
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


class Which(StrEnum):
    """The streams; a test holds them to `botdock.model.Stream`, which takes too long to import."""

    STDOUT = "stdout"
    STDERR = "stderr"


def command(
    context: typer.Context,
    id: Annotated[  # noqa: A002 - what the help calls it
        str, typer.Argument(metavar="ID", help="Execution, or bot.", autocompletion=complete_executions)
    ],
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until the log ends.")] = False,
    tail: Annotated[
        str | None, typer.Option("--tail", "-n", metavar="N|all", help="Only the last N lines, and what follows.")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="Only lines from TIME on.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only lines until TIME.")] = None,
    timestamps: Annotated[
        bool, typer.Option("--timestamps", "-t", help="Begin each line with its time, in UTC.")
    ] = False,
    stream: Annotated[Which | None, typer.Option("--stream", help="Only this stream.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Exactly the bytes; on a terminal, too.")] = False,
    json: Json = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the whole log; show what differs, and where.")
    ] = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """Show or check a log."""
    from botdock_cli.log_request import read_request

    request = read_request(
        id,
        follow=follow,
        tail=tail,
        since=since,
        until=until,
        timestamps=timestamps,
        stream=stream and stream.value,
        raw=raw,
        as_json=json,
        verify=verify,
    )
    session = context.ensure_object(Session)
    if request.verify:
        from botdock_cli.log_checking import verify_log

        return verify_log(session, request)
    from botdock_cli.log_reading import show_logs

    return show_logs(session, request)
