"""Masks secrets in a stream of bytes, whatever the pieces in which it comes."""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

STAR = b"*"
"""Each byte of a secret becomes one, so that what is stored is as long as what was written: lengths stay cursors."""

_HEAD = 8
"""Bytes of a secret that are looked for to find where it may begin."""


@attrs.frozen
class Masked:
    """What has come out.

    Attributes:
        data: The bytes, as many as went in.
        spans: Where in them a secret was: begin and end of each.
    """

    data: bytes
    spans: tuple[tuple[int, int], ...] = ()

    def split(self, size: int) -> tuple[Masked, Masked]:
        """Return the first `size` bytes and the rest; a secret is never cut, and belongs to the rest."""
        size = min(size, len(self.data))
        at = next((begin for begin, end in self.spans if begin < size < end), size)
        before = tuple(span for span in self.spans if span[1] <= at)
        behind = tuple((begin - at, end - at) for begin, end in self.spans if begin >= at)
        return Masked(self.data[:at], before), Masked(self.data[at:], behind)


class Masker:
    """Masks every occurrence of every secret: the leftmost first, of several that begin at one byte the longest.

    What could be the beginning of a secret is held back until more has come: less than the longest secret. At every
    byte up to which something was handed out, another masker can go on with the next one and comes to the same.

    Args:
        secrets: The secrets; an empty one is none.
    """

    def __init__(self, secrets: Iterable[bytes] = ()) -> None:
        known = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, known))) if known else None
        self._secrets = known
        self._held = b""

    def feed(self, data: bytes) -> Masked:
        """Take the next bytes, and return those that are now certain."""
        if self._pattern is None:
            return Masked(data)
        data = self._held + data
        spans = [match.span() for match in self._pattern.finditer(data)]
        certain = self._certain(data, spans)
        self._held = data[certain:]
        return _masked(data[:certain], [span for span in spans if span[1] <= certain])

    def finish(self) -> Masked:
        """Return what is held back: nothing more will come. Begins anew."""
        data, self._held = self._held, b""
        spans = [match.span() for match in self._pattern.finditer(data)] if self._pattern else []
        return _masked(data, spans)

    def reset(self) -> None:
        """Forget what is held back: it will come again."""
        self._held = b""

    def _certain(self, data: bytes, spans: list[tuple[int, int]]) -> int:
        """Return up to where nothing that may still come can change what is a secret and what is not."""
        certain = self._open_from(data, 0)
        for begin, end in spans:
            if begin < certain < end:  # it was decided before, and so what begins inside it begins no other
                certain = self._open_from(data, end)
        return certain

    def _open_from(self, data: bytes, start: int) -> int:
        """Return where the longest end of `data`, behind `start`, begins that begins a secret."""
        return min((_begins_at(data, start, secret) for secret in self._secrets), default=len(data))


def _begins_at(data: bytes, start: int, secret: bytes) -> int:
    """Return where the longest end of `data`, behind `start`, begins that is the beginning of `secret` and no more."""
    at = max(start, len(data) - len(secret) + 1)
    head = secret[:_HEAD]
    while (at := data.find(head, at)) >= 0:
        if secret.startswith(data[at:]):
            return at
        at += 1
    shortest = range(max(start, len(data) - _HEAD + 1), len(data))
    return next((at for at in shortest if secret.startswith(data[at:])), len(data))


def _masked(data: bytes, spans: list[tuple[int, int]]) -> Masked:
    if not spans:
        return Masked(data)
    masked = bytearray(data)
    for begin, end in spans:
        masked[begin:end] = STAR * (end - begin)
    return Masked(bytes(masked), tuple(spans))
