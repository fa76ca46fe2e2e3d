"""`botdock run`, from the request to the exit code."""

from __future__ import annotations

import sys
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

import click

from botdock.errors import EXIT_INFRASTRUCTURE, BotdockError, EngineUnavailableError, StorageUnavailableError
from botdock.model import ExecutionResult, RestartPolicy, Stream
from botdock_cli.commands import verb
from botdock_cli.interrupts import Interrupts
from botdock_cli.layout import columns_of, wrapped
from botdock_cli.log_output import Outlet
from botdock_cli.options import json_option, takes_run_options
from botdock_cli.outcomes import RECOVER, cure, exit_code, logs_command, maskings, notes, summary
from botdock_cli.output import abandon_stdout, print_json, wants_colour
from botdock_cli.progress import ProgressBars
from botdock_cli.report import EXIT_BROKEN_PIPE, InterruptedCommandError, PrintedError, error_document, say
from botdock_cli.session import Session, is_terminal
from botdock_cli.values import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from botdock import Execution, Runner
    from botdock.model import Executable, LogChunk
    from botdock_cli.request import RunRequest

HELP = """CODE is a folder, a script, an archive, or a key in the configured storage. The bot's stdout and stderr
come out exactly as they are. Ctrl-C stops the bot and lets it finish; a second one kills it.

\b
Examples:
  botdock run examples/hello-python
  botdock run examples/sma-crossover --entrypoint backtest --json
  botdock run bot.zip --timeout 5m --memory 1GiB --secret API_KEY
  botdock run bot.zip --image team/pandas:2 --set 'policy.images=["team/*"]'
  botdock run bots/alert.zip --storage minio --config @alert.json --persist

\b
Exit codes:
  0        the bot succeeded
  1-255    the bot's own code when it failed; 1 when it has none
  1        it wrote more to stdout and stderr than it may
  124      it ran longer than its wall time
  137      it was killed for exceeding its memory
  143      it was stopped (Ctrl-C, SIGTERM)
  128+N    signal N, which botdock did not send, ended it
  125      botdock could not do its part
  2        wrong usage
  130      interrupted before the bot was started

A bot that is to go on without this terminal takes `botdock start`; `botdock logs -f ID` then follows it.

\b
Limits, where no option, configuration or bot.toml of the code says otherwise:
  timeout 1h                 pids 128           file_size 64MiB
  memory 512MiB, no swap     open_files 1024    tmpfs 64MiB (/tmp)
  cpus 1                     output 64MiB       result 8MiB
All but timeout are keys of runtime.limits: --set runtime.limits.output=128MiB.
`botdock explain CODE` says which hold for it, and why."""


@verb("run", HELP)
@takes_run_options
@click.option("--quiet", "-q", is_flag=True, help="No progress, no summary.")
@json_option
def command(session: Session, *, request: RunRequest, as_json: bool, quiet: bool) -> int:
    """Run one execution, show what it prints as it comes, and return what to exit with.

    Raises:
        BotdockError: Botdock could not do its part, or was asked for what cannot be; with `as_json`, the document is
            printed all the same once there is an execution id.
        InterruptedCommandError: A signal came before the bot was started.
        PrintedError: As the first, with the document printed.
    """
    executable = request.executable()
    if executable.restart not in {None, RestartPolicy()}:
        hint = f"`botdock start {request.code} --restart {executable.restart}` hands it to the supervisor, which does."
        raise OptionError("--restart", "`run` runs it once, and restarts nothing", hint=hint)
    config = session.load_config(request.overrides(), code=request.code)
    session.show_log()
    relay = Relay(stdout_to_stderr=as_json)
    with Interrupts() as interrupts:
        try:
            result = _run(executable, session, interrupts, relay, quiet=quiet)
        except KeyboardInterrupt:
            left = next((one for one in session.executions().list(running=True) if one.is_over), None)
            rest = f"not all of {left.execution_id} is removed yet\n{RECOVER}" if left else "nothing is left running"
            raise InterruptedCommandError(f"interrupted; {rest}", interrupts.exit_code) from None
        except BotdockError as error:
            if not (as_json and error.execution_id):
                raise
            failed = ExecutionResult.unstarted(executable, error, engine=config.engine)
            print_json(error_document(error) | failed.to_json())
            raise PrintedError from error
    printed = print_json(result.to_json()) if as_json else 0
    _tell_end(result, relay, quiet=quiet)
    return _code(result, relay) or printed


def _run(
    executable: Executable, session: Session, interrupts: Interrupts, relay: Relay, *, quiet: bool
) -> ExecutionResult:
    with _open_runner(session, str(executable.file_path)) as runner:
        execution = _start(runner, executable, interrupts, quiet=quiet)
        relay.copy(execution.stream(), on_broken=interrupts.stop)
        result = execution.wait()
    if "left_behind" in result.evidence:
        result = execution.result  # the runner has tried once more when it was closed
    if result.outcome is None:
        raise BotdockError(f"execution {execution.execution_id} has no end", hint="This is a bug in botdock.")
    return result


def _open_runner(session: Session, code: str) -> Runner:
    """Open a runner; code that is not there is told before an engine that does not answer."""
    from botdock.factory import BaseFactory

    service = BaseFactory(session.config, session.plugins).create_code_service()
    service.check_location(code, ask_storage=False)
    try:
        return session.open_runner()
    except EngineUnavailableError:
        with suppress(StorageUnavailableError):  # one that is away says nothing about the code
            service.check_location(code, ask_storage=True)
        raise


def _start(runner: Runner, executable: Executable, interrupts: Interrupts, *, quiet: bool) -> Execution:
    execution = None
    with ProgressBars() if is_terminal(sys.stderr) and not quiet else nullcontext() as bars:
        try:
            execution = runner.start(executable, progress=bars)
            interrupts.adopt(execution)
        except KeyboardInterrupt:
            if execution is not None:  # the signal came in the very moment in which it started
                execution.kill()
                execution.wait()
            raise
    return execution


def _tell_end(result: ExecutionResult, relay: Relay, *, quiet: bool) -> None:
    terminal = is_terminal(sys.stderr)
    shows_summary = terminal and not quiet
    advice = _advice(result, everything=shows_summary)
    if terminal and relay.in_mid_line and (advice or shows_summary):
        sys.stderr.write("\n")
    for line in advice:
        say(line)
    if shows_summary:
        text = "\n".join(wrapped(summary(result), columns_of(sys.stderr), first="botdock: ", rest="  "))
        sys.stderr.write(f"\x1b[2m{text}\x1b[0m\n" if wants_colour(sys.stderr) else f"{text}\n")


def _advice(result: ExecutionResult, *, everything: bool) -> list[str]:
    """Return what the bot's own output does not say; unless `everything` is shown, what silence would hide."""
    found = cure(result)
    end = [found if everything else f"{found}\n`{logs_command(result)}` shows its log."] if found else []
    return [*end, *notes(result), *(maskings(result) if everything else ())]


def _code(result: ExecutionResult, relay: Relay) -> int:
    if relay.failure is not None:
        say(f"the bot was stopped, for its output could not be written: {relay.failure.strerror or relay.failure}")
        return EXIT_INFRASTRUCTURE
    return EXIT_BROKEN_PIPE if relay.broken else exit_code(result)


class Relay:
    """Writes the bot's bytes to our own stdout and stderr, each chunk at once and unchanged.

    Args:
        stdout_to_stderr: Whether stdout is wanted for something else.

    Attributes:
        broken: Whether a reader of ours went away, as `head` does.
        failure: Why else a chunk could not be written (a full disk), or None.
        in_mid_line: Whether the last byte that was written is not a newline.
    """

    def __init__(self, *, stdout_to_stderr: bool) -> None:
        self.broken = False
        self.failure: OSError | None = None
        self.in_mid_line = False
        self._to_stderr = stdout_to_stderr
        self._outlet = Outlet(eager=True)

    def copy(self, chunks: Iterable[LogChunk], *, on_broken: Callable[[], None]) -> None:
        """Copy all chunks; those that come after a failed write are dropped, so that the bot never waits for us.

        Args:
            chunks: What the bot writes.
            on_broken: Called once, when nothing can be written any more.
        """
        for chunk in chunks:
            if self.broken:
                continue
            try:
                self._outlet.write(Stream.STDERR if self._to_stderr else chunk.stream, chunk.data)
                self.in_mid_line = not chunk.data.endswith(b"\n")
            except OSError as error:
                self.broken = True
                self.failure = None if isinstance(error, BrokenPipeError) else error
                abandon_stdout()
                on_broken()
