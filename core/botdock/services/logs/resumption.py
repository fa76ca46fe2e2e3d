"""Opens broken streams again, where the log on disk ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import attrs

from botdock._log import about
from botdock.errors import BotdockError, ContainerNotFoundError
from botdock.services.logs.collection import Collection
from botdock.services.logs.crew import Crew

THREADS = 4
"""How many streams are opened at once: a restarted daemon breaks all of them together, and each may take seconds."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
"""Seconds between attempts: the first that fails is followed at once, then each pause is twice the one before."""
MIN_ATTEMPTS = 3
"""Attempts that are made even if each takes longer than all the time there is."""


@attrs.define
class _Patience:
    """How often and since when a stream could not be read on.

    Attributes:
        since: On the monotonic clock.
        attempts: How often it was opened, or was to be, since it last brought something.
    """

    since: float
    attempts: int = 0

    @property
    def pause(self) -> float:
        """Seconds until the next attempt."""
        return 0.0 if not self.attempts else min(FIRST_PAUSE * 2 ** min(self.attempts - 1, 10), LONGEST_PAUSE)


class Resumption:
    """Opens streams in a few threads, patiently, until an engine that was away has come back.

    A stream is given up when it was not to be read for `timeout` seconds, or its container is gone. One that breaks
    again at once, without a byte, has not come back: pauses go on to grow.

    Args:
        timeout: Seconds.
        on_opened: Called with a collection whose stream can be read again.
        record: Told of each `resume`: the name, whether it succeeded, bytes (0).
    """

    def __init__(
        self, *, timeout: float, on_opened: Callable[[Collection], None], record: Callable[[str, bool, int], None]
    ) -> None:
        self._timeout = timeout
        self._on_opened = on_opened
        self._record = record
        self._patience: dict[Collection, _Patience] = {}
        self._crew = Crew("botdock-log-resume", THREADS)

    def begin(self, collection: Collection, *, first: bool = False) -> None:
        """Open the stream of a collection that nobody reads; `first` says that it never was."""
        patience = self._patience.get(collection)
        now = time.monotonic()
        if patience is None or collection.delivered or now - collection.opened > LONGEST_PAUSE:
            patience = self._patience[collection] = _Patience(now)
        if self._is_over(patience):
            self._give_up(collection, BotdockError(collection.status().error))
            return
        self._crew.submit(partial(self._attempt, collection, patience, first=first), delay=patience.pause)

    def forget(self, collection: Collection) -> None:
        """Drop what is known of a collection that has ended."""
        self._patience.pop(collection, None)

    def close(self, timeout: float) -> None:
        """Open nothing more, and wait for what is being opened, at most `timeout` seconds."""
        self._crew.close(timeout)

    def _attempt(self, collection: Collection, patience: _Patience, *, first: bool) -> None:
        with about(collection.source.execution_id):
            self._open(collection, patience, first=first)

    def _open(self, collection: Collection, patience: _Patience, *, first: bool) -> None:
        if collection.leaving:
            return
        patience.attempts += 1
        try:
            opened = collection.reopen()
        except BaseException as error:  # noqa: BLE001 - an engine may raise what it likes; it is asked again
            self._failed(collection, patience, error, first=first)
            return
        if opened:
            if not first:
                self._record("resume", True, 0)  # noqa: FBT003 - the callback's signature
            self._on_opened(collection)

    def _failed(self, collection: Collection, patience: _Patience, error: BaseException, *, first: bool) -> None:
        if self._is_over(patience) or isinstance(error, ContainerNotFoundError):
            self._give_up(collection, error)
        else:
            self._crew.submit(partial(self._attempt, collection, patience, first=first), delay=patience.pause)

    def _is_over(self, patience: _Patience) -> bool:
        return time.monotonic() - patience.since >= self._timeout and patience.attempts >= MIN_ATTEMPTS

    def _give_up(self, collection: Collection, error: BaseException) -> None:
        collection.give_up(error)
        self._record("resume", False, 0)  # noqa: FBT003 - the callback's signature
        collection.log.bind(error=str(error)).warning("the log could not be continued")
