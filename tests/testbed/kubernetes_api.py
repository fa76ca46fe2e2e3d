"""An API server of a test's own: Jobs and pods in memory, one watch, and answers that a test asks for."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any

import httpx2

CONFIG: dict[str, Any] = {
    "current-context": "one",
    "contexts": [{"name": "one", "context": {"cluster": "one", "user": "me", "namespace": "bots"}}],
    "clusters": [{"name": "one", "cluster": {"server": "https://api.example:6443"}}],
    "users": [{"name": "me", "user": {"token": "t"}}],
}
JOB = "botdock-1"
PHASES = {"running": "Running", "terminated": "Succeeded", "waiting": "Pending"}


def pod(name: str = JOB, *, phase: str = "", bot: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return a pod of a Job, with what is known of its bot."""
    state = bot or {"waiting": {"reason": "PodInitializing"}}
    status = {
        "phase": phase or PHASES[next(iter(state))],
        "containerStatuses": [
            {"name": "bot", "image": "i", "imageID": "i", "ready": False, "restartCount": 0, "state": state}
        ],
        **more.pop("status", {}),
    }
    metadata = {
        "name": f"{name}-x",
        "labels": {"io.botdock.job": name, "io.botdock.user": "2000001"},
        **more.pop("metadata", {}),
    }
    spec = {"containers": [{"name": "bot", "image": "an-image"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def ended(code: int = 0, **more: Any) -> dict[str, Any]:
    """Return the state of a bot that has ended."""
    times = {"startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:05Z"}
    return {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed", **times, **more}}


RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def refusal(code: int, reason: str = "", message: str = "no", **headers: str) -> httpx2.Response:
    """Return an answer by which the API server refuses."""
    status = {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message}
    return httpx2.Response(code, json=status, headers=headers)


class _Watch(httpx2.AsyncByteStream):
    def __init__(self) -> None:
        self.events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (event := await self.events.get()) is not None:
            yield json.dumps(event).encode() + b"\n"


class Api:
    """What answers. Use it through a `Cluster`; `tell` and `cut` may be called from the test's thread."""

    def __init__(self) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.refusals: deque[httpx2.Response | Exception] = deque()
        """What the next calls get that are no watch and no listing of pods."""
        self.requests: list[str] = []
        self.watched_from: list[str] = []
        self.too_old = False
        self._versions = itertools.count(1)
        self._version = "0"
        self._watches: list[tuple[asyncio.AbstractEventLoop, _Watch]] = []

    def tell(self, kind: str, item: dict[str, Any]) -> None:
        """Tell watchers of a pod's change."""
        self._version = item["metadata"]["resourceVersion"] = str(next(self._versions))
        name = item["metadata"].get("labels", {}).get("io.botdock.job", "")
        if kind == "DELETED":
            self.pods.pop(name, None)
        else:
            self.pods[name] = item
        self.say({"type": kind, "object": item})

    def say(self, event: dict[str, Any]) -> None:
        """Let watchers read this."""
        _say(list(self._watches), event)

    def cut(self) -> None:
        """End the connections of the watches."""
        before, self._watches = self._watches, []  # the next may be there before the last of these has ended
        _say(before, None)

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer."""
        query, path = request.url.params, request.url.path
        self.requests.append(f"{request.method} {path}")
        if "watch" in query:
            return self._watch(query["resourceVersion"])
        if path.endswith("/pods") and request.method == "GET":
            first = int(query.get("continue", 0))
            items = [*self.pods.values()][first : first + int(query.get("limit", 500))]
            rest = {"continue": str(first + len(items))} if first + len(items) < len(self.pods) else {}
            metadata = {"resourceVersion": self._version, **rest}
            return httpx2.Response(200, json={"kind": "PodList", "metadata": metadata, "items": items})
        if self.refusals:
            answer = self.refusals.popleft()
            if isinstance(answer, Exception):
                raise answer
            return answer
        found = self.jobs.get(path.rpartition("/")[2])
        return httpx2.Response(200, json=found) if found else refusal(404, "NotFound", f"{path} not found")

    def _watch(self, version: str) -> httpx2.Response:
        if self.too_old:
            self.too_old = False
            self.watched_from.append(version)
            return refusal(410, "Expired", "too old resource version")
        watch = _Watch()
        self._watches.append((asyncio.get_running_loop(), watch))
        self.watched_from.append(version)  # from here on a test may tell
        return httpx2.Response(200, stream=watch)


def _say(watches: Iterable[tuple[asyncio.AbstractEventLoop, _Watch]], event: dict[str, Any] | None) -> None:
    for loop, watch in watches:
        with suppress(RuntimeError):  # its cluster was closed
            loop.call_soon_threadsafe(watch.events.put_nowait, event)
