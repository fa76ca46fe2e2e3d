"""The sum over all runners of a state folder: one file, and one more for each runner that has not been added to it yet.

    metrics/total.json            what all runners counted that have ended
    metrics/runner-<id>.json      what one runner counted so far
    metrics/runner-<id>.lock      held by that runner as long as it lives, in whatever way it dies
    metrics/lock                  held by whoever reads or changes the sum

Whoever adds a dead runner's numbers to the total notes its name in the total, by the same replacement of one file, and
then deletes its files. Killed in between, the next one finds the name and only deletes. So the numbers are either in
the runner's file or in the total, at every instruction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import attrs

from botdock._log import logger
from botdock.errors import MetricsError
from botdock.model.metrics import MetricsSnapshot
from botdock.services._locks import locked, locked_at_once
from botdock.services._whole_files import publish, sync_folder
from botdock.services.metrics.files import Account, DamagedFileError, encode, read_account
from botdock.services.metrics.series import Admission, Operations, add_operations, without

LOCK_TIMEOUT = 5.0
"""Seconds; who holds the lock reads or writes some small files."""
BATCH = 100
"""Runners that are looked at, and if they are dead added, at once; each takes a descriptor."""

_TOTAL = "total.json"
_RUNNER = re.compile(r"runner-[0-9a-f]{16}")


@attrs.frozen(kw_only=True)
class MetricsTotal:
    """The sum over all runners of a state folder.

    Attributes:
        snapshot: What they counted.
        ended: How many have ended.
        running: How many still run.
        problems: Files that could not be read, and why; they are not in the sum.
    """

    snapshot: MetricsSnapshot
    ended: int = 0
    running: int = 0
    problems: tuple[str, ...] = ()


class TotalFolder:
    """The folder, with its lock held.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []
        self._damaged: list[Path] = []
        self.total = self._read(path / _TOTAL) or Account(since=datetime.now(UTC))

    def sum(self) -> MetricsTotal:
        """Add up what there is, and change nothing."""
        return self._sum(self._accounts())

    def fold(self) -> None:
        """Add the numbers of runners that have ended to the total, and delete their files."""
        names = self._names()
        self._delete([name for name in names if name in self.total.folded])
        rest = [name for name in names if name not in self.total.folded]
        for start in range(0, len(rest), BATCH):
            with self._dead(rest[start : start + BATCH]) as dead:
                if dead:
                    self._replace(self._with(dead), dead)
                    self._delete(dead)

    def reset(self) -> MetricsTotal:
        """Begin again from nothing, and return what there was; what those counted that still run is noted.

        What is returned and what is noted is the same look at each file: a runner may write to its own at any moment.
        """
        self.fold()
        accounts = self._accounts()
        before = self._sum(accounts)
        offsets = {name: account.operations for name, account in accounts.items() if account is not None}
        self._replace(Account(since=datetime.now(UTC), offsets=offsets), dead=())
        return before

    def _accounts(self) -> dict[str, Account | None]:
        """Return what the files of those say that are not in the total yet."""
        return {name: self._read(self.path / f"{name}.json") for name in self._unfolded()}

    def _sum(self, accounts: Mapping[str, Account | None]) -> MetricsTotal:
        operations = dict(self.total.operations)
        since, ended, running = self.total.since, self.total.runners, 0
        for name, account in accounts.items():
            if account is not None:
                since = min(since, account.since) if name not in self.total.offsets else since
                self._add(operations, name, account)
            alive = self._lives(name)
            running, ended = running + alive, ended + (not alive and account is not None)
        return MetricsTotal(
            snapshot=MetricsSnapshot(taken_at=datetime.now(UTC), since=since, operations=operations),
            ended=ended,
            running=running,
            problems=tuple(self.problems),
        )

    def _with(self, names: list[str]) -> Account:
        operations, since, runners = dict(self.total.operations), self.total.since, self.total.runners
        for name in names:
            account = self._read(self.path / f"{name}.json")
            if account is not None:
                since = min(since, account.since) if name not in self.total.offsets else since
                runners += 1
                self._add(operations, name, account)
        offsets = {name: known for name, known in self.total.offsets.items() if name not in names}
        return Account(since=since, operations=operations, runners=runners, folded=tuple(names), offsets=offsets)

    def _add(self, operations: Operations, name: str, account: Account) -> None:
        new = without(account.operations, self.total.offsets.get(name, {}))
        add_operations(operations, new, Admission.of(operations))

    def _names(self) -> list[str]:
        """Return the names of all runners that have a file."""
        return sorted({path.stem for path in self.path.iterdir() if _RUNNER.fullmatch(path.stem)})

    def _unfolded(self) -> list[str]:
        return [name for name in self._names() if name not in self.total.folded]

    @contextmanager
    def _dead(self, names: list[str]) -> Iterator[list[str]]:
        """Hold the locks of those that live no more: a name is never taken again by whoever found it locked."""
        with ExitStack() as locks:
            yield [name for name in names if locks.enter_context(locked_at_once(self._lock_of(name)))]

    def _lives(self, name: str) -> bool:
        try:
            with locked(self._lock_of(name), timeout=0.0, shared=True):  # so that two who ask do not see each other
                return False
        except TimeoutError:
            return True

    def _lock_of(self, name: str) -> Path:
        return self.path / f"{name}.lock"

    def _read(self, path: Path) -> Account | None:
        try:
            return read_account(path)
        except DamagedFileError as error:
            if path not in self._damaged:
                self._damaged.append(path)
                self.problems.append(str(error))
            return None

    def _replace(self, total: Account, dead: Sequence[str]) -> None:
        self._put_aside(dead)
        publish(self.path / _TOTAL, encode(total))
        self.total = total

    def _put_aside(self, dead: Sequence[str]) -> None:
        """Keep the last damaged total and the last damaged file of a runner for whoever wants to look at them.

        Who lives may write a good one in this very moment, so only a file of the `dead` is moved.
        """
        there = {self.path / _TOTAL, *(self.path / f"{name}.json" for name in dead)}
        for path in [path for path in self._damaged if path in there]:
            kept = path.with_name(f"damaged-{path.stem.partition('-')[0]}.json")
            try:
                path.replace(kept)
            except FileNotFoundError:
                continue
            logger.bind(kept=str(kept)).warning("metrics: {}", next(p for p in self.problems if str(path) in p))

    def _delete(self, names: list[str]) -> None:
        for name in names:
            for suffix in ("tmp", "json", "lock"):  # the lock last: without it, a file would have no owner to ask for
                (self.path / f"{name}.{suffix}").unlink(missing_ok=True)
        if names:
            sync_folder(self.path)  # before the next total forgets their names


@contextmanager
def open_total(folder: Path, *, shared: bool = False) -> Iterator[TotalFolder]:
    """Hold the lock of a folder that is there.

    Raises:
        TimeoutError: Somebody else held it for `LOCK_TIMEOUT` seconds.
        OSError: The disk does not do what it should.
    """
    with locked(folder / "lock", timeout=LOCK_TIMEOUT, shared=shared):
        yield TotalFolder(folder)


def read_total(folder: Path) -> MetricsTotal:
    """Return the sum over all runners of a folder (see `metrics_folder`); nothing, where there is none.

    Raises:
        MetricsError: It cannot be read.
    """
    with _explained(folder):
        if not folder.is_dir():
            return _nothing()
        with open_total(folder, shared=True) as total:
            return total.sum()


def reset_total(folder: Path) -> MetricsTotal:
    """Let the sum begin again from nothing, and return what it was; nothing is counted twice or missed over it.

    Raises:
        MetricsError: It cannot be done.
    """
    with _explained(folder):
        if not folder.is_dir():
            return _nothing()
        with open_total(folder) as total:
            return total.reset()


def _nothing() -> MetricsTotal:
    now = datetime.now(UTC)
    return MetricsTotal(snapshot=MetricsSnapshot(taken_at=now, since=now, operations={}))


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MetricsError(f"metrics folder {folder}: {error.strerror or error}") from error
