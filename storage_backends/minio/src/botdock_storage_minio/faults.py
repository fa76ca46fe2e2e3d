"""Which faults may pass by themselves, and asking again when one did occur."""

from __future__ import annotations

import random
import ssl
import threading
from typing import TYPE_CHECKING, TypeVar
from xml.etree.ElementTree import ParseError

import attrs
import urllib3.exceptions as http
from minio.error import S3Error, ServerError

from botdock_storage_minio.deadline import Deadline, until
from botdock_storage_minio.transport import NotS3Error

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")

_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
"""Request Timeout, Too Many Requests, and what a server, or a proxy before it, says when it is not well."""
_CODES = frozenset({"BadDigest", "IncompleteBody", "OperationAborted", "RequestTimeout", "XAmzContentSHA256Mismatch"})
"""S3's words, under other statuses, for bytes that were changed or lost on the way, or that came too late."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
"""Seconds; what the S3 clients of the large projects begin and end with."""


class ShortAnswerError(Exception):
    """Less of an object came than there is of it."""


def is_transient(error: BaseException) -> bool:
    """Whether the same request, sent again, may succeed; never so for a refused key."""
    if isinstance(error, S3Error):
        return error.code in _CODES or error.response.status in _STATUSES
    if isinstance(error, ServerError):
        return error.status_code in _STATUSES
    if isinstance(error, NotS3Error):
        return error.status in _STATUSES
    if isinstance(error, http.SSLError):
        return any(isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError) for cause in error.args)
    if isinstance(error, http.NameResolutionError):
        return False
    return isinstance(error, http.TimeoutError | http.ProtocolError | ParseError | ShortAnswerError)


@attrs.define
class Attempts:
    """Makes calls, and repeats those that failed for a transient reason, with growing pauses of random length.

    Attributes:
        retries: How often a call is repeated.
        timeout: Seconds for one call with its repetitions.
        silence: Seconds without a byte.
    """

    retries: int
    timeout: float
    silence: float
    _stopped: threading.Event = attrs.field(factory=threading.Event, init=False)

    def run(self, call: Callable[[], _Result]) -> _Result:
        """Return what `call` returns; its last error goes through."""
        deadline = Deadline(self.timeout, silence=self.silence)
        for number in range(self.retries):
            try:
                with until(deadline):
                    return call()
            except Exception as error:
                if not is_transient(error) or not self._pause(number, deadline):
                    raise
        with until(deadline):
            return call()

    def stop(self) -> None:
        """Repeat nothing from now on."""
        self._stopped.set()

    def _pause(self, number: int, deadline: Deadline) -> bool:
        """Wait before the next attempt, and say whether there is to be one."""
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**number)
        pause = random.uniform(longest / 2, longest)  # noqa: S311 - it spreads clients over time, and guards nothing
        return pause < deadline.left and not self._stopped.wait(pause)
