"""Hands the log, segment by segment, and the result of one run to the storage; each of them once.

What the storage was given is noted beside the log, so that a successor does not give it again.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from botdock._log import logger
from botdock._whole_files import publish
from botdock.errors import BotdockError
from botdock.model import ExecutionResult, LogSummary
from botdock.services.interfaces import Storage
from botdock.services.log_store.layout import END, STREAMS, data_name, index_name, open_data, seal_name


class Storing:
    """What becomes of one run's log and result in the storage; safe to use from several threads.

    Args:
        storage: Takes them.
        execution_id: The run.
        id: The executable.
        logs: The folder of the log.
        marker: The file in which is noted what the storage has.
    """

    def __init__(self, storage: Storage, *, execution_id: str, id: str, logs: Path, marker: Path) -> None:  # noqa: A002 - the field's name
        self._storage = storage
        self._execution_id = execution_id
        self._id = id
        self._logs = logs
        self._marker = marker
        self._lock = threading.Lock()
        self._next = 0
        self._failed: set[int] = set()
        self._dropped = 0
        self._objects: set[str] = set()

    def restore(self, marked: Mapping[str, Any] | None) -> None:
        """Learn what the storage has already; a damaged note means that it may get something twice."""
        with suppress(KeyError, TypeError, ValueError):
            known = marked or {}
            failed = {int(number) for number in known["failed"]}
            objects = {str(name) for name in known["objects"]}
            self._next, self._dropped = int(known["next"]), int(known["dropped"])
            self._failed, self._objects = failed, objects

    def segment(self, number: int) -> None:
        """Hand on a segment of the log that has closed, unless the storage has it.

        Raises:
            BotdockError: It could not be stored; `conclude` tries once more.
            OSError: The same.
        """
        with self._lock:
            if number < self._next and number not in self._failed:
                return
            self._skip_to(number)
            self._failed.add(number)  # until it is there
            self._next = max(self._next, number + 1)
            try:
                for name in _names(number):
                    self._store_file(name)
                self._failed.discard(number)
            finally:
                self._note()

    def conclude(self, result: ExecutionResult) -> list[str]:
        """Hand on the rest: what is left of the log, its end, and the value; return what could not be stored."""
        with self._lock:
            return [*self._conclude_log(result.log), *self._conclude_value(result)]

    def _conclude_log(self, log: LogSummary) -> Iterator[str]:
        first = log.removed_segments
        self._skip_to(first)
        self._dropped += len({number for number in self._failed if number < first})
        self._failed = {number for number in self._failed if number >= first}
        if self._dropped:
            yield f"log: {self._dropped} segments were removed by retention before the storage took them"
        for number in range(first, first + log.segments):
            if not (self._logs / seal_name(number)).exists() and not (self._logs / index_name(number)).exists():
                yield f"log: segment {number} of {log.segments} is not there"  # nor what a damaged count adds to it
                break
            if number in self._failed or number >= self._next:
                yield from self._attempt_all(number)
        if (self._logs / END).exists():
            yield from self._attempt(END, lambda: self._store_file(END))

    def _attempt_all(self, number: int) -> Iterator[str]:
        problems = [problem for name in _names(number) for problem in self._attempt(name, self._filing(name))]
        self._failed = self._failed | {number} if problems else self._failed - {number}
        self._next = max(self._next, number + 1)
        self._note()
        yield from problems

    def _filing(self, name: str) -> Callable[[], None]:
        return lambda: self._store_file(name)

    def _conclude_value(self, result: ExecutionResult) -> Iterator[str]:
        storage, value = self._storage, result.result_file_contents or b"null"
        yield from self._attempt("result", lambda: storage.store_results(self._execution_id, self._id, value))
        if result.entrypoint == "backtest" and result.succeeded:
            yield from self._attempt("analysis", lambda: storage.store_analysis(self._execution_id, self._id, value))

    def _attempt(self, name: str, store: Callable[[], object]) -> Iterator[str]:
        """Store an object, unless it is there; yield the problem, if there is one."""
        if name in self._objects:
            return
        try:
            store()
        except (BotdockError, OSError) as error:
            logger.bind(execution_id=self._execution_id, object=name, error=str(error)).warning("not stored")
            yield f"{name}: {error}"
        else:
            self._objects.add(name)
            self._note()

    def _store_file(self, name: str) -> None:
        path = self._logs / name
        try:
            self._storage.store_logs(self._execution_id, self._id, name, path)
        except (BotdockError, OSError):
            if path.exists():
                raise
            with open_data(self._logs, name) as unpacked:  # it has been compressed meanwhile
                self._storage.store_logs(self._execution_id, self._id, name, unpacked)

    def _skip_to(self, number: int) -> None:
        """Count what retention removed before it was handed on."""
        self._dropped += max(number - self._next, 0)
        self._next = max(self._next, number)

    def _note(self) -> None:
        """Write down what the storage has; where that fails, a successor gives it some things again."""
        document = {
            "next": self._next,
            "failed": sorted(self._failed),
            "dropped": self._dropped,
            "objects": sorted(self._objects),
        }
        with suppress(OSError):
            publish(self._marker, json.dumps(document).encode(), durable=False)


def _names(number: int) -> Iterator[str]:
    yield from (data_name(stream, number) for stream in STREAMS)
    yield from (index_name(number), seal_name(number))
