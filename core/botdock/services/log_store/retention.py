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
    index_name,
    read_document,
    seal_name,
    sync_folder,
    write_document,
)
from botdock.services.log_store.tally import Tally

LEVEL = 1
"""Of gzip: lines shrink to a tenth with the quickest, and the bots want the processors."""


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
    draft = target.with_name(f".{target.name}.tmp")
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


def sweep(directory: Path) -> None:
    """Remove the files of the segments that `removed.json` calls removed, which a crash may have left.

    Raises:
        OSError: The disk refused.
    """
    document = read_document(directory / REMOVED)
    count = int(document["segments"]) if document else 0
    number = count - 1
    while number >= 0 and _unlink(directory, number):
        number -= 1


def _unlink(directory: Path, number: int) -> bool:
    """Remove the files of a segment, the index last; return whether there were any."""
    names = [data_name(stream, number) for stream in STREAMS]
    names += [*map(compressed_name, names), seal_name(number), index_name(number)]
    there = [path for name in names if (path := directory / name).exists()]
    for path in there:
        path.unlink(missing_ok=True)
    return bool(there)
