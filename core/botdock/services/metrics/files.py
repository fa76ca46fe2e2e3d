"""The files in which runners keep their numbers, as bytes and back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from botdock.model.metrics import DURATION_BUCKETS, Labels, OperationStats, Series
from botdock.services.metrics.series import Operations

LARGEST = 16 * 1024 * 1024
"""Bytes of a file that is read; one with every series that there can be is a fifth of it."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BOUNDS = list(DURATION_BUCKETS)


class DamagedFileError(Exception):
    """A file is not what a runner writes; the message says why."""


@attrs.frozen(kw_only=True)
class Account:
    """What a file says.

    Attributes:
        since: When counting began, UTC.
        operations: What was counted.
        runners: How many runners that have ended are in it.
        folded: Names of those that came into it last; one whose file is still there was killed over deleting it.
        offsets: What runners that still run had counted when the total was reset, by name: it counts no more.
    """

    since: datetime
    operations: Operations = attrs.field(factory=dict)
    runners: int = 0
    folded: tuple[str, ...] = ()
    offsets: Mapping[str, Operations] = attrs.field(factory=dict)


def encode(account: Account) -> bytes:
    """Return the bytes of a file."""
    document = {
        "version": 1,
        "bounds": _BOUNDS,
        "since": account.since.isoformat(),
        "runners": account.runners,
        "folded": account.folded,
        "offsets": {name: _as_rows(operations) for name, operations in account.offsets.items()},
        "operations": _as_rows(account.operations),
    }
    return json.dumps(document).encode()


def read_account(path: Path) -> Account | None:
    """Return what a file says; None when it is not there.

    Raises:
        DamagedFileError: It is not what a runner writes, or cannot be read.
    """
    try:
        return _decode(_read(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedFileError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DamagedFileError(f"{path} is damaged ({type(error).__name__}: {error})") from error


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one.

    It is not forced to the disk: what a killed process wrote stays, and after a power cut the numbers of the last
    seconds are missed less than an `fsync` after each execution would be noticed.
    """
    draft = path.with_suffix(".tmp")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def _read(path: Path) -> bytes:
    descriptor = os.open(path, _READ)
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"more than {LARGEST} bytes")
    return data


def _decode(data: bytes) -> Account:
    document = json.loads(data)
    if document["version"] != 1 or document["bounds"] != _BOUNDS:
        raise ValueError("another version of botdock wrote it")
    since = datetime.fromisoformat(document["since"])
    if since.utcoffset() is None:
        raise ValueError("a time without a zone")
    return Account(
        since=since.astimezone(UTC),
        runners=_natural(document["runners"]),
        folded=tuple(_text(name) for name in document["folded"]),
        offsets={_text(name): dict(_from_rows(rows)) for name, rows in document["offsets"].items()},
        operations=dict(_from_rows(document["operations"])),
    )


def _as_rows(operations: Mapping[Series, OperationStats]) -> list[list[Any]]:
    return [
        [name, labels, stats.count, stats.errors, stats.bytes, stats.seconds, stats.buckets]
        for (name, labels), stats in operations.items()
    ]


def _from_rows(rows: Any) -> Iterator[tuple[Series, OperationStats]]:
    for name, labels, count, errors, size, seconds, buckets in rows:
        stats = OperationStats(
            count=_natural(count),
            errors=_natural(errors),
            bytes=_natural(size),
            seconds=_seconds(seconds),
            buckets=tuple(_natural(bucket) for bucket in buckets),
        )
        _check(stats)
        yield (_text(name), _labels(labels)), stats


def _check(stats: OperationStats) -> None:
    if len(stats.buckets) != len(DURATION_BUCKETS) + 1 or list(stats.buckets) != sorted(stats.buckets):
        raise ValueError("no cumulative buckets")
    if max(stats.errors, stats.timed) > stats.count:
        raise ValueError("more errors or durations than operations")


def _labels(labels: Any) -> Labels:
    return tuple((_text(name), _text(value)) for name, value in labels)


def _natural(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _seconds(value: Any) -> float:
    if type(value) not in {int, float} or not 0 <= value < float("inf"):
        raise ValueError(f"{value!r} is no duration")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
