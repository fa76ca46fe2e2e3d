"""Options that several verbs share, those of running among them, and what the shell completes for them.

Only typer is imported here. Completing never says anything, whatever goes wrong.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, get_type_hints

import typer

from botdock_cli.report import say
from botdock_cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdock.model import Executable
    from botdock.plugin_manager import PluginManager

P = ParamSpec("P")


def complete_runtimes(incomplete: str) -> list[str]:
    """Return the runtimes that begin with `incomplete`."""
    return _names(lambda manager: manager.runtimes(), incomplete)


def complete_engines(incomplete: str) -> list[str]:
    """Return the engines that begin with `incomplete`."""
    return _names(lambda manager: manager.engines(), incomplete)


def complete_storages(incomplete: str) -> list[str]:
    """Return the storage backends that begin with `incomplete`."""
    return _names(lambda manager: manager.storage_backends(), incomplete)


def complete_config(incomplete: str) -> list[str]:
    """Return, after an `@`, the files that begin with what follows it."""
    if not incomplete.startswith("@"):
        return []
    from pathlib import Path

    folder, slash, start = incomplete[1:].rpartition("/")
    try:
        names = [path.name for path in Path(folder + slash or ".").iterdir() if path.name.startswith(start)]
    except OSError:
        return []
    return sorted(f"@{folder}{slash}{name}" for name in names)


def complete_executions(incomplete: str) -> list[str]:
    """Return the executions whose ids begin with `incomplete`, the newest first."""
    return _executions(incomplete, running=None)


def complete_running(incomplete: str) -> list[str]:
    """Return those of them that have not ended."""
    return _executions(incomplete, running=True)


def _executions(incomplete: str, *, running: bool | None) -> list[str]:
    try:
        from botdock.executions import Executions

        records = Executions().list(running=running)
    except Exception:  # noqa: BLE001 - a shell that waits for completions is not the place for an error
        return []
    return [record.execution_id for record in records if record.execution_id.startswith(incomplete)]


def _names(kind: Callable[[PluginManager], Mapping[str, object]], incomplete: str) -> list[str]:
    try:
        names = kind(Session().plugins)
    except Exception:  # noqa: BLE001 - a shell that waits for completions is not the place for an error
        return []
    return sorted(name for name in names if name.startswith(incomplete))


CONFIG_FILE_HELP = "Configuration file. Else $BOTDOCK_CONFIG, or the one of your config folder and ./botdock.toml."


def _remember(context: typer.Context, value: str | None) -> str | None:
    if value is not None:
        context.ensure_object(Session).config_file = value
    return value


ConfigFile = Annotated[
    str | None,
    typer.Option("--config-file", metavar="PATH", help=CONFIG_FILE_HELP, callback=_remember, expose_value=True),
]
"""May stand before or after the verb; it reaches the command through the `Session`."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, for programs.")]

StorageName = Annotated[
    str | None,
    typer.Option("--storage", metavar="NAME", help="Else the configured one.", autocompletion=complete_storages),
]
"""Which storage."""


class Area(StrEnum):
    """What objects are for; a test holds them to `botdock.model.StorageArea`, which takes too long to import."""

    CODE = "code"
    RESULTS = "results"
    LOGS = "logs"


AreaOption = Annotated[Area, typer.Option("--area", help="What the objects are for.")]

EngineName = Annotated[
    str | None,
    typer.Option(
        metavar="docker|process|NAME",
        help="What runs it. Else the configured one, or Docker.",
        autocompletion=complete_engines,
    ),
]
"""Which engine runs it."""


class Entrypoint(StrEnum):
    """What of the code is run."""

    BOT = "bot"
    BACKTEST = "backtest"


class Pull(StrEnum):
    """When the image is pulled."""

    MISSING = "missing"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """The options of running, as they were typed; a verb gets them by `takes_run_options`."""

    code: Annotated[str, typer.Argument(metavar="CODE", help="Folder, archive, or key in the storage.")]
    runtime: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Language. Else what the code says.", autocompletion=complete_runtimes),
    ] = None
    entrypoint: Annotated[Entrypoint, typer.Option(help="What of the code to run.")] = Entrypoint.BOT
    script: Annotated[str | None, typer.Option(metavar="FILE", help="Script, relative to the code.")] = None
    config: Annotated[
        str,
        typer.Option(
            metavar="JSON|@FILE", help="The bot's config, a JSON object; @- is stdin.", autocompletion=complete_config
        ),
    ] = "{}"
    id: Annotated[str | None, typer.Option("--id", metavar="ID", help="Name of the bot. Else the name of CODE.")] = None
    engine: EngineName = None
    timeout: Annotated[str | None, typer.Option(metavar="TIME", help="Wall time, such as 30s or 2h30m.")] = None
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="Memory, such as 512MiB.")] = None
    cpus: Annotated[float | None, typer.Option(metavar="NUMBER", help="Processors, such as 0.5.")] = None
    pids: Annotated[int | None, typer.Option(metavar="NUMBER", help="Processes and threads at one time.")] = None
    network: Annotated[
        str | None, typer.Option(metavar="NAME", help="Network, among those that the policy allows. Else none.")
    ] = None
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="K[=V]", help="Environment variable; without a value, yours. Repeatable."),
    ] = None
    secret: Annotated[
        list[str] | None,
        typer.Option(metavar="K[=V]", help="The same, shown and stored nowhere; K alone keeps it out of `ps`."),
    ] = field(default=None, repr=False)
    storage: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Storage that CODE is a key in.", autocompletion=complete_storages),
    ] = None
    pull: Annotated[Pull | None, typer.Option(help="When to pull the image. Else the configured policy.")] = None
    persist: Annotated[
        bool | None,
        typer.Option(
            "--persist/--no-persist", help="Keep result and log in the storage. Else those of a backtest are."
        ),
    ] = None
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override the configuration. Repeatable.")
    ] = None

    def executable(self, environ: Mapping[str, str] | None = None) -> Executable:
        """Return what is to be run; variables without a value come from `environ`, by default our own environment.

        Raises:
            OptionError: An option cannot be read.
            ExecutableError: Options that can be read, but ask for what cannot be; each problem names its option.
        """
        from botdock_cli.request import executable_of

        return executable_of(self, environ)

    def overrides(self) -> dict[str, Any]:
        """Return what the options change in the configuration, nested like its file.

        Raises:
            OptionError: `--set` without `=`, or a key within one that has a value.
        """
        from botdock_cli.request import overrides_of

        return overrides_of(self)


def takes_run_options(command: Callable[..., int]) -> Callable[..., int]:
    """Let a verb take the options of `RunRequest` beside its own; they reach its argument `request` as one."""
    hints = get_type_hints(RunRequest, include_extras=True)
    names = [one.name for one in fields(RunRequest)]

    @functools.wraps(command)
    def gathered(**given: Any) -> int:
        request = RunRequest(**{name: given.pop(name) for name in names})
        return command(request=request, **given)

    own = inspect.signature(command, eval_str=True).parameters
    taken = {
        one.name: inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if one.name == "code" else one.default,
            annotation=hints[one.name],
        )
        for one in fields(RunRequest)
    }
    context, *others = (parameter for name, parameter in own.items() if name != "request")
    signature = inspect.Signature([context, *taken.values(), *others])
    gathered.__signature__ = signature  # type: ignore[attr-defined] # what typer asks for
    gathered.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    return gathered


def interruptible(command: Callable[P, int]) -> Callable[P, int]:
    """Let a signal end a verb as Ctrl-C does: it cleans up, and then returns 128 and the signal's number."""

    @functools.wraps(command)
    def guarded(*args: P.args, **given: P.kwargs) -> int:
        from botdock_cli.interrupts import Interrupts

        with Interrupts() as interrupts:
            try:
                return command(*args, **given)
            except KeyboardInterrupt:
                say("interrupted; no half of a file or an object is left")
                return interrupts.exit_code

    return guarded
