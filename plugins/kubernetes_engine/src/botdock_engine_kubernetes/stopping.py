"""The stop of a container that runs: SIGTERM and a grace, then SIGKILL, and how it ended stays to be read."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lightkube.core.exceptions import ApiError

from botdock_engine_kubernetes.errors import FOREIGN
from botdock_engine_kubernetes.jobs import stopped_now
from botdock_engine_kubernetes.pod import BOT
from botdock_engine_kubernetes.statuses import has_ended, has_run

if TYPE_CHECKING:
    from lightkube.resources.core_v1 import Pod

    from botdock_engine_kubernetes.jobs import Jobs
    from botdock_engine_kubernetes.pods import Pods

KILL = ("/bin/sh", "-c", "kill -KILL -1")
"""Run beside the bot: the kubelet itself kills no container without SIGTERM and two seconds."""
KILL_TIME = 5.0
"""Seconds until a bot that was killed from within is known to have ended; else its pod is deleted."""


async def stop(pods: Pods, jobs: Jobs, name: str, grace: float) -> None:
    """Stop the bot of a Job that has been resumed; return when it has ended. The caller bounds the wait.

    A deadline that has passed lets the kubelet send SIGTERM, and leaves the pod with its log and its result. A bot that
    outlives its grace is killed from within; where that is not allowed or fails, the pod is deleted, which gives it two
    seconds more, and is kept by a finalizer until `remove`.
    """
    ending = _Ending(pods, jobs, name)
    pod = await pods.until(name, lambda pod: pod is not None or pods.last(name) is not None)
    if pod is None or not pod.metadata or not pod.metadata.name:
        return
    change = stopped_now()
    if grace > 0:
        change["spec"] = {"activeDeadlineSeconds": 1}
    if not await ending.change(pod.metadata.name, change) or (grace > 0 and await ending.within(grace)):
        return
    if has_run(pods.look(name)):
        with suppress(*FOREIGN):  # not allowed, or no process can be started: then the pod is deleted
            async with asyncio.timeout(KILL_TIME):
                await jobs.run(pod.metadata.name, BOT, KILL)
        if await ending.within(KILL_TIME):
            return
    await jobs.kill_pod(pod.metadata.name)
    await pods.until(name, ending.is_over)


class _Ending:
    """The end of one pod."""

    def __init__(self, pods: Pods, jobs: Jobs, name: str) -> None:
        self._pods = pods
        self._jobs = jobs
        self._name = name

    def is_over(self, pod: Pod | None) -> bool:
        """Tell whether the bot has ended, or its pod is gone."""
        return has_ended(pod) or (pod is None and self._pods.last(self._name) is not None)

    async def within(self, seconds: float) -> bool:
        """Wait so long, and tell whether it has ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._pods.until(self._name, self.is_over)
                return True
        return False

    async def change(self, pod: str, change: dict[str, Any]) -> bool:
        """Change the pod; tell whether it is still there."""
        try:
            await self._jobs.patch_pod(pod, change)
        except ApiError as error:
            if error.status.code != 404:  # noqa: PLR2004 - not found
                raise
            return False
        return True
