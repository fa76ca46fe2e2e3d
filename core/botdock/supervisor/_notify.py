"""Tells an operator what happened: by a command, a webhook and the event hook; in the background, and not too often."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import attrs

from botdock._log import hidden, logger
from botdock._threads import Pool
from botdock.config import NotifyConfig
from botdock.config.sources import EVENT_VARIABLES
from botdock.model import Notification
from botdock.services.masking import Mask

_MOST_WAITING = 200
"""Notifications that wait to be told; more of them are counted as suppressed."""
_MOST_KNOWN = 10_000
"""Kinds of bots whose last notification is remembered, before those that bound nothing any more are forgotten."""
_LONGEST = 2000
"""Characters of a text of a notification, which a bot may have written."""
_PAUSES = (1.0, 5.0)
"""Seconds before a webhook is tried again that did not answer, or said that it cannot now."""
_TRY_AGAIN = frozenset({408, 429})
"""Answers below 500 that say so (RFC 9110, section 15.5.9; RFC 6585, section 4)."""
_SERVER_ERROR = 500
_SHOWN = 300
"""Characters of the end of what a command that failed wrote to stderr."""


class _UndeliveredError(Exception):
    """A notification could not be delivered; says why."""


@attrs.define
class _Last:
    """When one kind of notification of one bot was told last, and how often it was not since."""

    at: float
    suppressed: int = 0


class Notifier:
    """Tells an operator what happened; nothing that goes wrong with it harms a bot, or keeps one waiting.

    Args:
        config: Who is told, and how often.
        home: The state folder, in which the command runs.
        secrets: What is masked in all that is told.
        hook: Calls the event hooks: their name, and arguments by keyword.
        clock: Returns seconds that only grow.
    """

    def __init__(
        self,
        config: NotifyConfig,
        *,
        home: Path,
        secrets: tuple[str, ...] = (),
        hook: Callable[..., None] = lambda *_, **__: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._home = home
        self._mask = Mask(secrets)
        self._hook = hook
        self._clock = clock
        self._changed = threading.Condition()
        self._last: dict[tuple[str, str], _Last] = {}
        self._waiting = 0
        self._closing = threading.Event()
        self._pool = Pool("notify", 1)

    def tell(self, notification: Notification) -> None:
        """Tell of something soon, unless `notify.events` leaves it out or the same was told a moment ago.

        Returns at once.
        """
        if notification.kind.value not in self._config.events:
            return
        with self._changed:
            suppressed = self._admit((notification.kind.value, notification.id))
            if suppressed is None:
                return
            self._waiting += 1
        told = attrs.evolve(
            notification,
            message=self._mask(notification.message)[:_LONGEST],
            error=self._mask(notification.error)[:_LONGEST],
            suppressed=suppressed,
        )
        self._pool.submit(lambda: self._deliver(told))

    def _admit(self, key: tuple[str, str]) -> int | None:
        """Return how many were suppressed before this one; None where it is, too."""
        now, last = self._clock(), self._last.get(key)
        full = self._waiting >= _MOST_WAITING
        if last is None and full:
            last = self._last[key] = _Last(now - self._config.interval)
        if last is not None and (full or now - last.at < self._config.interval):
            last.suppressed += 1
            return None
        if len(self._last) >= _MOST_KNOWN:
            bound = now - self._config.interval
            self._last = {known: one for known, one in self._last.items() if one.suppressed or one.at > bound}
        self._last[key] = _Last(now)
        return last.suppressed if last else 0

    def close(self, timeout: float) -> None:
        """Tell what waits, for at most so many seconds; the rest is dropped."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, timeout)
            if self._waiting:
                logger.bind(notifications=self._waiting).warning("not all notifications could be told")
        self._closing.set()
        self._pool.close(0.0)

    def _deliver(self, notification: Notification) -> None:
        try:
            self._hook("botdock_on_notification", notification=notification)
            document = json.dumps(notification.to_json()).encode()
            if self._config.command:
                self._attempt(notification, "notify.command", lambda: self._run(notification, document))
            if self._config.webhook:
                self._attempt(notification, "notify.webhook", lambda: self._post(document))
        finally:
            with self._changed:
                self._waiting -= 1
                self._changed.notify_all()

    def _attempt(self, notification: Notification, setting: str, deliver: Callable[[], None]) -> None:
        try:
            deliver()
        except (_UndeliveredError, OSError, ValueError) as error:
            about = logger.bind(event=notification.kind.value, id=notification.id, setting=setting)
            about.bind(error=hidden(self._mask(str(error)))).warning("a notification could not be delivered")

    def _run(self, notification: Notification, document: bytes) -> None:
        outcome = notification.outcome.value if notification.outcome else ""
        facts = (notification.kind.value, notification.id, notification.execution_id, outcome)
        environment = {**os.environ, "BOTDOCK_HOME": str(self._home), **dict(zip(EVENT_VARIABLES, facts, strict=True))}
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                self._config.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
                cwd=self._home,
                env=environment,
                start_new_session=True,
            )
            try:
                process.communicate(document, self._config.timeout)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise _UndeliveredError(f"it was killed after {self._config.timeout:g} seconds") from None
            if process.returncode:
                raise _UndeliveredError(f"it ended with {process.returncode}: {_end_of(said)}")

    def _post(self, document: bytes) -> None:
        for pause in (*_PAUSES, None):
            why, may_help = _posted(self._config.webhook, document, self._config.timeout)
            if not why:
                return
            if pause is None or not may_help or self._closing.wait(pause):
                raise _UndeliveredError(why)


def _posted(address: str, document: bytes, timeout: float) -> tuple[str, bool]:
    """Send a document; return why it was not taken, or an empty text, and whether trying again may help."""
    from http.client import HTTPException  # which take long to import, and few supervisors need
    from urllib.error import HTTPError
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class _NoRedirect(HTTPRedirectHandler):
        def redirect_request(self, *_: object, **__: object) -> None:
            """Follow none: what is told is for this address alone."""

    headers = {"Content-Type": "application/json", "User-Agent": "botdock"}
    request = Request(address, data=document, headers=headers, method="POST")  # noqa: S310 - http or https, as the rule has it
    try:
        with build_opener(_NoRedirect).open(request, timeout=timeout):
            return "", False
    except HTTPError as error:
        error.close()
        return f"it answered {error.code}", error.code >= _SERVER_ERROR or error.code in _TRY_AGAIN
    except (OSError, HTTPException) as error:
        return str(error) or type(error).__name__, True


def _end_of(said: IO[bytes]) -> str:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(size - _SHOWN, 0))
    return " ".join(said.read(_SHOWN).decode(errors="replace").split()) or "it wrote nothing to stderr"
