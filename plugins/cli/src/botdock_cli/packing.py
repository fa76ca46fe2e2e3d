"""`botdock pack`: checks, and the one call that packs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from botdock.archive import ArchiveFormat, pack
from botdock.errors import CodeError, UserError
from botdock.model.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock.archive import PackReport


class PackError(UserError):
    """The archive may not be written where it was asked for."""


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


def pack_folder(folder: str, *, output: str | None, format: str | None, force: bool) -> Packed:  # noqa: A002 - the option's name
    """Pack `folder`.

    Raises:
        CodeError: It is no folder.
        PackError: The archive is there already and `force` is not given, or its folder is not there.
        ArchiveError: It holds what no archive may.
    """
    tree = Path(folder)
    if not tree.is_dir():
        said = "is no folder" if tree.exists() else "does not exist"
        raise CodeError(f"{folder} {said}", source=folder, hint="botdock pack DIR takes the folder of a bot.")
    target = Path(output) if output else Path(f"{Path(os.path.abspath(folder)).name or 'bot'}.{format or 'zip'}")  # noqa: PTH100 - resolve() would follow links
    _check_target(target, force=force)
    report = pack(tree, target, format=ArchiveFormat(format) if format else None)
    return Packed(path=target, size=target.stat().st_size, report=report)


def _check_target(target: Path, *, force: bool) -> None:
    if target.is_dir():
        raise PackError(f"{target} is a folder", hint=f"-o {target / 'bot.zip'} writes into it.")
    if target.exists() and not force:
        raise PackError(f"{target} is there already", hint="--force replaces it; -o FILE writes another one.")
    if not target.parent.is_dir():
        raise PackError(f"{target.parent} is no folder", hint=f"mkdir -p {target.parent}")


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


def as_text(packed: Packed) -> Iterator[str]:
    """Yield what was made."""
    report = packed.report
    sizes = f"{format_bytes(report.bytes)}, packed into {format_bytes(packed.size)}"
    yield f"{packed.path}: {report.entries} entries, {sizes}"
    yield f"sha256 {report.sha256}"
