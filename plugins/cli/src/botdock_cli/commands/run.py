"""`botdock run`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from botdock_cli.completion import complete_config, complete_engines, complete_runtimes, complete_storages
from botdock_cli.options import ConfigFile, Json
from botdock_cli.session import Session

NAME = "run"
SUMMARY = "Run a bot or a backtest, and show what it prints."
HELP = """CODE is a folder, an archive, or a key in the configured storage. The bot's stdout and stderr come out
exactly as they are. Ctrl-C stops the bot and lets it finish; a second one kills it.

\b
Examples:
  botdock run examples/hello-python
  botdock run examples/sma-crossover --entrypoint backtest --json
  botdock run bot.zip --timeout 5m --memory 1GiB --secret API_KEY
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

A limit without an option is set by its configuration key: --set runtime.limits.output=128MiB."""


class Entrypoint(StrEnum):
    """What of the code is run."""

    BOT = "bot"
    BACKTEST = "backtest"


class Pull(StrEnum):
    """When the image is pulled."""

    MISSING = "missing"
    ALWAYS = "always"
    NEVER = "never"


def command(
    context: typer.Context,
    code: Annotated[str, typer.Argument(metavar="CODE", help="Folder, archive, or key in the storage.")],
    *,
    runtime: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Language. Else what the code says.", autocompletion=complete_runtimes),
    ] = None,
    entrypoint: Annotated[Entrypoint, typer.Option(help="What of the code to run.")] = Entrypoint.BOT,
    script: Annotated[str | None, typer.Option(metavar="FILE", help="Script, relative to the code.")] = None,
    config: Annotated[
        str,
        typer.Option(
            metavar="JSON|@FILE", help="The bot's config, a JSON object; @- is stdin.", autocompletion=complete_config
        ),
    ] = "{}",
    id: Annotated[  # noqa: A002 - the option of the design
        str | None, typer.Option("--id", metavar="ID", help="Name of the bot. Else the name of CODE.")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="docker|process|NAME",
            help="What runs it. Else the configured one, or Docker.",
            autocompletion=complete_engines,
        ),
    ] = None,
    timeout: Annotated[str | None, typer.Option(metavar="TIME", help="Wall time, such as 30s or 2h30m.")] = None,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="Memory, such as 512MiB.")] = None,
    cpus: Annotated[float | None, typer.Option(metavar="NUMBER", help="Processors, such as 0.5.")] = None,
    pids: Annotated[int | None, typer.Option(metavar="NUMBER", help="Processes and threads at one time.")] = None,
    network: Annotated[
        str | None, typer.Option(metavar="NAME", help="Network, among those that the policy allows. Else none.")
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="K[=V]", help="Environment variable; without a value, yours. Repeatable."),
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(metavar="K[=V]", help="The same, shown and stored nowhere; K alone keeps it out of `ps`."),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Storage that CODE is a key in.", autocompletion=complete_storages),
    ] = None,
    pull: Annotated[Pull | None, typer.Option(help="When to pull the image. Else the configured policy.")] = None,
    persist: Annotated[
        bool | None,
        typer.Option(
            "--persist/--no-persist", help="Keep result and log in the storage. Else those of a backtest are."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override the configuration. Repeatable.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")] = False,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """Run one execution to its end, and return what to exit with."""
    from botdock_cli.execution import run_to_end
    from botdock_cli.request import RunRequest

    request = RunRequest(
        code=code,
        runtime=runtime,
        entrypoint=entrypoint.value,
        script=script,
        config=config,
        id=id,
        engine=engine,
        timeout=timeout,
        memory=memory,
        cpus=cpus,
        pids=pids,
        network=network,
        env=tuple(env or ()),
        secret=tuple(secret or ()),
        storage=storage,
        pull=pull and pull.value,
        persist=persist,
        settings=tuple(settings or ()),
    )
    return run_to_end(request, context.ensure_object(Session), as_json=json, quiet=quiet)
