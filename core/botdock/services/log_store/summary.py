"""From counts and hashes to the summary of a log."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from botdock.model.logs import LogSummary, Stream
from botdock.services.log_store.files import open_data, pieces
from botdock.services.log_store.layout import STREAMS, data_name
from botdock.services.log_store.tally import Tally

_SECOND = 1_000_000_000


def summarise(
    *,
    kept: Tally,
    removed: Tally,
    hashes: Mapping[Stream, str],
    open_lines: Mapping[Stream, bool],
    segments: int,
    removed_segments: int,
    complete: bool,
) -> LogSummary:
    """Return the summary.

    Args:
        kept: What is in the segments that are there.
        removed: What was in those that retention has removed.
        hashes: SHA-256 of what is kept, by stream.
        open_lines: Whether a stream ends without a newline.
        segments: How many segments are there.
        removed_segments: How many are gone.
        complete: Whether the log was read to its end and the exit is known.
    """
    streams: dict[str, dict[str, int | str]] = {
        stream.value: {"bytes": tally.bytes, "lines": tally.newlines + open_lines[stream], "sha256": hashes[stream]}
        for stream, tally in kept.streams.items()
    }
    return LogSummary(
        bytes=kept.bytes,
        lines=kept.newlines + sum(open_lines.values()),
        sha256=combined_hash({name: str(entry["sha256"]) for name, entry in streams.items()}),
        streams=streams,
        gaps=kept.gaps + removed.gaps,
        gap_bytes=kept.gap_bytes + removed.gap_bytes,
        gap_seconds=(kept.gap_ns + removed.gap_ns) / _SECOND,
        masked=kept.masked + removed.masked,
        segments=segments,
        removed_segments=removed_segments,
        removed_bytes=removed.bytes,
        removed_lines=removed.newlines,
        complete=complete,
    )


def combined_hash(streams: Mapping[str, str]) -> str:
    """Return the one hash of a log: SHA-256 of a line `<stream> <its SHA-256>` for stdout, then for stderr."""
    text = "".join(f"{stream.value} {streams[stream.value]}\n" for stream in STREAMS)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_stream(directory: Path, stream: Stream, segments: range) -> str:
    """Return the SHA-256 of what is in these segments of a stream; reads all of it.

    Raises:
        OSError: A file is missing or cannot be read.
    """
    digest = hashlib.sha256()
    for number in segments:
        with open_data(directory, data_name(stream, number)) as file:
            for piece in pieces(file):
                digest.update(piece)
    return digest.hexdigest()
