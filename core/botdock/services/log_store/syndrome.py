"""Tells from a CRC-32 which single byte is wrong.

The CRC of damaged bytes and that of the right ones differ by a value, the syndrome, that depends on the damage alone,
for a CRC is linear. A wrong byte, followed by n right ones, leaves an entry of the CRC's table stepped n times. Each
step can be undone, since the highest bytes of the table's entries are all different; so the syndrome is stepped back
until it is an entry again: its number is what was flipped in the byte, and the steps say where. See Ross Williams, "A
Painless Guide to CRC Error Detection Algorithms" (1993), and Stigge, Plötz, Müller and Redlich, "Reversing CRC - Theory
and Practice" (Humboldt University Berlin, SAR-PR-2006-05).
"""

from __future__ import annotations

from collections.abc import Iterator

_POLYNOMIAL = 0xEDB88320
"""Of the CRC-32 of zlib, gzip and Ethernet, bits reversed."""
_BITS = 8


def _entry(number: int) -> int:
    for _ in range(_BITS):
        number = number >> 1 ^ (_POLYNOMIAL if number & 1 else 0)
    return number


_TABLE = [_entry(number) for number in range(256)]
_NUMBERS = {entry >> 24: number for number, entry in enumerate(_TABLE)}
_BACK = [(_TABLE[_NUMBERS[high]], _NUMBERS[high]) for high in range(256)]


def single_bytes(syndrome: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield each way in which one wrong byte among `size` makes a syndrome: its place, and the bits that are flipped.

    Two bytes that are close together have never the same; in a chunk of 256 KiB, one syndrome in 64 has a second way.
    """
    if not syndrome:
        return
    for place in range(size - 1, -1, -1):
        entry, number = _BACK[syndrome >> 24]
        rest = syndrome ^ entry
        if not rest:
            yield place, number
        syndrome = rest << _BITS | number
