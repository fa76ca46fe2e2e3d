"""What there is and was in a state folder: read, and asked to stop or go."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdock.errors import BotdockError, LogError, UserError
from botdock.executions import _files as files
from botdock.executions._catalogue import Catalogue
from botdock.executions._records import ExecutionRecord, ExecutionState

if TYPE_CHECKING:
    from botdock.model import ByteReader, LogGap, LogLine, Stream
    from botdock.services.log_store import StoredLog
    from botdock.services.log_store.verify import Comparison, OnProgress, Verification

POLL_INTERVAL = 0.05
"""Seconds between two looks at an execution that is waited for; a look costs some ten microseconds."""


class Executions(Catalogue):
    """The executions of one state folder: listed, read and asked to stop, from any process, without an engine.

    Args:
        home: The state folder; None means the configured one (`BOTDOCK_HOME`, else the platform's).

    Example:
        ```python
        from botdock.executions import Executions
        for record in Executions().list(limit=20):
            print(record.execution_id, record.id, record.state, record.outcome)
        ```
    """

    def logs(
        self,
        name: str,
        *,
        tail: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        stream: Stream | None = None,
        after: str | None = None,
        follow: bool = False,
    ) -> Iterator[LogLine | LogGap]:
        """Yield the lines of an execution's log, and what is missing between them, in their place.

        Each item has a `position`. A later call goes on with it, from any process, exactly behind that item: also
        where it is the beginning of a line that had not ended, and when segments were closed, compressed or removed
        meanwhile.

        Args:
            name: As in `get`.
            tail: How many of the last lines; None for all.
            since: From when on; a line's time is that of its first byte.
            until: Up to when.
            stream: Only of this one.
            after: The `position` of an item that an earlier call with the same `stream` gave; None for the beginning.
            follow: Whether to go on with what comes, until the log ends or its runner dies.

        Raises:
            UserError: The execution is not known, or `after` is not a position.
            LogError: It has no log, or its log cannot be read.
        """
        record = self.get(name)
        while follow and not record.logs.is_dir() and self.is_alive(record):
            time.sleep(POLL_INTERVAL)
        try:
            return _stored(record).lines(
                tail=tail,
                since_ns=_nanoseconds(since),
                until_ns=_nanoseconds(until),
                stream=stream,
                after=after,
                positions=True,
                follow=follow,
                alive=lambda: self.is_alive(record),
            )
        except ValueError as error:
            raise UserError(str(error), hint="Pass the `position` of an item, as it is.") from error

    def events(self, name: str) -> Sequence[dict[str, Any]]:
        """Return the steps of an execution so far, each with wall and monotonic time in nanoseconds.

        Raises:
            UserError: The execution is not known.
        """
        return tuple(files.read_events(self.get(name).directory))

    def log(self, name: str) -> StoredLog:
        """Return an execution's log as it is stored, which may not be there yet: pieces, lines, what was counted.

        Raises:
            UserError: The execution is not known.
        """
        return _stored(self.get(name))

    def verify(self, name: str, *, progress: OnProgress | None = None) -> Verification:
        """Recompute counts and hashes of a log, and return what differs; `progress` is told bytes so far, and in all.

        Raises:
            UserError: The execution is not known.
            LogError: It has no log.
        """
        from botdock.services.log_store.verify import verify

        return verify(self._log_folder(name), on_progress=progress)

    def compare(
        self, name: str, open_object: Callable[[str], ByteReader | None], *, progress: OnProgress | None = None
    ) -> Comparison:
        """Compare an execution's log with a copy, whose files `open_object` opens by name; raises as `verify` does."""
        from botdock.services.log_store.verify import compare

        return compare(self._log_folder(name), open_object, on_progress=progress)

    def _log_folder(self, name: str) -> Path:
        record = self.get(name)
        if not record.logs.is_dir():
            raise LogError(f"execution {record.execution_id} has no log", hint="`botdock logs` says why.")
        return record.logs

    def result(self, name: str, *, default: Any = None) -> Any:
        """Return what a bot returned, as JSON read back; `default` when it returned nothing.

        Raises:
            UserError: The execution is not known, or it has no result yet.
            BotdockError: The result cannot be read.
        """
        record = self.get(name)
        if record.outcome is None:
            raise UserError(f"execution {record.execution_id} has no result yet: it is {record.state}")
        document = files.read_json(record.directory / files.RESULT)
        if document is None:
            raise BotdockError(f"{record.directory / files.RESULT} is absent or damaged")
        return document.get("value", default)

    def inspect(self, name: str) -> dict[str, Any]:
        """Return all that is known of an execution, as one JSON object; of secrets only their names.

        Beside the fields of its record it holds `directory`, `request` (what was asked for), `run` (what a successor
        must know, while it runs), `end` (how it ended, with the evidence) and `events` (its steps).

        Raises:
            UserError: The execution is not known.
        """
        directory = (record := self.get(name)).directory
        return {
            **record.to_json(),
            "directory": str(directory),
            "request": files.read_json(directory / files.REQUEST),
            "run": files.read_json(directory / files.RUN),
            "end": files.read_end(directory),
            "events": list(files.read_events(directory)),
        }

    def wait(self, name: str, *, timeout: float | None = None) -> ExecutionRecord:
        """Wait until an execution has ended, or its runner has died, and return how it stands.

        Args:
            name: As in `get`.
            timeout: Seconds; after them the record says that it still runs. None for no bound.

        Raises:
            UserError: The execution is not known.
        """
        record = self.get(name)
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while record.state is not ExecutionState.ENDED and time.monotonic() < deadline:
            if record.state is ExecutionState.ABANDONED and not self.is_alive(record):
                break
            time.sleep(POLL_INTERVAL)
            record = self.get(record.execution_id)
        return record

    def request_stop(self, name: str, *, grace: float | None = None) -> ExecutionRecord:
        """Ask an execution to stop; its runner obeys, or, if that has died, the one that recovers it.

        The request is on disk when this returns. One that was restarted passes it on; one that is queued ends.

        Args:
            name: As in `get`, but that the id of a bot means the newest of it that has not ended, if there is one.
            grace: Seconds between asking the bot and killing it; None means the runner's own.

        Raises:
            UserError: The execution is not known.
            BotdockError: The state folder cannot be written.
        """
        from botdock.executions._stops import request_stop  # which a stop alone needs

        asked, latest = "", self._to_stop(name)
        while latest.execution_id != asked:  # others may have followed meanwhile
            asked = request_stop(latest.directory, grace).name
            latest = self._again(latest, asked)
        return latest

    def stop(self, name: str, *, grace: float | None = None, timeout: float | None = None) -> ExecutionRecord:
        """Ask an execution to stop, and wait for its end; of one that is removed by then the outcome is not known.

        Args:
            name: As in `request_stop`.
            grace: As in `request_stop`.
            timeout: Seconds to wait; None for no bound.

        Raises:
            UserError: The execution is not known.
            BotdockError: Its runner is dead, or it has not ended in time; the request stays.
        """
        record = self.request_stop(name, grace=grace)
        with suppress(UserError):  # it is removed by then
            self.wait(record.execution_id, timeout=timeout)
        if (record := self._again(record, record.execution_id)).state is not ExecutionState.ENDED:
            raise BotdockError(
                f"execution {record.execution_id} has not stopped: it is {record.state}",
                hint="Its runner is dead; `botdock recover` stops the bot and finishes the execution."
                if record.state is ExecutionState.ABANDONED
                else "Its runner lives and has not obeyed in time; the request stays, so that it still can.",
            )
        return record

    def remove(self, name: str) -> ExecutionRecord:
        """Remove the folder of an execution that has ended, with its log and result, and return what it was.

        Where a supervisor is just deciding whether another one follows it, this waits for that.

        Raises:
            UserError: The execution is not known, or it has not ended, or whether another one follows is not decided.
            BotdockError: It could not be removed.
        """
        record = self.get(name)
        self.check_removable(record)
        files.remove_folder(record.directory)
        return record

    @staticmethod
    def check_removable(record: ExecutionRecord) -> None:
        """Raise `UserError` where an execution cannot be removed yet; see `remove`."""
        from botdock.executions._queue import check_removable  # which a list of executions does not need

        check_removable(record)

    def prune(
        self,
        *,
        older_than: float | None = None,
        keep: int | None = None,
        max_bytes: int | None = None,
        dry_run: bool = False,
    ) -> Sequence[ExecutionRecord]:
        """Remove executions that ended, the oldest first, and return them; one that runs is never touched.

        Args:
            older_than: Those that ended so many seconds ago, or longer.
            keep: All but so many of the newest.
            max_bytes: As many as it takes for the rest to fit into so many bytes on the disk.
            dry_run: Return them, and remove nothing.

        Raises:
            UserError: A number is negative.
            BotdockError: One could not be removed; those before it are gone.
        """
        if any(number is not None and number < 0 for number in (older_than, keep, max_bytes)):
            raise UserError("older_than, keep and max_bytes must not be negative")
        undecided = set(files.request_ids(self.home))  # whether another one follows them is still to be seen
        ended = [record for record in self.list(running=False) if record.execution_id not in undecided]
        chosen: set[str] = set() if keep is None else {record.execution_id for record in ended[keep:]}
        times = [(one, one.finished_at or one.requested_at) for one in ended if older_than is not None]
        chosen |= {one.execution_id for one, end in times if files.ended_before(one.directory, end, older_than or 0)}
        if max_bytes is not None:
            left = [record for record in ended if record.execution_id not in chosen]
            sizes = accumulate(files.folder_bytes(record.directory) for record in left)
            chosen |= {record.execution_id for record, size in zip(left, sizes, strict=True) if size > max_bytes}
        removed = [record for record in reversed(ended) if record.execution_id in chosen]
        for record in () if dry_run else removed:
            files.remove_folder(record.directory)
        return removed


def _stored(record: ExecutionRecord) -> StoredLog:
    from botdock.services.log_store import StoredLog  # which a list of executions does not need

    return StoredLog(record.logs)


def _nanoseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1e9)
