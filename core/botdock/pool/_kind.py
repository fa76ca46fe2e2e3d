"""The members of one template, and what is counted of them."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Self

import attrs

from botdock.model import ContainerTemplate
from botdock.pool._member import Member
from botdock.pool._status import PoolStatus

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds after a member could not be started; each pause is twice the one before."""
MOST_FAILURES = 6
"""In a row; then no more is tried."""


@attrs.define(eq=False, kw_only=True)
class Kind:
    """What is kept waiting of one template.

    Attributes:
        name: Runtime and entrypoint.
        count: How many are to wait.
        make: Returns the template as it is now: the image of a name may become another.
        learned: Whether it is kept because of a run.
        template: The one that its members are of; None as long as none was started.
        digest: Of that.
        members: Those that wait, the oldest first.
        hits: How many runs got one.
        misses: How many runs got none, by the reason.
        discarded: How many were taken away unused, by the reason.
        refills: Seconds that each of the last starts took.
        starting: How many are being started.
        failures: How many starts in a row have failed.
        failed: When the last failure was, on the monotonic clock.
        not_before: When the next may be started, on that clock.
        error: What went wrong last; empty where nothing did.
    """

    name: str
    count: int
    make: Callable[[], ContainerTemplate]
    learned: bool = False
    template: ContainerTemplate | None = None
    digest: str = ""
    members: deque[Member] = attrs.field(factory=deque)
    hits: int = 0
    misses: Counter[str] = attrs.field(factory=Counter)
    discarded: Counter[str] = attrs.field(factory=Counter)
    refills: deque[float] = attrs.field(factory=lambda: deque(maxlen=100))
    starting: int = 0
    failures: int = 0
    failed: float = 0.0
    not_before: float = 0.0
    error: str = ""

    @property
    def runtime(self) -> str:
        """The runtime alone, for the labels of metrics."""
        return self.name.partition(" ")[0]

    @property
    def given_up(self) -> bool:
        """Whether no more is tried."""
        return self.failures >= MOST_FAILURES

    @property
    def lacks(self) -> bool:
        """Whether another member is to be started, sooner or later."""
        return self.filled < 1 and not self.given_up

    @property
    def is_due(self) -> bool:
        """Whether another one is to be started now.

        As long as one shows first what others need, or whether they can be at all, it is started alone.
        """
        alone = self.template is None or self.failures > 0
        return self.lacks and self.not_before <= time.monotonic() and not (alone and self.starting)

    @property
    def filled(self) -> float:
        """The part of those that are to wait which do, or soon will."""
        return (len(self.members) + self.starting) / self.count if self.count else 1.0

    @property
    def memory(self) -> int:
        """Bytes that a member may use; 0 as long as that is not known."""
        return (self.template.limits.memory or 0) if self.template else 0

    def again(self, count: int) -> Self:
        """Keep so many from now on, whatever failed before, and return itself."""
        self.count, self.failures, self.not_before = count, 0, 0.0
        return self

    def renew(self, template: ContainerTemplate) -> list[Member]:
        """Take on the template as it is now, and return the members that are of another one."""
        digest = template.digest
        left = [member for member in self.members if member.digest != digest]
        self.members = deque(member for member in self.members if member.digest == digest)
        self.template, self.digest = template, digest
        return left

    def fail(self, error: str, began: float, *, for_good: bool = False) -> None:
        """Note that a member, which was begun then, could not be started; those begun together fail once."""
        if began >= self.failed:
            self.failed = time.monotonic()
            self.failures += 1
        if for_good:
            self.failures = MOST_FAILURES
        self.error = error
        self.not_before = self.failed + min(FIRST_PAUSE * 2 ** (self.failures - 1), LONGEST_PAUSE)

    def status(self, runner: str) -> PoolStatus:
        """Return what is to be told of it."""
        return PoolStatus(
            name=self.name,
            digest=self.digest,
            count=self.count,
            waiting=len(self.members),
            hits=self.hits,
            misses=dict(self.misses),
            discarded=dict(self.discarded),
            refill_seconds=list(self.refills),
            error=self.error,
            given_up=self.given_up,
            learned=self.learned,
            runner=runner,
        )
