"""The records of an extended header (POSIX.1-2017, "pax Extended Header"): `<length> <key>=<value>` and a newline."""

from __future__ import annotations

import re
from collections.abc import Iterator

from botdock.archive._refusal import refusal
from botdock.errors import ArchiveError

_START = re.compile(rb"([1-9][0-9]{0,6}) ([^=]+)=")
_SIZE = re.compile(rb"[0-9]{1,20}")
_WANTED = {b"path": "path", b"linkpath": "linkpath", b"size": "size"}


def pax_records(data: bytes, name: str) -> dict[str, bytes]:
    """Return what `data` says of path, linkpath and size; an empty value means that it says nothing.

    Raises:
        ArchiveError: `format`, or `sparse` for a file that is stored with its holes left out.
    """
    found = {}
    for key, value in _split(data, name):
        if key.startswith(b"GNU.sparse."):
            raise sparse(name)
        if value and key in _WANTED:
            found[_WANTED[key]] = value
    if "size" in found and not _SIZE.fullmatch(found["size"]):
        raise _broken(name)
    return found


def sparse(name: str) -> ArchiveError:
    """Return the refusal of a sparse file: its size on disk is not what the archive holds of it."""
    return refusal("is stored as a sparse file", limit="sparse", entry=name, hint="Pack it without --sparse.")


def _split(data: bytes, name: str) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        start = _START.match(data, at)
        end = at + int(start[1]) if start else 0
        if start is None or not start.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise _broken(name)
        yield start[2], data[start.end() : end - 1]
        at = end


def _broken(name: str) -> ArchiveError:
    return refusal("has a damaged extended header", limit="format", entry=name)
