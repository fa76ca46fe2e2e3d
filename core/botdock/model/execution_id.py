"""Names for executions: they sort by time, and can name a container, a folder and a Kubernetes object."""

from __future__ import annotations

import re
import secrets
import threading
import time
from datetime import UTC, datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case, as ULIDs use it; Kubernetes names allow no upper case."""
_TIME_CHARACTERS = 10
_RANDOM_CHARACTERS = 16
_RANDOM_BITS = 5 * _RANDOM_CHARACTERS

EXECUTION_ID = re.compile(f"[{_ALPHABET}]{{{_TIME_CHARACTERS + _RANDOM_CHARACTERS}}}")

_lock = threading.Lock()
_last = 0


def new_execution_id() -> str:
    """Return a new id: 48 bits of milliseconds and 80 random ones, as a ULID (https://github.com/ulid/spec).

    Ids made by one process are strictly increasing, within a millisecond too.
    """
    global _last  # noqa: PLW0603 - the order holds for the whole process
    fresh = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    with _lock:
        _last = max(fresh, _last + 1)
        number = _last
    return _encode(number)


def time_of(execution_id: str) -> datetime:
    """Return when an id was made, to the millisecond."""
    number = 0
    for character in execution_id[:_TIME_CHARACTERS]:
        number = number << 5 | _ALPHABET.index(character)
    return datetime.fromtimestamp(number / 1000, UTC)


def first_id_at(moment: datetime) -> str:
    """Return the lowest id that can be made at a time: those that sort below it are older."""
    return _encode(max(round(moment.timestamp() * 1000), 0) << _RANDOM_BITS)


def _encode(number: int) -> str:
    length = _TIME_CHARACTERS + _RANDOM_CHARACTERS
    return "".join(_ALPHABET[number >> 5 * (length - 1 - place) & 31] for place in range(length))


def container_name(execution_id: str) -> str:
    """Return the name of the container of an execution."""
    return f"botdock-{execution_id}"
