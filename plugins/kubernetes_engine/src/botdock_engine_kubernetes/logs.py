"""The log of a container, as the API server gives it: followed in the cluster's thread, taken by another.

Measured on Kubernetes 1.32: the kubelet's follower leaps over a file that was rotated away before it was read, and one
that meets a rotation before it has read a long log to its end waits at the end of that file for ever; nothing tells of
either. So what comes is looked at for both, and the end is believed when a reading agrees that began after the
container had ended.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from botdock.errors import ContainerError
from botdock.model import LogCursor, LogStream
from botdock_engine_kubernetes.answers import ANSWER, CrowdedError, GoneError, check_words, open_log
from botdock_engine_kubernetes.entries import EntryReader, chunks_of
from botdock_engine_kubernetes.errors import FOREIGN, Call, translate
from botdock_engine_kubernetes.flow import Flow, begun_at
from botdock_engine_kubernetes.handover import Handover
from botdock_engine_kubernetes.jobs import Jobs
from botdock_engine_kubernetes.pod import BOT
from botdock_engine_kubernetes.resuming import OVERLAP_NS, Position, ToEnd, ToMark, lost
from botdock_engine_kubernetes.statuses import has_begun, has_ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx2
    from lightkube.resources.core_v1 import Pod

    from botdock.model import LogChunk, LogGap
    from botdock_engine_kubernetes.cluster import Cluster
    from botdock_engine_kubernetes.entries import Entry
    from botdock_engine_kubernetes.pods import Pods

    Skip: TypeAlias = ToMark | ToEnd

END_TOLD = 10.0
"""Seconds until the watch tells of a container's end after its log has ended."""
CROWDED_PAUSE = 1.0
"""Seconds until a log is asked for again that could not be followed."""


class PodLog(LogStream):
    """The log of one container of a Job's pod, in one stream: Kubernetes gives stdout and stderr merged, as stdout.

    It may be opened before there is a pod. Where reading breaks, `read` raises, and a new one goes on from the cursor.

    Args:
        cluster: The API server, and the thread.
        pods: Tells of the pod.
        job: The name of the Job.
        container: Which container of its pod.
        cursor: What is stored already.
        follow: Whether to go on until the container ends.
    """

    def __init__(
        self,
        cluster: Cluster,
        pods: Pods,
        job: str,
        *,
        container: str = BOT,
        cursor: LogCursor | None = None,
        follow: bool = True,
    ) -> None:
        self._cluster = cluster
        self._pods = pods
        self._job = job
        self._container = container
        self._cursor = cursor or LogCursor()
        self._follow = follow
        self._call = Call(operation="read_logs", url=cluster.url, timeout=ANSWER, container_id=job)
        self._handover = Handover()
        self._position = Position()
        self._lost: tuple[LogGap, ...] = ()
        self._activity = 0
        self._is_behind = self._is_followed = False
        self._reading = cluster.spawn(self._read)

    @property
    def ended(self) -> bool:
        """Whether the end of the log has been read."""
        return self._handover.ended

    @property
    def lost(self) -> Sequence[LogGap]:
        """What lies between the cursor and the first byte, and may be gone."""
        return self._lost

    @property
    def activity(self) -> int:
        """Bytes that came, also those that are stored already."""
        return self._activity

    def read(self, timeout: float) -> Sequence[LogChunk]:
        """Return what has come, waiting at most `timeout` seconds for the first byte."""
        return chunks_of(self._handover.take(timeout))

    def fileno(self) -> int | None:
        """Return what is readable when there is something to read."""
        return self._handover.fileno()

    def close(self) -> None:
        """Let go of the connection."""
        self._handover.close()  # first: a thread that waits for more then returns with nothing, not with an error
        self._reading.cancel()

    async def _read(self) -> None:
        try:
            await self._read_to_end()
            self._handover.end()
        except (ContainerError, *FOREIGN) as error:
            self._handover.end(translate(error, self._call))
        except Exception as error:
            self._handover.end(self._call.error(ContainerError, f"reading the log failed: {error!r}"))
            raise
        except asyncio.CancelledError:
            self._handover.end(self._call.error(ContainerError, "the engine was closed"))
            raise

    async def _read_to_end(self) -> None:
        pod = await self._pod_with_log()
        if pod is None and self._follow and self._had_log():
            self._note_gone()
        if pod is None or not has_begun(pod, self._container):
            return
        name = pod.metadata.name if pod.metadata and pod.metadata.name else self._job
        skip: Skip = self._first_skip()
        while True:
            is_last = not self._follow or self._is_over(self._pods.look(self._job))
            try:
                at_end = await self._take(name, skip, follow=not is_last)
            except GoneError:
                self._note_gone()
                return
            except CrowdedError:
                at_end = False
                await asyncio.sleep(CROWDED_PAUSE)
            if is_last and at_end and (skip.found or self._has_all(skip)):
                return
            skip = self._next_skip(skip)
            if at_end and not is_last:
                self._is_followed = True
                await self._await_end()

    def _first_skip(self) -> Skip:
        cursor = self._cursor
        if cursor.stdout and cursor.last_ns and cursor.stdout_tail:
            return ToMark(cursor.last_ns, size=None, tail=cursor.stdout_tail)
        return ToEnd(cursor)

    def _next_skip(self, before: Skip) -> Skip:
        """Return how the next answer is read: what was not found is looked for in all that there is."""
        time_ns = self._position.time_ns
        if time_ns and before.found:
            return ToMark(time_ns, size=self._position.size)
        if time_ns:
            raise self._call.error(ContainerError, "the log was rotated before it was read to its end")
        return ToEnd(self._cursor)

    def _has_all(self, skip: Skip) -> bool:
        """Whether a follower in time read a file to its end that was then rotated, with nothing in the next one."""
        return bool(self._position.time_ns) and not (skip.passed or self._is_behind)

    def _note_gone(self) -> None:
        """Take the end of a log that is not there: it was followed to it, or what is behind the cursor is lost.

        Raises:
            ContainerError: It went while it was read: the one who reads next notes what is lost.
        """
        if self._position.time_ns and not self._is_followed:
            raise self._call.error(ContainerError, "the log was removed before it was read to its end")
        if not self._is_followed:
            self._lost = (lost(self._cursor),)

    def _is_over(self, pod: Pod | None) -> bool:
        """Whether nothing will be added to the log."""
        return pod is None or has_ended(pod, self._container)

    def _had_log(self) -> bool:
        last = self._pods.last(self._job)
        return self._cursor.stdout > 0 or (last is not None and has_begun(last, self._container))

    async def _pod_with_log(self) -> Pod | None:
        """Return the pod once its container has begun or never will; None where there is no pod any more, or yet."""

        def is_ready(pod: Pod | None) -> bool:
            if pod is None:
                return not self._follow or self._pods.last(self._job) is not None
            return not self._follow or has_begun(pod, self._container) or self._is_over(pod)

        await self._pods.until(self._job, lambda _pod: True)  # the watch has listed them
        if self._pods.look(self._job) is None and await Jobs(self._cluster).is_finished(self._job):
            return None
        return await self._pods.until(self._job, is_ready)

    async def _await_end(self) -> None:
        try:
            async with asyncio.timeout(END_TOLD):
                await self._pods.until(self._job, self._is_over)
        except TimeoutError as error:
            raise self._call.error(ContainerError, "the log ended while the container runs") from error

    async def _take(self, pod: str, skip: Skip, *, follow: bool) -> bool:
        """Read one answer, as far as it is of use; return whether it has ended by itself."""
        since_ns = max(0, skip.time_ns - OVERLAP_NS) if isinstance(skip, ToMark) else 0
        entries = EntryReader(continues=since_ns > 0)
        answer = await open_log(self._cluster, pod, self._container, since_ns=since_ns, follow=follow)
        try:
            if follow:
                return await self._follow_answer(answer, entries, skip)
            return await self._read_answer(answer, entries, skip, None)
        except ValueError as error:
            check_words(entries.words)
            raise self._call.error(ContainerError, str(error)) from error
        finally:
            await answer.aclose()

    async def _follow_answer(self, answer: httpx2.Response, entries: EntryReader, skip: Skip) -> bool:
        self._is_behind = True
        with suppress(TimeoutError):
            async with asyncio.timeout(None) as bound:
                flow = Flow(bound, begun_at(answer.headers.get("Date", "")))
                stop_listening = self._pods.listen(lambda _job, _pod: self._tell_end(flow))
                try:
                    self._tell_end(flow)
                    at_end = await self._read_answer(answer, entries, skip, flow)
                    self._is_behind = flow.is_behind
                    return at_end
                finally:
                    stop_listening()
        return False

    async def _read_answer(self, answer: httpx2.Response, entries: EntryReader, skip: Skip, flow: Flow | None) -> bool:
        async for piece in answer.aiter_raw():
            self._activity += len(piece)
            if flow:
                flow.come(len(piece))
            await self._deliver(skip.feed(entries.feed(piece)), skip, flow)
            if skip.passed:
                return False
            if flow:
                flow.wait()
        last = entries.finish()
        check_words(entries.words)
        if flow and last:
            check_words(last[-1][1])  # they may stand behind a line that the bot has not ended
        await self._deliver([*skip.feed(last), *skip.finish()], skip, None)
        return True

    def _tell_end(self, flow: Flow) -> None:
        if self._is_over(self._pods.look(self._job)):
            flow.end()

    async def _deliver(self, new: list[Entry], skip: Skip, flow: Flow | None) -> None:
        """Hand over what is new, up to where a file may have been leapt over.

        Raises:
            ContainerError: There is such a place: the one who reads next finds out.
        """
        if isinstance(skip, ToEnd) and skip.lost and not self._position.time_ns:
            self._lost = skip.lost
        if skip.found and isinstance(skip, ToMark) and not self._position.time_ns:
            self._position.advance([(skip.time_ns, skip.matched)])
        trusted = flow.split(new) if flow else len(new)
        self._position.advance(new[:trusted])
        await self._handover.put(new[:trusted])
        if trusted < len(new):
            raise self._call.error(ContainerError, "the log may have been rotated before it was read")
