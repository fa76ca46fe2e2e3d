"""`botdock pack`."""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from botdock_cli.commands import verb
from botdock_cli.options import complete_files, complete_runtimes, interruptible, json_option, storage_option
from botdock_cli.output import print_json, print_text
from botdock_cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock.archive import PackReport
    from botdock_cli.vendoring import Vendoring

HELP = """\b
Examples:
  botdock pack bot/                   writes ./bot.zip
  botdock pack bot/ -o out/v2.tar.gz
  botdock pack bot/ --put bots/sma.zip && botdock run bots/sma.zip
  botdock pack bot/ --vendor          with what its requirements.txt or package.json lists

\b
Exit codes:
  0    it is there
  2    a folder that cannot be packed, packages that cannot be had, an archive that is there already, no key
  125  the storage could not do its part
  130  interrupted; nothing half written is left"""


@verb("pack", HELP)
@click.argument("folder", metavar="DIR", shell_complete=complete_files)
@click.option(
    "--output", "-o", metavar="FILE", shell_complete=complete_files, help="The archive. Else ./<name of DIR>.zip."
)
@click.option("--put", metavar="KEY", help="Store it as KEY; a file is left only with -o.")
@storage_option
@click.option(
    "--format",
    type=click.Choice(["zip", "tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst"]),
    help="Kind of archive. Else what the name of FILE or KEY says.",
)
@click.option("--force", "-f", is_flag=True, help="Replace an archive that is there.")
@click.option("--vendor", is_flag=True, help="Install the packages that DIR lists into the archive.")
@click.option(
    "--runtime", metavar="NAME", shell_complete=complete_runtimes, help="What --vendor is for. Else what DIR says."
)
@click.option("--build", is_flag=True, help="Let --vendor build packages, which runs code of theirs on this machine.")
@json_option
@interruptible
def command(
    session: Session,
    *,
    folder: str,
    output: str | None,
    put: str | None,
    storage: str | None,
    format: str | None,  # noqa: A002 - the option's name
    force: bool,
    vendor: bool,
    runtime: str | None,
    build: bool,
    as_json: bool,
) -> int:
    """Pack a folder."""
    if put is None and storage is not None:
        raise click.BadParameter("names where --put KEY stores it", param_hint="'--storage'")
    vendoring = _vendoring(session, runtime, vendor=vendor, build=build)
    if put is None:
        packed = pack_folder(folder, output=output, format=format, force=force, vendoring=vendoring)
        return print_json(_as_document(packed)) if as_json else print_text(_as_text(packed))
    from botdock.model import validate_key
    from botdock_cli.store import open_store, store_file

    validate_key(put)
    with (
        open_store(session, area="code", storage=storage) as store,
        _packed(folder, put, output, format, force=force, vendoring=vendoring) as packed,
        packed.path.open("rb") as source,
    ):
        info = store_file(store, put, source)
    if as_json:
        return print_json(_as_document(packed) | {"path": output, "key": put, "etag": info.etag})
    return print_text(_as_text(packed, name=put if output is None else f"{output}, stored as {put}"))


def _vendoring(session: Session, runtime: str | None, *, vendor: bool, build: bool) -> Vendoring | None:
    if not vendor:
        if build or runtime:
            raise click.BadParameter("says how --vendor installs", param_hint="'--build'" if build else "'--runtime'")
        return None
    from botdock_cli.vendoring import Vendoring

    return Vendoring(session, runtime=runtime, build=build)


class Packed(NamedTuple):
    """What was made.

    Attributes:
        path: The archive.
        size: Its bytes.
        report: What it holds.
    """

    path: Path
    size: int
    report: PackReport


def pack_folder(
    folder: str,
    *,
    output: str | None,
    format: str | None,  # noqa: A002 - the option's name
    force: bool,
    vendoring: Vendoring | None = None,
) -> Packed:
    """Pack `folder`, with the packages that it lists where `vendoring` is given.

    Raises:
        CodeError: It is not a folder, or its packages cannot be had.
        TargetError: The archive is there already and `force` is not given, or its folder is not there.
        ArchiveError: It holds what no archive may.
    """
    import attrs

    from botdock.archive import ArchiveFormat, format_for, pack
    from botdock.errors import CodeError
    from botdock.model import Phase
    from botdock_cli.progress import bars_on_terminal, reporting
    from botdock_cli.store import check_target

    tree = Path(folder)
    if not tree.is_dir():
        fault = "is not a folder" if tree.exists() else "does not exist"
        raise CodeError(f"{folder} {fault}", source=folder, hint="botdock pack DIR takes the folder of a bot.")
    target = Path(output) if output else Path(f"{Path(os.path.abspath(folder)).name or 'bot'}.{format or 'zip'}")  # noqa: PTH100 - resolve() would follow links
    check_target(target, force=force, name="bot.zip")
    chosen = ArchiveFormat(format) if format else format_for(target)
    with (
        vendoring.copy(tree, target) if vendoring else nullcontext((tree, ())) as (code, left_out),
        bars_on_terminal() as bars,
    ):
        progress = reporting(bars, Phase.GENERATE, folder)
        report = pack(code, target, format=chosen, progress=progress, ignore=vendoring is None)
    report = attrs.evolve(report, left_out=(*left_out, *report.left_out))
    return Packed(path=target, size=target.stat().st_size, report=report)


def _as_document(packed: Packed) -> dict[str, Any]:
    """Return what `pack --json` prints."""
    report = packed.report
    return {
        "path": str(packed.path),
        "format": str(report.format),
        "entries": report.entries,
        "bytes": report.bytes,
        "size": packed.size,
        "sha256": report.sha256,
        "left_out": list(report.left_out),
    }


def _as_text(packed: Packed, *, name: str | None = None) -> Iterator[str]:
    """Yield what was made; `name` says what to call it, else its path does."""
    from botdock.model.units import format_bytes

    report = packed.report
    sizes = f"{format_bytes(report.bytes)}, packed into {format_bytes(packed.size)}"
    entries = "1 entry" if report.entries == 1 else f"{report.entries} entries"
    yield f"{name or packed.path}: {entries}, {sizes}"
    yield f"sha256 {report.sha256}"
    if report.left_out:
        yield f"left out, since they are not code: {', '.join(map(ascii, report.left_out))}"


@contextmanager
def _packed(
    folder: str,
    key: str,
    output: str | None,
    format: str | None,  # noqa: A002 - the option's name
    *,
    force: bool,
    vendoring: Vendoring | None,
) -> Iterator[Packed]:
    """Pack into `output`, else into a file that is gone afterwards."""
    import tempfile

    if output is not None:
        yield pack_folder(folder, output=output, format=format, force=force, vendoring=vendoring)
        return
    with tempfile.TemporaryDirectory(prefix="botdock-pack-") as place:
        target = Path(place, key.rpartition("/")[2])
        chosen = format or _format_of(target)
        yield pack_folder(folder, output=str(target), format=chosen, force=force, vendoring=vendoring)


def _format_of(target: Path) -> str:
    """Return what a key says; zip for one that says none, which is not a mistake: code is known by its first bytes."""
    from botdock.archive import format_for
    from botdock.errors import ArchiveError

    try:
        return format_for(target)
    except ArchiveError:
        return "zip"
