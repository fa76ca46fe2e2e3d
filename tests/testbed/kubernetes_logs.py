"""An API server that has pods and their logs, as a log stream sees it: no network, and no waiting."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, cast

import attrs
import httpx2
from lightkube import KubeConfig
from lightkube.resources.core_v1 import Pod

from botdock_engine_kubernetes.cluster import Cluster
from botdock_engine_kubernetes.logs import PodLog
from botdock_engine_kubernetes.settings import KubernetesSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from botdock.model import LogCursor
    from botdock_engine_kubernetes.pods import Pods

SECOND = 10**9
BEGIN = int(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()) * SECOND
JOB = "botdock-1"
DEADLINE = 60.0
CUT = b"\0cut"
"""Stands in an answer for the end of its connection."""
GONE = b"unable to retrieve container logs for containerd://1"


def body(*lines: str, first: int = 0) -> bytes:
    """Return lines as the API server gives them, a second apart."""
    stamps = [datetime.fromtimestamp(BEGIN // SECOND + first + number, tz=UTC) for number in range(len(lines))]
    pairs = zip(stamps, lines, strict=True)
    return "".join(f"{stamp:%Y-%m-%dT%H:%M:%S}.000000000Z {line}" for stamp, line in pairs).encode()


def pod(state: str) -> Pod:
    """Return a pod whose bot is `waiting`, `running`, `ended`, or was `never` begun."""
    details: dict[str, Any] = {
        "waiting": {"state": {"waiting": {"reason": "PodInitializing"}}},
        "running": {"containerID": "containerd://1", "state": {"running": {}}},
        "ended": {"containerID": "containerd://1", "state": {"terminated": {"exitCode": 0}}},
        "never": {"state": {"waiting": {"reason": "PodInitializing"}}},
    }
    status = {"name": "bot", "image": "i", "imageID": "i", "ready": False, "restartCount": 0, **details[state]}
    phase = {"never": "Failed", "ended": "Succeeded"}.get(state, "Running")
    document = {"metadata": {"name": f"{JOB}-x"}, "status": {"phase": phase, "containerStatuses": [status]}}
    return cast("Pod", Pod.from_dict(document))


@attrs.frozen
class _Told:
    """What is known of the one pod; the parts of `Pods` that a log stream uses."""

    cluster: Cluster
    known: dict[str, Pod] = attrs.field(factory=dict)
    gone: dict[str, Pod] = attrs.field(factory=dict)
    listeners: list[Callable[[str, Pod | None], None]] = attrs.field(factory=list)

    def look(self, job: str) -> Pod | None:
        return self.known.get(job)

    def last(self, job: str) -> Pod | None:
        return self.gone.get(job)

    def listen(self, changed: Callable[[str, Pod | None], None]) -> Callable[[], None]:
        self.listeners.append(changed)
        return lambda: self.listeners.remove(changed)

    async def until(self, job: str, ready: Callable[[Pod | None], bool]) -> Pod | None:
        changed = asyncio.Event()
        end = self.listen(lambda _job, _pod: changed.set())
        try:
            while not ready(self.look(job)):
                changed.clear()
                await changed.wait()
            return self.look(job)
        finally:
            end()

    def note(self, found: Pod) -> None:
        self.known[JOB] = found
        for listener in list(self.listeners):
            listener(JOB, found)

    def tell(self, found: Pod) -> None:
        """Let the pod be known from now on."""

        async def note() -> None:
            self.note(found)

        self.cluster.spawn(note).result(DEADLINE)


@attrs.frozen
class Answer:
    """What the API server answers.

    Attributes:
        body: In one piece, or as more.
        ends_bot: Whether the bot ends before the answer does.
        waits: Whether the answer does not end by itself.
        date: Seconds after `BEGIN` at which it was begun.
    """

    body: bytes | tuple[bytes, ...] = ()
    status: int = attrs.field(default=200, kw_only=True)
    words: str = attrs.field(default="", kw_only=True)
    ends_bot: bool = attrs.field(default=False, kw_only=True)
    waits: bool = attrs.field(default=False, kw_only=True)
    date: int = attrs.field(default=0, kw_only=True)


class World:
    """The API server and what was asked of it."""

    def __init__(self) -> None:
        document = {
            "clusters": [{"name": "c", "cluster": {"server": "http://api", "insecure-skip-tls-verify": True}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "bots"}}],
            "current-context": "x",
        }
        config = KubeConfig.from_dict(document).get()
        assert config
        self.cluster = Cluster(config, KubernetesSettings(), transport=httpx2.MockTransport(self._handle))
        self.pods = _Told(self.cluster)
        self.answers: list[Answer] = []
        self.asked: list[dict[str, str]] = []
        """The parameters of each log that was asked for."""
        self.job_conditions: list[dict[str, str]] = []
        self.sent = 0
        """Pieces of logs that were read."""
        self.left = threading.Event()
        """Whether an answer that does not end by itself was given up."""

    def open(self, *, cursor: LogCursor | None = None, follow: bool = True) -> PodLog:
        """Open the log of the pod."""
        return PodLog(self.cluster, cast("Pods", self.pods), JOB, cursor=cursor, follow=follow)

    def wait_asked(self, count: int) -> None:
        """Wait until so many logs were asked for."""
        until = time.monotonic() + DEADLINE
        while len(self.asked) < count:
            assert time.monotonic() < until
            time.sleep(0.01)

    def settle(self) -> None:
        """Wait until what is ready to run in the loop has run."""

        async def turns() -> None:
            for _ in range(1000):
                await asyncio.sleep(0)

        self.cluster.spawn(turns).result(DEADLINE)

    def close(self) -> None:
        """End the thread."""
        self.cluster.close()

    async def _handle(self, request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/log"):
            return httpx2.Response(200, content=json.dumps({"status": {"conditions": self.job_conditions}}))
        self.asked.append(dict(request.url.params))
        answer = self.answers.pop(0)
        headers = {"Date": format_datetime(datetime.fromtimestamp(BEGIN // SECOND + answer.date, tz=UTC), usegmt=True)}
        if answer.status != 200:
            words = {"kind": "Status", "message": answer.words, "code": answer.status}
            return httpx2.Response(answer.status, headers=headers, content=json.dumps(words))
        return httpx2.Response(200, headers=headers, content=self._pieces(answer))

    async def _pieces(self, answer: Answer) -> AsyncIterator[bytes]:
        for piece in (answer.body,) if isinstance(answer.body, bytes) else answer.body:
            if piece == CUT:
                raise httpx2.ReadError("cut")
            self.sent += 1
            yield piece
        if answer.ends_bot:
            self.pods.note(pod("ended"))
        if answer.waits:
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()
