"""`botdock pack`: checks, and the one call that packs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from botdock.archive import ArchiveFormat, pack
from botdock.errors import CodeError
from botdock.model import Phase, Progress
from botdock.model.units import format_bytes
from botdock_cli.files import check_target
from botdock_cli.interrupts import interruptible
from botdock_cli.output import print_json, print_text
from botdock_cli.progress import bars_on_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botdock.archive import PackReport
    from botdock_cli.progress import ProgressBars


@attrs.frozen(kw_only=True)
class Packed:
    """What was made.

    Attributes:
        path: The archive.
        size: Its bytes.
        report: What it holds.
    """

    path: Path
    size: int
    report: PackReport


@interruptible
def pack_to_file(folder: str, *, output: str | None, format: str | None, force: bool, as_json: bool) -> int:  # noqa: A002 - the option's name
    """Pack `folder`, say what was made, and return what to exit with.

    Raises:
        BotdockError: As from `pack_folder`.
    """
    packed = pack_folder(folder, output=output, format=format, force=force)
    return print_json(as_document(packed)) if as_json else print_text(as_text(packed))


def pack_folder(folder: str, *, output: str | None, format: str | None, force: bool) -> Packed:  # noqa: A002 - the same
    """Pack `folder`.

    Raises:
        CodeError: It is no folder.
        TargetError: The archive is there already and `force` is not given, or its folder is not there.
        ArchiveError: It holds what no archive may.
    """
    tree = Path(folder)
    if not tree.is_dir():
        said = "is no folder" if tree.exists() else "does not exist"
        raise CodeError(f"{folder} {said}", source=folder, hint="botdock pack DIR takes the folder of a bot.")
    target = Path(output) if output else Path(f"{Path(os.path.abspath(folder)).name or 'bot'}.{format or 'zip'}")  # noqa: PTH100 - resolve() would follow links
    check_target(target, force=force, name="bot.zip")
    with bars_on_terminal() as bars:
        report = pack(tree, target, format=ArchiveFormat(format) if format else None, progress=_reporting(bars, folder))
    return Packed(path=target, size=target.stat().st_size, report=report)


def _reporting(bars: ProgressBars | None, folder: str) -> Callable[[int, int], None] | None:
    if bars is None:
        return None
    return lambda done, total: bars(Progress(phase=Phase.GENERATE, what=folder, current=done, total=total))


def as_document(packed: Packed) -> dict[str, Any]:
    """Return what `pack --json` prints."""
    report = packed.report
    return {
        "path": str(packed.path),
        "format": str(report.format),
        "entries": report.entries,
        "bytes": report.bytes,
        "size": packed.size,
        "sha256": report.sha256,
    }


def as_text(packed: Packed, *, name: str | None = None) -> Iterator[str]:
    """Yield what was made; `name` says what to call it, else its path does."""
    report = packed.report
    sizes = f"{format_bytes(report.bytes)}, packed into {format_bytes(packed.size)}"
    entries = "1 entry" if report.entries == 1 else f"{report.entries} entries"
    yield f"{name or packed.path}: {entries}, {sizes}"
    yield f"sha256 {report.sha256}"
