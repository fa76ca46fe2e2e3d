"""How large an archive may be, and how much of it has come out: counted on the bytes, never on what a header says."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from botdock.archive._entry import Entry, OnProgress, refusal
from botdock.errors import ArchiveError, ConfigError
from botdock.model.limits import GIB, MIB
from botdock.model.units import Bytes

MAX_DEPTH = 256
"""Deepest tree there can be, whatever the limits say: walking it holds one open folder a level."""

RATIO_FROM = 1 * MIB
"""Bytes that must have come out before the ratio counts: tiny archives of repeated text exceed any ratio."""

_REPORT_EVERY = 1 * MIB

MAX_NAMES = 24 * MIB
"""Memory for the names and targets of all entries together: they are kept until the last one is unpacked."""


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


@attrs.define(eq=False)
class Budget:
    """The counters of one extraction.

    Args:
        limits: The bounds.
        packed: Packed bytes that the unpacked ones are compared with; None where nothing is packed.
        packed_total: What progress is told.
        progress: Told now and then.

    Attributes:
        bytes: Bytes of files so far.
    """

    _limits: ArchiveLimits
    _packed: Callable[[], int] | None = attrs.field(default=None, kw_only=True)
    _packed_total: int = attrs.field(default=0, kw_only=True)
    _progress: OnProgress | None = attrs.field(default=None, kw_only=True)
    bytes: int = attrs.field(default=0, init=False)
    _reported: int = attrs.field(default=0, init=False)
    _beside: int = attrs.field(default=0, init=False)
    _file: int = attrs.field(default=0, init=False)
    _name: str | None = attrs.field(default=None, init=False)

    def begin(self, entry: Entry) -> None:
        """Start on an entry; what it declares is refused at once if already that is too much."""
        self._name, self._file = entry.name, 0
        self._check(entry.size, self.bytes + entry.size)
        if entry.target:
            self.beside(len(entry.target))

    def spend(self, count: int) -> None:
        """Count bytes of the current file, before they are written."""
        self.bytes += count
        self._file += count
        self._check(self._file, self.bytes)
        if self._packed is not None:
            self.compare(self._packed())
        if self.bytes - self._reported >= _REPORT_EVERY:
            self.report()

    def beside(self, count: int) -> None:
        """Count bytes that came out but belong to no file: they have a total of their own, and add to the ratio."""
        self._beside += count
        if self._beside > max(self._limits.total_bytes, RATIO_FROM):
            self._name = None
            raise self._over("total_bytes", self._limits.total_bytes)
        if self._packed is not None:
            self.compare(self._packed())

    def compare(self, packed: int) -> None:
        """Refuse what has come out so far as too much for `packed` bytes."""
        out = self.bytes + self._beside
        if out > RATIO_FROM and out > self._limits.ratio * packed:
            raise self._over("ratio", self._limits.ratio)

    def report(self) -> None:
        """Tell how far it is."""
        self._reported = self.bytes
        if self._progress is not None:
            self._progress(self.bytes, self._packed_total)

    def _check(self, file: int, total: int) -> None:
        if file > self._limits.file_bytes:
            raise self._over("file_bytes", self._limits.file_bytes)
        if total > self._limits.total_bytes:
            raise self._over("total_bytes", self._limits.total_bytes)

    def _over(self, name: str, bound: int) -> ArchiveError:
        what = f"brings the unpacked size over {name} = {bound} bytes"
        if name == "ratio":
            what = f"unpacks to more than {bound} times its packed size"
        hint = f"An operator can raise `code.{name}` in botdock.toml."
        return refusal(what, limit=f"{name}={bound}", entry=self._name, hint=hint)
