"""Safe archives: zip and tar into a new folder, a folder into a zip or a tar, and a folder into a folder.

Nothing that a hostile archive can say makes a file appear outside the folder, takes more than the limits allow, or
leaves anything behind once it is refused. `remove_tree` removes a folder, whatever a bot made of it; `tree_as_tar` is
how an engine sends one that is ours. Useful alone; `ArchiveError` and `StorageError` are in `botdock.errors`.

Example:
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     bot = Path(place, "bot")
    ...     bot.mkdir()
    ...     _ = (bot / "main.py").write_text("def main(id, config): ...")
    ...     packed = pack(bot, Path(place, "bot.zip"))
    ...     found = extract(Path(place, "bot.zip"), Path(place, "unpacked"))
    >>> found
    ExtractReport(format=<ArchiveFormat.ZIP: 'zip'>, entries=1, bytes=25, left_out=(), sha256='')
"""

from typing import TYPE_CHECKING

from botdock._lazy import importing as _importing

if TYPE_CHECKING:
    from botdock.archive._extract import ExtractReport, copy_tree, detect, extract
    from botdock.archive._formats import ArchiveFormat, format_for
    from botdock.archive._limits import ArchiveLimits
    from botdock.archive._pack import PackReport, pack
    from botdock.archive._remove import remove_tree
    from botdock.archive._tree import end_of_tar, tree_as_tar

_HOMES = {
    "_extract": "ExtractReport copy_tree detect extract",
    "_formats": "ArchiveFormat format_for",
    "_limits": "ArchiveLimits",
    "_pack": "PackReport pack",
    "_remove": "remove_tree",
    "_tree": "end_of_tar tree_as_tar",
}

__all__ = [
    "ArchiveFormat",
    "ArchiveLimits",
    "ExtractReport",
    "PackReport",
    "copy_tree",
    "detect",
    "end_of_tar",
    "extract",
    "format_for",
    "pack",
    "remove_tree",
    "tree_as_tar",
]

if not TYPE_CHECKING:  # a type checker is to see unknown names as errors
    __getattr__ = _importing(__name__, _HOMES)
