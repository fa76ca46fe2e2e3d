"""`botdock pack`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from botdock_cli.options import ConfigFile, Json, StorageName
from botdock_cli.session import Session

NAME = "pack"
SUMMARY = "Make an archive of a bot's folder: the same folder gives the same bytes."
HELP = """\b
Examples:
  botdock pack bot/                   writes ./bot.zip
  botdock pack bot/ -o out/v2.tar.gz
  botdock pack bot/ --put bots/sma.zip && botdock run bots/sma.zip

\b
Exit codes:
  0    it is there
  2    a folder that cannot be packed, an archive that is there already, no key
  125  the storage could not do its part
  130  interrupted; nothing half written is left"""


class Format(StrEnum):
    """The kinds of archive; a test holds them to `botdock.archive.ArchiveFormat`, which takes too long to import."""

    ZIP = "zip"
    TAR = "tar"
    TAR_GZ = "tar.gz"
    TAR_BZ2 = "tar.bz2"
    TAR_XZ = "tar.xz"


def command(
    context: typer.Context,
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The bot's folder.")],
    *,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="The archive. Else ./<name of DIR>.zip.")
    ] = None,
    put: Annotated[
        str | None, typer.Option("--put", metavar="KEY", help="Store it as KEY; a file is left only with -o.")
    ] = None,
    storage: StorageName = None,
    format: Annotated[  # noqa: A002 - the option's name
        Format | None, typer.Option("--format", help="Kind of archive. Else what the name of FILE or KEY says.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an archive that is there.")] = False,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """Pack a folder."""
    kind = format and format.value
    if put is None and storage is not None:
        raise typer.BadParameter("names where --put KEY stores it", param_hint="'--storage'")
    if put is None:
        from botdock_cli.packing import pack_to_file

        return pack_to_file(folder, output=output, format=kind, force=force, as_json=json)
    from botdock_cli.publishing import publish

    session = context.ensure_object(Session)
    return publish(session, folder, put, output=output, format=kind, force=force, storage=storage, as_json=json)
