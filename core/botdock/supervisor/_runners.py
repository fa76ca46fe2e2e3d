"""The runners of one supervisor: one for each way in which callers change its configuration, closed when it is idle."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs

from botdock._log import logger
from botdock._threads import Pool
from botdock.orchestrator import BotOrchestrator
from botdock.orchestrator.running import ClosedError

Open = Callable[[Mapping[str, Any]], BotOrchestrator]
"""Opens a runner whose configuration is changed like that."""
_IDLE = 60.0
"""Seconds that a runner without executions is kept, for the next one."""


@attrs.define(eq=False)
class _Held:
    lock: threading.Lock = attrs.field(factory=threading.Lock)
    runner: BotOrchestrator | None = None
    users: int = 0
    idle_since: float = attrs.field(factory=time.monotonic)


class Runners:
    """Opens runners, and closes those that nothing runs on; safe to use from several threads.

    Args:
        opened: Opens one.
    """

    def __init__(self, opened: Open) -> None:
        self._opened = opened
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}
        self._closed = False
        self._pool = Pool("botdock-close", 1)

    def use(self, overrides: Mapping[str, Any]) -> tuple[BotOrchestrator, Callable[[], None]]:
        """Return the runner for these changes of the configuration, and what is called when it is used no more.

        Raises:
            BotdockError: It cannot be opened, or all are closed.
        """
        key = json.dumps(overrides, sort_keys=True)
        with self._lock:
            held = self._held.setdefault(key, _Held())
            held.users += 1
        try:
            with held.lock:
                runner = held.runner = held.runner or self._open(overrides)
        except BaseException:
            self._let_go(held)
            raise
        return runner, partial(self._let_go, held)

    def _open(self, overrides: Mapping[str, Any]) -> BotOrchestrator:
        if self._closed:
            raise ClosedError("this supervisor is closed")
        return self._opened(overrides)

    def _let_go(self, held: _Held) -> None:
        with self._lock:
            held.users -= 1
            held.idle_since = time.monotonic()

    def close_idle(self) -> None:
        """Close, in another thread, those that have had nothing to do for a while."""
        now = time.monotonic()
        with self._lock:
            idle = [key for key, held in self._held.items() if not held.users and now - held.idle_since > _IDLE]
            runners = [self._held.pop(key).runner for key in idle]
        for runner in filter(None, runners):
            self._pool.submit(partial(runner.close, stop=False))

    def close(self) -> None:
        """Close all, at once, and leave what runs on them to the next supervisor."""
        self._closed = True
        with self._lock:
            helds = list(self._held.values())
        threads = [threading.Thread(target=_close, args=(held,), daemon=True) for held in helds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _close(held: _Held) -> None:
    with held.lock:
        if held.runner is not None:
            try:
                held.runner.close(stop=False)
            except Exception as error:  # noqa: BLE001 - the others are closed all the same
                logger.bind(error=repr(error)).error("a runner could not be closed")
