"""`botdock pack`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from botdock_cli.options import Json

NAME = "pack"
SUMMARY = "Make an archive of a bot's folder: the same folder gives the same bytes."
HELP = """\b
Examples:
  botdock pack bot/                   writes ./bot.zip
  botdock pack bot/ -o out/v2.tar.gz

\b
Exit codes: 0; 2 for a folder that cannot be packed, or an archive that is there already."""


class Format(StrEnum):
    """The kinds of archive; a test holds them to `botdock.archive.ArchiveFormat`, which takes too long to import."""

    ZIP = "zip"
    TAR = "tar"
    TAR_GZ = "tar.gz"
    TAR_BZ2 = "tar.bz2"
    TAR_XZ = "tar.xz"


def command(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The bot's folder.")],
    *,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="The archive. Else ./<name of DIR>.zip.")
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name
        Format | None, typer.Option("--format", help="Kind of archive. Else what the name of FILE says.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an archive that is there.")] = False,
    json: Json = False,
) -> int:
    """Pack a folder."""
    from botdock_cli.output import print_json, print_text
    from botdock_cli.packing import as_document, as_text, pack_folder

    packed = pack_folder(folder, output=output, format=format and format.value, force=force)
    return print_json(as_document(packed)) if json else print_text(as_text(packed))
