"""How much has come out, counted on the bytes themselves and never on what a header says."""

from __future__ import annotations

from collections.abc import Callable

from botdock.archive._entry import Entry, OnProgress
from botdock.archive._limits import RATIO_FROM, ArchiveLimits
from botdock.archive._refusal import refusal
from botdock.errors import ArchiveError

_REPORT_EVERY = 1 << 20


class Budget:
    """The counters of one extraction.

    Attributes:
        bytes: Bytes of files so far.
    """

    def __init__(
        self,
        limits: ArchiveLimits,
        *,
        packed: Callable[[], int] | None = None,
        packed_total: int = 0,
        progress: OnProgress | None = None,
    ) -> None:
        """Start at nothing.

        Args:
            limits: The bounds.
            packed: Packed bytes that the unpacked ones are compared with; None where nothing is packed.
            packed_total: What progress is told.
            progress: Told now and then.
        """
        self.bytes = 0
        self._limits = limits
        self._packed = packed
        self._packed_total = packed_total
        self._progress = progress
        self._reported = 0
        self._beside = 0
        self._file = 0
        self._name: str | None = None

    def begin(self, entry: Entry) -> None:
        """Start on an entry; what it declares is refused at once if already that is too much."""
        self._name = entry.name
        self._file = 0
        if entry.size:
            self._check(entry.size, self.bytes + entry.size)
        if entry.target:
            self.beside(len(entry.target))

    def spend(self, count: int) -> None:
        """Count bytes of the current file, before they are written."""
        self.bytes += count
        self._file += count
        self._check(self._file, self.bytes)
        self._check_ratio()
        if self.bytes - self._reported >= _REPORT_EVERY:
            self.report()

    def beside(self, count: int) -> None:
        """Count bytes that came out but belong to no file: they have a total of their own, and add to the ratio."""
        self._beside += count
        if self._beside > max(self._limits.total_bytes, RATIO_FROM):
            self._name = None
            raise self._over("total_bytes", self._limits.total_bytes)
        self._check_ratio()

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

    def compare(self, packed: int) -> None:
        """Refuse what has come out so far as too much for `packed` bytes."""
        out = self.bytes + self._beside
        if out > RATIO_FROM and out > self._limits.ratio * packed:
            raise self._over("ratio", self._limits.ratio)

    def _check_ratio(self) -> None:
        if self._packed is not None:
            self.compare(self._packed())

    def _over(self, name: str, bound: int) -> ArchiveError:
        what = {"ratio": f"unpacks to more than {bound} times its packed size"}.get(
            name, f"brings the unpacked size over {name} = {bound} bytes"
        )
        hint = f"An operator can raise `code.{name}` in botdock.toml."
        return refusal(what, limit=f"{name}={bound}", entry=self._name, hint=hint)
