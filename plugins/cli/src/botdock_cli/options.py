"""Options that several verbs share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from botdock_cli.completion import complete_storages
from botdock_cli.session import Session

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
