"""What a supervisor lets other threads do: begin what is queued, and go on with what has lost its runner."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import attrs

from botdock._log import about, logger
from botdock._threads import Pool
from botdock.config import Config
from botdock.errors import BotdockError, UserError
from botdock.executions._files import EXECUTIONS, REQUEST, execution_ids, is_orphan, read_json
from botdock.executions._queue import change_request, withdraw
from botdock.executions._requests import Request, read_request
from botdock.model import Outcome, RestartOn, RestartPolicy
from botdock.model.execution import REFUSED
from botdock.orchestrator import Execution
from botdock.orchestrator.running import ClosedError
from botdock.orchestrator.strays import dead_members, engine_of
from botdock.supervisor._runners import Open, Runners
from botdock.supervisor._submission import named_in

_AT_ONCE = 16
"""Executions that are prepared at once: each may wait for an image or for code."""
_WARM_AGAIN = 60.0
"""Seconds until it is tried again to keep containers waiting."""


@attrs.frozen(kw_only=True)
class Group:
    """Executions that one runner can go on with.

    Attributes:
        overrides: What makes the configuration the one of that runner.
        bots: The id of the bot of each, by the execution's.
    """

    overrides: dict[str, Any]
    bots: dict[str, str] = attrs.field(factory=dict)


def groups(home: Path, only: Collection[str] | None, known: Collection[str]) -> Iterator[Group]:
    """Yield the executions whose runner has died, by engine and storage; no execution where only a pool is left.

    Args:
        home: The state folder.
        only: Which, by their ids; None for all.
        known: Those that are under way.
    """
    found: dict[tuple[str, str], Group] = {}
    for name in execution_ids(home) if only is None else sorted(only):
        directory = home / EXECUTIONS / name
        if name in known or not is_orphan(directory):
            continue
        request = read_json(directory / REQUEST) or {}
        named = {"engine": engine_of(directory) or "", "storage": str(request.get("storage") or "")}
        overrides = {key: value for key, value in named.items() if value}
        group = found.setdefault((named["engine"], named["storage"]), Group(overrides=overrides))
        group.bots[name] = str(request.get("id") or "")
    if only is None and not found and dead_members(home):
        found["", ""] = Group(overrides={})
    yield from found.values()


class Work:
    """Executions that are under way, or about to be.

    Args:
        home: The state folder.
        opened: Opens a runner.
        ring: Called when there is something to hear.
    """

    def __init__(self, home: Path, opened: Open, ring: Callable[[], None]) -> None:
        self._home = home
        self._ring = ring
        self._runners = Runners(opened)
        self._pool = Pool("botdock-begin", _AT_ONCE)
        self._told: SimpleQueue[tuple[str, bool]] = SimpleQueue()

    def begin(self, execution_id: str) -> None:
        """Begin an execution that is queued, in another thread; it is heard of when it is under way no more."""
        self._pool.submit(partial(self._begin, execution_id))

    def take_over(self, group: Group) -> None:
        """Go on with executions whose runner has died, in another thread; each is heard of, as with `begin`."""
        self._pool.submit(partial(self._take_over, group))

    def keep_warm(self, config: Config) -> None:
        """Keep containers waiting, if any are to, for executions that change nothing of the configuration."""
        if config.pool.sizes or config.pool.learn:
            self._pool.submit(partial(self._keep_warm, config))

    def heard(self) -> Iterator[tuple[str, bool]]:
        """Yield the executions that are under way no more, and whether they are to be tried again later."""
        while True:
            try:
                yield self._told.get_nowait()
            except Empty:
                return

    def close_idle(self) -> None:
        """Close the runners that have had nothing to do for a while."""
        self._runners.close_idle()

    def close(self) -> None:
        """Leave what is under way to the next supervisor."""
        self._pool.close(0.0)
        self._runners.close()

    def _begin(self, execution_id: str) -> None:
        """Begin an execution that was queued, in a thread of the pool."""
        with about(execution_id):
            begun, again = False, True
            try:
                begun, again = self._take(execution_id), False
            except (BotdockError, OSError) as error:  # it is closed, or the disk took no more
                logger.bind(error=str(error)).debug("an execution could not be begun yet")
            finally:
                if not begun:
                    self._tell(execution_id, again=again)

    def _take(self, execution_id: str) -> bool:
        """Take an execution, and return whether it is under way; what keeps a runner from being opened is its end."""
        try:
            if (request := read_request(self._home, execution_id)) is None:
                return False
            runner, let_go = self._runners.use(request.overrides)
        except (ClosedError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - what a third party's engine raises must not keep it queued for ever
            refused = {REFUSED: True} if isinstance(error, UserError) else {}
            withdraw(self._home / EXECUTIONS / execution_id, Outcome.INFRASTRUCTURE_ERROR, _said(error), **refused)
            return False
        execution = None
        try:
            execution = runner.take(request)
        finally:
            if execution is None:
                let_go()
        return self._see_to(execution, let_go)

    def _see_to(self, execution: Execution | None, let_go: Callable[[], None]) -> bool:
        if execution is None:
            return False

        def ended(_: Execution) -> None:
            let_go()
            self._tell(execution.execution_id, again=False)

        self._drop_secrets(execution)
        execution.add_done_callback(ended)
        return True

    def _drop_secrets(self, execution: Execution) -> None:
        """Remove the secrets from the request of an execution that nothing can follow: its bot has them."""
        policy = execution.result.evidence.get("bounds", {}).get("restart", {}).get("value")
        if policy is None or RestartPolicy.parse(str(policy)).on is not RestartOn.NO:
            return
        try:
            change_request(self._home, execution.execution_id, _without_secrets)
        except OSError as error:  # they go with it at its end
            logger.bind(execution_id=execution.execution_id, error=str(error)).warning("its request keeps the secrets")

    def _take_over(self, group: Group) -> None:
        """Take over executions of one engine, in a thread of the pool."""
        left = set(group.bots)
        try:
            runner, let_go = self._runners.use(group.overrides)
            try:
                for execution in runner.recover(left):
                    _, let_go_too = self._runners.use(group.overrides)
                    left.discard(execution.execution_id)
                    self._see_to(execution, let_go_too)
            finally:
                let_go()
        except Exception as error:  # noqa: BLE001 - it is tried again
            logger.bind(engine=group.overrides.get("engine"), error=_said(error)).warning(
                "executions whose runner died could not be taken over yet"
            )
        finally:
            for execution_id in left:
                self._tell(execution_id, again=True)

    def _keep_warm(self, config: Config) -> None:
        let_go = None
        try:
            runner, let_go = self._runners.use(named_in(config))  # in use as long as this lives
            runner.warm(config.pool.sizes, timeout=0.0)
        except ClosedError:
            return
        except Exception as error:  # noqa: BLE001 - what a third party's engine raises only delays it
            if let_go is not None:
                let_go()
            logger.bind(error=_said(error)).warning("no containers are kept waiting yet")
            self._pool.submit(partial(self._keep_warm, config), delay=_WARM_AGAIN)

    def _tell(self, execution_id: str, *, again: bool) -> None:
        self._told.put((execution_id, again))
        self._ring()


def _without_secrets(request: Request) -> Request:
    return attrs.evolve(request, executable=attrs.evolve(request.executable, secrets={}))


def _said(error: Exception) -> str:
    return error.message if isinstance(error, BotdockError) else f"botdock failed: {error!r}"
