"""Options that several verbs share, and what the shell completes for them; only click is imported here.

Completing never says anything, whatever goes wrong.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from botdock_cli.report import InterruptedCommandError
from botdock_cli.session import Session

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])
Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def _completes(find: Callable[[Session], Iterable[str]]) -> Completer:
    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        try:
            with contextlib.redirect_stderr(None):  # what is told of a configuration, or by a plugin
                return [name for name in find(context.ensure_object(Session)) if name.startswith(incomplete)]
        except Exception:  # noqa: BLE001 - a shell that waits for completions is not the place for an error
            return []

    return complete


def _executions(*, running: bool | None) -> Completer:
    """Complete the bots' ids, each of which means the newest execution of its bot, and those of executions."""

    def find(session: Session) -> list[str]:
        records = session.executions().list(running=running)
        return [*dict.fromkeys(one.id for one in records), *(one.execution_id for one in records)]

    return _completes(find)


def _settings(session: Session) -> list[str]:
    from botdock_cli.commands.config import setting_names

    return [f"{name}=" for name in setting_names(session)]


def _outcomes(_session: Session) -> list[str]:
    from botdock.model import Outcome

    return list(Outcome)


complete_runtimes = _completes(lambda session: sorted(session.plugins.runtimes()))
complete_engines = _completes(lambda session: sorted(session.plugins.engines()))
complete_storages = _completes(lambda session: sorted(session.plugins.storage_backends()))
complete_bots = _completes(lambda session: dict.fromkeys(one.id for one in session.executions().list()))
complete_outcomes = _completes(_outcomes)
complete_settings = _completes(_settings)
complete_restart = _completes(lambda _session: ["no", "on-failure", "on-failure:5", "always"])
complete_executions = _executions(running=None)
complete_running = _executions(running=True)


def complete_files(_context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell itself offer files."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def complete_config(_context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return, after an `@`, the files that begin with what follows it."""
    if not incomplete.startswith("@"):
        return []
    folder, slash, start = incomplete[1:].rpartition("/")
    try:
        names = os.listdir(folder + slash or ".")  # noqa: PTH208 - pathlib would be imported for this alone
    except OSError:
        return []
    return sorted(f"@{folder}{slash}{name}" for name in names if name.startswith(start))


def _remember(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Session).config_file = value


CONFIG_FILE = click.Option(
    ["--config-file"],
    metavar="PATH",
    shell_complete=complete_files,
    help="Configuration file. Else $BOTDOCK_CONFIG, or the one of your config folder and ./botdock.toml.",
    callback=_remember,
    expose_value=False,
)
"""May stand before or after the verb; `verb` adds it to each, and it reaches them through the `Session`."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, for programs.")
storage_option = click.option(
    "--storage", metavar="NAME", shell_complete=complete_storages, help="Else the configured one."
)
engine_option = click.option(
    "--engine",
    metavar="docker|process|NAME",
    shell_complete=complete_engines,
    help="What runs it. Else the configured one, or Docker.",
)
area_option = click.option(
    "--area",
    type=click.Choice(["code", "results", "logs"]),
    default="code",
    show_default=True,
    help="What the objects are for.",
)


def ids_argument(complete: Completer) -> Callable[[F], F]:
    """Take the names of one or more executions as `ids`."""
    return click.argument("ids", metavar="ID...", nargs=-1, required=True, shell_complete=complete)


_RUN_OPTIONS = (
    click.argument("code", metavar="CODE", shell_complete=complete_files),
    click.option(
        "--runtime", metavar="NAME", shell_complete=complete_runtimes, help="Language. Else what the code says."
    ),
    click.option(
        "--entrypoint",
        type=click.Choice(["bot", "backtest"]),
        default="bot",
        show_default=True,
        help="What of the code to run.",
    ),
    click.option("--script", metavar="FILE", help="Script, relative to the code."),
    click.option(
        "--config",
        metavar="JSON|@FILE",
        default="{}",
        show_default=True,
        shell_complete=complete_config,
        help="The bot's config, a JSON object; @- is stdin.",
    ),
    click.option("--id", metavar="ID", help="Name of the bot. Else the name of CODE."),
    engine_option,
    click.option("--timeout", metavar="TIME", help="Wall time, such as 30s or 2h30m. Else 1h."),
    click.option("--start-timeout", metavar="TIME", help="Longest time to its first output. Else any."),
    click.option("--silence-timeout", metavar="TIME", help="Longest time without output. Else any."),
    click.option("--memory", metavar="SIZE", help="Memory, such as 1GiB. Else 512MiB."),
    click.option("--cpus", type=float, metavar="NUMBER", help="Processors, such as 0.5. Else 1."),
    click.option("--pids", type=int, metavar="NUMBER", help="Processes and threads at one time. Else 128."),
    click.option("--network", metavar="NAME", help="Network, among those that the policy allows. Else none."),
    click.option(
        "--image",
        metavar="NAME[:TAG|@DIGEST]",
        help="Image, of a runtime or as policy.images allows. Else the runtime's.",
    ),
    click.option(
        "--env", metavar="K[=V]", multiple=True, help="Environment variable; without a value, yours. Repeatable."
    ),
    click.option(
        "--env-file",
        metavar="FILE",
        multiple=True,
        shell_complete=complete_files,
        help="Variables, a line each: K=V, K, or # and a comment. --env wins over it. Repeatable.",
    ),
    click.option(
        "--secret",
        metavar="K[=V]",
        multiple=True,
        help="The same, shown and stored nowhere; K alone keeps it out of `ps`.",
    ),
    click.option(
        "--restart",
        metavar="POLICY",
        shell_complete=complete_restart,
        help="After its end: no, on-failure, on-failure:5 or always; for `start`. Else what the code says.",
    ),
    click.option("--storage", metavar="NAME", shell_complete=complete_storages, help="Storage that CODE is a key in."),
    click.option(
        "--pull",
        type=click.Choice(["missing", "always", "never"]),
        help="When to pull the image. Else the configured policy.",
    ),
    click.option(
        "--persist/--no-persist",
        default=None,
        help="Keep result and log in the storage. Else those of a backtest are.",
    ),
    click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        shell_complete=complete_settings,
        help="Override the configuration. Repeatable.",
    ),
)


def takes_run_options(command: Callable[..., int]) -> Callable[..., int]:
    """Let a verb take the options of running beside its own; they reach its argument `request` as one."""

    @functools.wraps(command)
    def gathered(session: Session, **given: Any) -> int:
        import attrs

        from botdock_cli.request import RunRequest

        request = RunRequest(**{field.name: given.pop(field.name) for field in attrs.fields(RunRequest)})
        return command(session, request=request, **given)

    return functools.reduce(lambda decorated, option: option(decorated), reversed(_RUN_OPTIONS), gathered)


def interruptible(command: Callable[P, int]) -> Callable[P, int]:
    """Let a signal end a verb as Ctrl-C does: it cleans up, and exits with 128 and the signal's number."""

    @functools.wraps(command)
    def guarded(*args: P.args, **given: P.kwargs) -> int:
        from botdock_cli.interrupts import Interrupts

        with Interrupts() as interrupts:
            try:
                return command(*args, **given)
            except KeyboardInterrupt:
                text = "interrupted; no partial file or object is left"
                raise InterruptedCommandError(text, interrupts.exit_code) from None

    return guarded
