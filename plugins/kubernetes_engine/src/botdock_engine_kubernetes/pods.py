"""One watch of the pods of botdock's Jobs in a namespace: what is known of each, who waits for what, and the ends."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from queue import Empty, SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import httpx2
from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import Status
from lightkube.resources.core_v1 import Pod

from botdock.model import EngineEvents
from botdock_engine_kubernetes.errors import FOREIGN, Call, code_of, translate
from botdock_engine_kubernetes.jobs import JOB_LABEL, LABEL_USER
from botdock_engine_kubernetes.statuses import has_ended, has_run

if TYPE_CHECKING:
    import concurrent.futures

    from botdock.errors import ContainerError
    from botdock_engine_kubernetes.cluster import Cluster

Ready: TypeAlias = Callable[[Pod | None], bool]
Changed: TypeAlias = Callable[[str, Pod | None], None]
"""Told of a Job and its pod, or of None where that is gone; called in the loop, and returns at once."""

WATCH_TIME = 240
"""Seconds of one request of the watch; the server ends it then, and the next goes on from there."""
SILENCE = 90.0
"""Seconds without a word after which the connection counts as dead: the server tells its version once a minute."""
PAUSES = (0.1, 5.0)
"""Seconds between attempts to watch again, from the first to the longest."""
PAGE = 500
"""Pods of one answer when all are listed."""
MOST_GONE = 1000
"""Pods of which is kept how they were last seen."""


class Pods:
    """What is known of botdock's pods. `until` belongs into the loop, all else may be called from any thread.

    The watch begins with the first question. When it was cut, it goes on from its last version; when that is too old,
    the pods are listed again, and what has changed meanwhile is told like any change.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._pods: dict[str, Pod] = {}
        self._gone: OrderedDict[str, Pod] = OrderedDict()
        self._waiting: dict[str, float] = {}
        self._listeners: list[Changed] = []
        self._starting = Lock()
        self._watching: concurrent.futures.Future[None] | None = None
        self._version = ""
        self.fault: ContainerError | None = None
        """Why nothing is heard now; None while the watch goes on."""

    def look(self, job: str) -> Pod | None:
        """Return what is known of the pod of a Job; None where there is none, or not yet."""
        return self._pods.get(job)

    def known(self) -> list[tuple[str, Pod]]:
        """Return all pods that are known, by their Jobs."""
        return list(self._pods.items())

    def last(self, job: str) -> Pod | None:
        """Return how a pod was last seen that is gone."""
        return self._gone.get(job)

    def is_over(self, job: str) -> bool:
        """Whether a bot has ended, or its pod is gone."""
        pod = self._pods.get(job)
        return has_ended(pod) or (pod is None and job in self._gone)

    def waits(self, job: str) -> float:
        """Return for how many seconds a pod has been seen that has not begun to run its bot; 0 where it has."""
        since = self._waiting.get(job)
        return 0.0 if since is None else time.monotonic() - since

    @property
    def is_listed(self) -> bool:
        """Whether all pods have been told."""
        return bool(self._version)

    def users(self) -> set[int]:
        """Return the user ids of the pods that are known."""
        labels = [(pod.metadata and pod.metadata.labels) or {} for _, pod in self.known()]
        return {int(found[LABEL_USER]) for found in labels if found.get(LABEL_USER, "").isdigit()}

    async def until(self, job: str, ready: Ready) -> Pod | None:
        """Wait, in the loop, until `ready` says so of the pod of a Job; return it. The caller bounds the wait."""
        self.begin()
        while True:
            changed = asyncio.Event()

            def told(name: str, _pod: Pod | None, changed: asyncio.Event = changed) -> None:
                if name in {job, ""}:
                    changed.set()

            self._listeners.append(told)
            try:
                if self._version and ready(pod := self._pods.get(job)):
                    return pod
                await changed.wait()
            finally:
                self._listeners.remove(told)

    def wait(self, job: str, ready: Ready, *, timeout: float) -> Pod | None:
        """Wait from any thread until `ready` says so of the pod of a Job; return it, or None where it was late."""
        if self._version and self.fault is None and ready(pod := self._pods.get(job)):
            return pod
        if timeout <= 0 and self._version:
            return None

        async def wait() -> Pod | None:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    return await self.until(job, ready)
            return None

        return self._cluster.spawn(wait).result()

    def listen(self, changed: Changed) -> Callable[[], None]:
        """Tell of each change from now on, in the loop; return what ends it."""
        self.begin()
        self._listeners.append(changed)

        def end() -> None:
            with suppress(ValueError):
                self._listeners.remove(changed)

        return end

    def begin(self) -> None:
        """Begin to watch, once; and again after the cluster was closed."""
        with self._starting:
            if self._watching is None or self._watching.done():
                self._version = ""
                self._watching = self._cluster.spawn(self._watch)

    async def _watch(self) -> None:
        pause, longest = PAUSES
        while True:
            try:
                if not self._version:
                    await self._list()
                self.fault, pause = None, PAUSES[0]
                await self._follow()
            except FOREIGN as error:
                if code_of(error) == HTTPStatus.GONE:
                    self._version = ""
                    continue
                self.fault = translate(error, Call(operation="watch", url=self._cluster.url))
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
                pause = min(2 * pause, longest)

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self._cluster.namespace}/pods"

    async def _list(self) -> None:
        found: dict[str, Pod] = {}
        metadata = {"continue": ""}
        while True:
            metadata = await self._page(found, metadata["continue"])
            if not metadata.get("continue"):
                break
        gone = [name for name in self._pods if name not in found]
        self._version = metadata["resourceVersion"]
        for name, pod in found.items():
            self._note(name, pod)
        for name in gone:
            self._forget(name, self._pods[name])
        self._tell("", None)

    async def _page(self, found: dict[str, Pod], after: str) -> dict[str, str]:
        """Add the pods of one page, and return what the API server says of the listing."""
        parameters = {"labelSelector": LABEL_USER, "limit": str(PAGE), **({"continue": after} if after else {})}
        get = self._cluster.http.get
        answer = await self._cluster.send(lambda: get(self._path, params=parameters, timeout=SILENCE))
        document = answer.raise_for_status().json()
        found.update(_named(document["items"]))
        return dict(document["metadata"])

    async def _follow(self) -> None:
        parameters = {
            "labelSelector": LABEL_USER,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(WATCH_TIME),
        }
        timeout = httpx2.Timeout(10.0, read=SILENCE, pool=None)
        async with self._cluster.http.stream("GET", self._path, params=parameters, timeout=timeout) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                self._apply(json.loads(line))

    def _apply(self, event: Mapping[str, Any]) -> None:
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            raise ApiError(status=cast("Status", Status.from_dict(item)))
        self._version = item["metadata"]["resourceVersion"]
        if kind == "BOOKMARK":
            return
        for name, pod in _named([item]):
            (self._forget if kind == "DELETED" else self._note)(name, pod)

    def _note(self, name: str, pod: Pod) -> None:
        self._pods[name] = pod
        if has_run(pod) or has_ended(pod):
            self._waiting.pop(name, None)
        else:
            self._waiting.setdefault(name, time.monotonic())
        self._tell(name, pod)

    def _forget(self, name: str, pod: Pod) -> None:
        self._pods.pop(name, None)
        self._waiting.pop(name, None)
        self._gone[name] = pod
        while len(self._gone) > MOST_GONE:
            self._gone.popitem(last=False)
        self._tell(name, None)

    def _tell(self, name: str, pod: Pod | None) -> None:
        for changed in list(self._listeners):
            changed(name, pod)


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


def _named(items: Iterable[dict[str, Any]]) -> Iterable[tuple[str, Pod]]:
    for item in items:
        pod = cast("Pod", Pod.from_dict(item))
        labels = (pod.metadata and pod.metadata.labels) or {}
        if name := labels.get(JOB_LABEL):
            yield name, pod
