"""What becomes of a segment to which nothing is added any more: it is compressed, and removed when its time comes."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

from botdock.services.log_store.layout import (
    REMOVED,
    STREAMS,
    VERSION,
    compressed_name,
    data_name,
    draft_name,
    read_document,
    segment_of,
    sync_folder,
    write_document,
)
from botdock.services.log_store.tally import Tally

LEVEL = 1
"""Of gzip: lines shrink to a tenth with the quickest, and the bots want the processors."""
PACKED_HEAD = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x04\xff"
"""With what a compressed file begins: no name, no time, packed quickly, on no system in particular (RFC 1952, 2.3)."""


def compress_segment(directory: Path, number: int) -> None:
    """Compress the files with the bytes of a sealed segment; the index stays as it is, to be read from any place.

    A crash leaves the plain file, or both, or the compressed one; who reads takes the plain one as long as it is there.

    Raises:
        OSError: The disk took no more; the plain file stays.
    """
    for stream in STREAMS:
        path = directory / data_name(stream, number)
        if path.exists():
            _compress(path, directory / compressed_name(path.name))


def _compress(path: Path, target: Path) -> None:
    draft = target.with_name(draft_name(target.name))
    try:
        with path.open("rb") as source, draft.open("wb") as raw:
            with gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=LEVEL, mtime=0) as packed:
                shutil.copyfileobj(source, packed, 1024 * 1024)
            raw.flush()
            os.fsync(raw.fileno())
        draft.chmod(0o600)
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    path.unlink()


def remove_segment(directory: Path, number: int, removed: Tally) -> None:
    """Remove the oldest segment that is kept.

    Args:
        directory: Of the log.
        number: Of the segment.
        removed: What is in all segments that are gone then, this one among them; `removed.json` holds it before the
            first file goes.

    Raises:
        OSError: The disk refused.
    """
    write_document(directory / REMOVED, {"version": VERSION, "segments": number + 1, **removed.to_json()})
    sweep(directory)


def read_removed(directory: Path) -> tuple[int, Tally]:
    """Return how many segments retention has removed, and what was in them.

    Raises:
        OSError: It cannot be read.
        ValueError: It is damaged.
    """
    path = directory / REMOVED
    document = read_document(path)
    if document is None:
        if path.exists():
            raise ValueError(f"{REMOVED} is damaged")
        return 0, Tally()
    return int(document["segments"]), Tally.from_json(document)


def sweep(directory: Path) -> None:
    """Remove what a crash may have left: files of segments that `removed.json` calls removed, and half-written ones.

    Raises:
        OSError: The disk refused.
        ValueError: `removed.json` is damaged.
    """
    count, _ = read_removed(directory)
    names = os.listdir(directory)  # noqa: PTH208 - only names
    gone = [name for name in names if (number := segment_of(name)) is not None and number < count]
    gone += [name for name in names if name.startswith(".") and name.endswith(".tmp")]
    gone += [compressed_name(name) for name in names if compressed_name(name) in names]  # the plain one counts
    for name in sorted(gone, key=lambda name: name.startswith("index.")):
        (directory / name).unlink(missing_ok=True)
