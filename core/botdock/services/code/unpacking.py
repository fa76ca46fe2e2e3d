"""Archives and folders into a new folder, under the configured limits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from botdock.errors import ArchiveError, CodeError
from botdock.model.units import format_bytes
from botdock.services.code.fetching import Meter
from botdock.services.code.supply import CodeSource

if TYPE_CHECKING:
    from botdock.archive import ArchiveLimits
    from botdock.config import CodeConfig

_PER_ENTRY = 4096
"""Bytes that an archive may spend on one entry beside its contents and its name: headers, padding, extensions."""


def archive_limits(config: CodeConfig) -> ArchiveLimits:
    """Return the limits of an archive that a configuration sets."""
    from botdock.archive import ArchiveLimits

    return ArchiveLimits(**{field.name: getattr(config, field.name) for field in attrs.fields(ArchiveLimits)})


@attrs.frozen
class Unpacking:
    """Unpacks and copies under the limits of a configuration.

    Attributes:
        config: The configuration.
    """

    config: CodeConfig

    def unpack(self, source: CodeSource, archive: Path, destination: Path, progress: Meter | None) -> None:
        """Unpack spooled bytes, which are removed then.

        Raises:
            ArchiveError: The archive is refused; nothing of it is visible.
            StorageError: The disk is full, or cannot be written.
        """
        from botdock.archive import extract

        try:
            extract(archive, destination, limits=archive_limits(self.config), progress=progress)
        except ArchiveError as error:
            raise _naming_the_origin(error, archive, source.origin) from error
        archive.unlink(missing_ok=True)

    def copy(self, tree: Path, destination: Path, progress: Meter | None) -> tuple[str, ...]:
        """Copy a folder, and return what in it is not code and was left out.

        Raises:
            ArchiveError: What is in it would be refused in an archive.
            StorageError: The disk is full, or cannot be written.
        """
        from botdock.archive import copy_tree

        return copy_tree(tree, destination, limits=archive_limits(self.config), progress=progress).left_out

    def check_size(self, name: str, size: int) -> None:
        """Refuse an archive of which so much has come already that nothing it holds could be within the limits.

        Raises:
            CodeError: It is too large.
        """
        config = self.config
        if size > config.total_bytes + config.entries * (config.name_bytes + _PER_ENTRY):
            raise CodeError(
                f"code at {name!r} is larger than any archive of {format_bytes(config.total_bytes)} can be",
                source=name,
                hint="The bound follows from code.total_bytes and code.entries in botdock.toml.",
            )


def _naming_the_origin(error: ArchiveError, archive: Path, origin: str) -> ArchiveError:
    """Name what the user named in place of its spool, which tells a user nothing."""
    message = error.message.replace(str(archive), origin)
    return ArchiveError(message, entry=error.entry, limit=error.limit, hint=error.hint)
