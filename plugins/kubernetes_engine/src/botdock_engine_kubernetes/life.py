"""The start and the stop of a container: its Job is resumed; its bot gets SIGTERM, a grace, then SIGKILL.

What keeps a pod from running is told in the cluster's words.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from botdock.errors import ContainerError, EngineTimeoutError, ImageError
from botdock_engine_kubernetes.errors import ENGINE, FOREIGN, Call
from botdock_engine_kubernetes.jobs import stopped_now
from botdock_engine_kubernetes.pod import BOT
from botdock_engine_kubernetes.statuses import (
    IMAGE_AT_ONCE,
    NOT_STARTED,
    has_ended,
    has_run,
    state_of,
    status,
    waiting,
    waits_for,
)

if TYPE_CHECKING:
    from lightkube.resources.core_v1 import Pod

    from botdock_engine_kubernetes.cluster import Cluster
    from botdock_engine_kubernetes.jobs import Jobs
    from botdock_engine_kubernetes.pods import Pods

FINAL = ("not found", "denied", "unauthorized", "forbidden", "no basic auth", "manifest unknown", "invalid reference")
"""Words about an image that does not come, however often it is tried."""
ASKING = 10.0
"""Seconds for the look at what the cluster says of a pod that does not come."""
KILL = ("/bin/sh", "-c", "kill -KILL -1")
"""Run beside the bot: the kubelet itself kills no container without SIGTERM and two seconds."""
KILL_TIME = 5.0
"""Seconds until a bot that was killed from within is known to have ended; else its pod is deleted."""
_IMAGE = (
    "Check the name; runtime.images names another, options.kubernetes.image_pull_secrets what the registry asks for."
)
_LONGER = "`containers.call_timeout` says how long a start may take, the pull of the image included."
_PROGRAM = "Set runtime.images to an image that has a POSIX shell, tar, gzip and the runtime's interpreter."


class Life:
    """Starts containers, and stops them."""

    def __init__(self, cluster: Cluster, pods: Pods, jobs: Jobs) -> None:
        self._cluster = cluster
        self._pods = pods
        self._jobs = jobs

    def start(self, name: str, *, timeout: float) -> None:
        """Resume a Job, and wait until its bot runs, or is known not to.

        Raises:
            ImageError: Its image does not come.
            ContainerError: It cannot be run, or is not in time, for the reason that the cluster gives.
        """
        deadline = time.monotonic() + timeout
        call = Call(operation="start", url=self._cluster.url, timeout=timeout, container_id=name)
        resume = self._jobs.resume
        self._cluster.call("start", lambda: resume(name), timeout=timeout, container_id=name, repeatable=True)
        pod = self._pods.wait(name, is_decided, timeout=max(0.0, deadline - time.monotonic()))
        if pod is None:
            raise self.late(name, timeout=timeout)
        end = state_of(pod)
        if has_run(pod) and not (end and end.terminated and end.terminated.reason in NOT_STARTED):
            return
        if error := image_error(pod):
            raise error
        seen = status(name, None, pod)
        raise call.error(ContainerError, (seen and seen.error) or "it did not start", hint=_PROGRAM)

    def late(self, name: str, *, timeout: float) -> ContainerError:
        """Return the error of a bot that does not run after so many seconds, with what the cluster says of it."""
        call = Call(operation="start", url=self._cluster.url, timeout=timeout, container_id=name)
        pod = self._pods.look(name)
        if fault := self._pods.fault:
            return fault
        if pod is not None and (error := image_error(pod)):
            return error
        if pod is None:  # raises where the Job is gone
            get = self._jobs.get
            self._cluster.call("start", lambda: get(name), timeout=ASKING, container_id=name, repeatable=True)
        names = [pod.metadata.name or ""] if pod and pod.metadata else []
        complaints = self._jobs.complaints
        said = (pod and waits_for(pod)) or self._cluster.call(
            "start", lambda: complaints(*names, name), timeout=ASKING, repeatable=True
        )
        problem = f"its pod does not run after {call.timeout:g} s: {said or 'the cluster does not say why'}"
        return call.error(EngineTimeoutError, problem, hint=_LONGER)

    def stop(self, name: str, *, grace: float, timeout: float) -> None:
        """Stop the bot of a Job that has been resumed; return when it has ended.

        A deadline that has passed lets the kubelet send SIGTERM, and leaves the pod with its log and its result. A bot
        that outlives its grace is killed from within; where that is not allowed or fails, the pod is deleted, which
        gives it two seconds more, and is kept by a finalizer until `remove`.

        Raises:
            ContainerError: It has not ended in time, or the API server does not answer.
        """
        self._cluster.call("stop", lambda: self._stop(name, grace), timeout=timeout, container_id=name, repeatable=True)

    async def _stop(self, name: str, grace: float) -> None:
        pods = self._pods
        pod = await pods.until(name, lambda pod: pod is not None or pods.is_over(name))
        if pod is None or not pod.metadata or not pod.metadata.name:
            return
        change = stopped_now()
        if grace > 0:
            change["spec"] = {"activeDeadlineSeconds": 1}
        if not await self._jobs.patch_pod(pod.metadata.name, change):
            return
        if grace > 0 and await self._ends_within(name, grace):
            return
        if has_run(pods.look(name)):
            with suppress(*FOREIGN):  # not allowed, or no process can be started: then the pod is deleted
                async with asyncio.timeout(KILL_TIME):
                    await self._jobs.run(pod.metadata.name, BOT, KILL)
            if await self._ends_within(name, KILL_TIME):
                return
        await self._jobs.kill_pod(pod.metadata.name)
        await pods.until(name, lambda _pod: pods.is_over(name))

    async def _ends_within(self, name: str, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._pods.until(name, lambda _pod: self._pods.is_over(name))
                return True
        return False


def is_decided(pod: Pod | None) -> bool:
    """Tell whether a bot has been started, or it is certain that it will not be."""
    if pod is None:
        return False
    if has_run(pod) or has_ended(pod):
        return True
    found = waiting(pod)
    return found is not None and found.is_for_its_image and _is_final(found.reason, found.message)


def _is_final(reason: str, message: str) -> bool:
    return reason in IMAGE_AT_ONCE or any(words in message.lower() for words in FINAL)


def image_error(pod: Pod) -> ImageError | None:
    """Return the error of a pod whose image does not come; None where it waits for something else."""
    found = waiting(pod)
    if found is None or not found.is_for_its_image:
        return None
    containers = pod.spec.containers if pod.spec else []
    image = next((each.image or "" for each in containers if each.name == BOT), "")
    problem = f"{ENGINE}: image {image!r}: {found.reason}: {found.message}"
    return ImageError(
        problem, image=image, engine=ENGINE, hint=_IMAGE, transient=not _is_final(found.reason, found.message)
    )
