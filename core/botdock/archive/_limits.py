"""How large what comes out of an archive may be."""

from __future__ import annotations

import attrs

from botdock.errors import ConfigError
from botdock.model.limits import GIB, MIB
from botdock.model.units import Bytes

MAX_DEPTH = 256
"""Deepest tree there can be, whatever the limits say: walking it holds one open folder a level."""


@attrs.frozen(kw_only=True)
class ArchiveLimits:
    """Bounds of what comes out of an archive; the names and the defaults are those of the configuration's `code`.

    Attributes:
        total_bytes: Bytes unpacked.
        entries: Files, folders and links made, folders that are only implied by a name included.
        file_bytes: Bytes of one file.
        ratio: Unpacked bytes per packed byte, checked once 1 MiB has come out.
        depth: Nested folders, at most 256.
        name_bytes: Bytes of one whole name, and of the target of a link.

    Raises:
        ConfigError: With every limit that is out of range.
    """

    total_bytes: Bytes = 1 * GIB
    entries: int = 100_000
    file_bytes: Bytes = 512 * MIB
    ratio: int = 200
    depth: int = 64
    name_bytes: int = 1024

    def __attrs_post_init__(self) -> None:
        """Refuse values that mean nothing."""
        wrong = [
            f"{name}: {value!r} must be a number above 0" for name, value in attrs.asdict(self).items() if not value > 0
        ]
        if self.depth > MAX_DEPTH:
            wrong.append(f"depth: {self.depth} must be at most {MAX_DEPTH}")
        if wrong:
            raise ConfigError([f"archive limits: {problem}" for problem in wrong])


DEFAULT_LIMITS = ArchiveLimits()
