"""The pool of one runner: who wants a member gets one, or the reason why not; the keeper sees to the rest."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from botdock._log import logger
from botdock._threads import Pool as Threads
from botdock.config.pool import PoolConfig
from botdock.errors import BotdockError, CapabilityError
from botdock.executions._files import POOL
from botdock.model import ContainerTemplate
from botdock.pool._kind import Kind
from botdock.pool._leavings import STATUS
from botdock.pool._member import HUNG, Member, start
from botdock.pool._removals import Removals
from botdock.pool._status import PoolReport, write_report

if TYPE_CHECKING:
    from botdock.services.interfaces import Containers

EMPTY, OTHER, CODE, CLOSED = "empty", "template", "code", "closed"
"""Why there is no member for a run: none waits; it is of none of these templates; its code is too much; all is over."""
LOOK_EVERY = 1.0
"""Seconds between two looks at those that wait."""
_CALM = 0.05
"""Seconds after a claim in which none is started or looked at: what was just let go has the machine for itself."""
_STARTED = 4
"""Members that are started at once."""


class Pool:
    """Keeps containers waiting; safe to use from several threads.

    Args:
        containers: Makes and removes them.
        settings: Their bounds.
        home: The state folder.
        owner: Names it in the labels of containers.
        runner: The id of this runner, whose lease is held as long as the pool lives.
        record: Counts: told a name, and `labels`, `seconds` and `success` by keyword.
    """

    def __init__(
        self,
        containers: Containers,
        settings: PoolConfig,
        *,
        home: Path,
        owner: str,
        runner: str,
        record: Callable[..., None],
    ) -> None:
        self._containers = containers
        self._settings = settings
        self._folder = home / POOL / runner
        self._owner = owner
        self._runner = runner
        self._record = record
        self._changed = threading.Condition()
        self._kinds: list[Kind] = []
        self._learned: OrderedDict[str, Kind] = OrderedDict()
        self._misses: Counter[str] = Counter()
        self._removals = Removals(containers)
        self._told: PoolReport | None = None
        self._closed = False
        self._not_before = self._calm_until = 0.0
        self._starters = Threads("botdock-pool-start", _STARTED)
        self._keeper = threading.Thread(target=self._keep, name="botdock-pool", daemon=True)

    def keep(self, kinds: Iterable[Kind]) -> None:
        """Keep these waiting from now on, and what is learned; what was given up is tried again; what waits, stays."""
        with self._changed:
            known = {kind.name: kind for kind in self._kinds}
            self._kinds = [known.pop(kind.name, kind).again(kind.count) for kind in kinds]
            for kind in [*known.values(), *self._kinds]:
                most = 0 if kind.name in known else kind.count
                self._removals.add(*[kind.members.pop() for _ in range(len(kind.members) - most)])
            if not self._keeper.is_alive() and not self._closed:
                self._keeper.start()
            self._changed.notify_all()

    def wait(self, timeout: float) -> PoolReport:
        """Wait until all wait that are to, or cannot, at most `timeout` seconds; return how it stands."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not any(map(self._grows, self._kinds)), timeout)
        return self.report()

    def claim(self, template: ContainerTemplate, name: str, fill: Callable[[Member], bool]) -> Member | str:
        """Return a member of a template, which is the caller's from now on; or why there is none.

        Args:
            template: The run's.
            name: Its runtime and entrypoint.
            fill: Puts the code of the run into a member, while that answers; returns whether it could.
        """
        with self._changed:
            kind = next((one for one in self._all() if one.template == template), None)
            if kind is None or self._closed:
                self._learn(template, name)
                return self._miss(self._misses, CLOSED if self._closed else OTHER, name)
            if kind.learned:
                self._learned.move_to_end(kind.digest)
        while True:
            with self._changed:
                if not kind.members:
                    return self._miss(kind.misses, EMPTY, name)
                member = kind.members.popleft()
            reason = member.problem(self._settings.max_age) or member.ask()
            filled = not reason and fill(member)
            if not (reason := reason or member.answer() or ("" if filled else CODE)):
                kind.hits += 1
                self._record("pool.hit", labels=(("runtime", kind.runtime),))
                return member
            self._reject(kind, member, reason)
            if reason in {HUNG, CODE}:  # others may hang too, and each takes its time; none takes such code
                with self._changed:
                    return self._miss(kind.misses, reason, name)

    def dispose(self, member: Member) -> None:
        """Remove one that was used and has ended, soon, trying until that works; once all is closed, as `discard`."""
        if self._closed:
            member.discard(self._containers)
        else:
            self._removals.add(member)

    def refill(self) -> None:
        """Let others take the place of those that were claimed, soon after these run."""
        with self._changed:
            if (now := time.monotonic()) >= self._not_before:
                self._not_before = now + _CALM
            self._calm_until = now + _CALM
            self._changed.notify_all()

    def miss(self, reason: str, name: str) -> str:
        """Count a run that no member can take, and return the reason."""
        with self._changed:
            return self._miss(self._misses, reason, name)

    def report(self) -> PoolReport:
        """Return what waits, and what came of that."""
        with self._changed:
            kinds = tuple(kind.status(self._runner) for kind in self._all())
            return PoolReport(runner=self._runner, kinds=kinds, misses=dict(self._misses))

    def close(self, timeout: float) -> None:
        """Remove those that wait, and keep no more; what is left after `timeout` seconds is a later sweep's."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._keeper.is_alive():
            self._keeper.join(timeout)
        self._starters.close(timeout)
        with self._changed:
            for kind in self._all():
                self._removals.add(*kind.members)
            self._kinds = []
            self._learned.clear()
        self._removals.close(timeout)
        with suppress(OSError):  # what could not be removed keeps the folder, for a later sweep
            (self._folder / STATUS).unlink(missing_ok=True)
            self._folder.rmdir()

    def _all(self) -> list[Kind]:
        return [*self._kinds, *self._learned.values()]

    def _miss(self, where: Counter[str], reason: str, name: str) -> str:
        where[reason] += 1
        self._record("pool.miss", labels=(("reason", reason), ("runtime", name.partition(" ")[0])))
        return reason

    def _learn(self, template: ContainerTemplate, name: str) -> None:
        if self._settings.learn and not self._closed:
            digest = template.digest
            self._learned[digest] = Kind(
                name=name, count=1, make=lambda: template, learned=True, template=template, digest=digest
            )
            while len(self._learned) > self._settings.learn:
                self._removals.add(*self._learned.popitem(last=False)[1].members)
            self._changed.notify_all()

    def _reject(self, kind: Kind, member: Member, reason: str) -> None:
        with self._changed:
            kind.discarded[reason] += 1
            self._changed.notify_all()
        self._removals.add(member)
        self._record("pool.discard", labels=(("reason", reason), ("runtime", kind.runtime)))
        bound = logger.bind(kind=kind.name, reason=reason, container_id=member.container.id)
        bound.info("a container that waited is not given out")

    def _keep(self) -> None:
        """Be the keeper, until the pool is closed."""
        looked = 0.0
        while not self._closed:
            try:
                now = time.monotonic()
                if now - looked >= (LOOK_EVERY if now >= self._calm_until else 2 * LOOK_EVERY):
                    looked = now
                    self._look()
                    self._tell()
                self._begin_to_start()
            except Exception as error:  # noqa: BLE001 - what a third party's engine raises must not end the keeper
                logger.bind(error=repr(error)).error("the keeper of the pool failed, and goes on")
            with self._changed:
                if not self._closed:
                    pause = self._not_before - time.monotonic() if self._due() else LOOK_EVERY
                    self._changed.wait(max(min(pause, LOOK_EVERY), 0.0))

    def _begin_to_start(self) -> None:
        """Let another member be started, where one is due and it is time for it."""
        with self._changed:
            now = time.monotonic()
            if now >= self._not_before and (kind := self._due()) is not None:
                self._not_before = now + 1 / self._settings.rate
                kind.starting += 1
                self._starters.submit(partial(self._refill, kind))

    def _look(self) -> None:
        """Take out those that may not be given out any more."""
        for kind in self._all():
            for member in list(kind.members):
                with self._changed:  # which a claim waits for: it would not find what is taken out for a look
                    if member not in kind.members or not (reason := member.problem(self._settings.max_age)):
                        continue
                    kind.members.remove(member)
                self._reject(kind, member, reason)

    def _grows(self, kind: Kind) -> bool:
        """Tell whether another member of a kind is being started, or is to be now or later."""
        return bool(kind.starting) or (kind.lacks and self._has_room(kind))

    def _has_room(self, kind: Kind) -> bool:
        """Tell whether the memory of all allows for another one."""
        used = sum((len(one.members) + one.starting) * one.memory for one in self._all())
        return not self._settings.max_memory or used + kind.memory <= self._settings.max_memory

    def _due(self) -> Kind | None:
        """Return the kind of which another member is to be started next: that which lacks most."""
        kinds = self._all()
        if sum(kind.starting for kind in kinds) >= _STARTED:
            return None
        due = [kind for kind in kinds if kind.is_due and self._has_room(kind)]
        return min(due, key=lambda kind: kind.filled, default=None)

    def _refill(self, kind: Kind) -> None:
        """Start a member, in a thread of the starters."""
        began, member, problem, for_good = time.monotonic(), None, "", False
        try:
            member = self._start(kind)
        except Exception as error:  # noqa: BLE001 - what a third party's engine raises counts as any failure
            problem = error.message if isinstance(error, BotdockError) else repr(error)
            for_good = isinstance(error, CapabilityError)
        with self._changed:
            kind.starting -= 1
            if member is None:
                kind.fail(problem, began, for_good=for_good)
            else:
                kind.failures, kind.error = 0, ""
                kind.refills.append(member.since - began)
                fits = member.digest == kind.digest and kind in self._all() and not self._closed
                keep = kind.members.append if fits and len(kind.members) < kind.count else self._removals.add
                keep(member)
            self._changed.notify_all()
        seconds, success = time.monotonic() - began, member is not None
        self._record("pool.refill", labels=(("runtime", kind.runtime),), seconds=seconds, success=success)
        if problem:
            logger.bind(kind=kind.name, error=problem, given_up=kind.given_up).warning(
                "no container could be started to wait"
            )

    def _start(self, kind: Kind) -> Member:
        """Start one that waits, and return it when it does; of one that could not be, nothing is left."""
        template = kind.make()
        with self._changed:
            self._removals.add(*kind.renew(template))
            self._changed.notify_all()  # what it needs is known, so that others may be started beside it
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return start(
            self._containers, template, self._folder, owner=self._owner, runtime=kind.runtime, count=kind.count
        )

    def _tell(self) -> None:
        """Write down how it stands, for other processes, where that has changed."""
        if (report := self.report()) != self._told and write_report(self._folder, report):
            self._told = report
