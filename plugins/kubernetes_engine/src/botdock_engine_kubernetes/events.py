"""The ends of all containers, from the one watch."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from botdock.model import EngineEvents
from botdock_engine_kubernetes.statuses import has_ended

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lightkube.resources.core_v1 import Pod

    from botdock_engine_kubernetes.pods import Pods


class Ends(EngineEvents):
    """Tells of each pod that carries certain labels once its bot has ended, and once it is gone.

    A watch that was cut goes on from where it was, or lists all pods again: a cut loses no end, and tells it later.
    A pod whose bot has not begun for longer than a start may take is told of too, for `wait` says why.
    """

    def __init__(self, pods: Pods, selectors: Mapping[str, str], *, start_timeout: float) -> None:
        self._pods = pods
        self._start_timeout = start_timeout
        self._selectors = selectors.items()
        self._told: SimpleQueue[str] = SimpleQueue()
        self._mine: set[str] = set()
        self._end = pods.listen(self._changed)
        for name, pod in pods.known():
            self._changed(name, pod)

    def read(self, timeout: float) -> Sequence[str]:
        """Return the containers that have ended, and each time those whose bot is late to begin."""
        names: list[str] = []
        with suppress(Empty):
            names.append(self._told.get(timeout=max(timeout, 0.0)))
            while not self._told.empty():
                names.append(self._told.get_nowait())
        late = [name for name in list(self._mine) if self._pods.waits(name) > self._start_timeout]
        return [name for name in (*names, *late) if name]

    def close(self) -> None:
        """Let `read` return."""
        self._end()
        self._told.put("")

    def _changed(self, name: str, pod: Pod | None) -> None:
        if pod is not None and pod.metadata and (pod.metadata.labels or {}).items() >= self._selectors:
            self._mine.add(name)
        if name in self._mine and (pod is None or has_ended(pod)):
            self._mine.discard(name)
            self._told.put(name)
