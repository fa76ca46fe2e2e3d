"""The Job of a run, and the calls about Jobs, their pods and their Secrets; what a pod is, see `pod`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from secrets import token_hex
from typing import TYPE_CHECKING, Any, cast

from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.operators import exists
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Event, Pod, Secret
from lightkube.types import CascadeType, PatchType

from botdock_engine_kubernetes.pod import LABEL_NETWORK, network_label, pod_spec
from botdock_engine_kubernetes.statuses import ANNOTATION_STOP, has_ended, is_finished

if TYPE_CHECKING:
    from lightkube import AsyncClient

    from botdock.model import ContainerRun, ContainerTemplate
    from botdock_engine_kubernetes.cluster import Cluster
    from botdock_engine_kubernetes.delivery import Delivery
    from botdock_engine_kubernetes.settings import KubernetesSettings

JOB_LABEL = "io.botdock.job"
"""Of pods: the name of their Job."""
LABEL_USER = "io.botdock.user"
"""The user id of a bot, and what botdock's Jobs and pods are known by."""
ANNOTATION_NAME = "io.botdock.name"
"""The name of the run; the Job's is it in small letters."""
ANNOTATION_MADE = "io.botdock.made"
"""Of a Job: which call made it, for one whose answer was lost."""
KEPT = "io.botdock/status"
"""The finalizer of a pod that botdock deletes to kill it: how it ended stays to be read until it is removed."""
PAGE = 500
"""Objects of one answer."""
SOON = 1
"""Seconds between SIGTERM and SIGKILL, the fewest that Kubernetes takes without forgetting the pod."""


def job_name(name: str) -> str:
    """Return the name of the Job of a run: Kubernetes wants small letters."""
    return name.lower()


def job(
    template: ContainerTemplate,
    run: ContainerRun,
    *,
    settings: KubernetesSettings,
    user: int,
    delivery: Delivery,
    pull: str = "IfNotPresent",
) -> Job:
    """Return the Job of one run, suspended.

    Args:
        template: What it has in common with others.
        run: What is its own.
        settings: The operator's.
        user: Its user id, and group id.
        delivery: How its files reach it.
        pull: Kubernetes' word for when an image is pulled.

    Raises:
        PolicyError: The network is another's.
    """
    name, labels = job_name(run.name), {**run.selectors, LABEL_USER: str(user)}
    document = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {**run.annotations, ANNOTATION_NAME: run.name},
        },
        "spec": {
            "suspend": True,
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            # the condition stays with the Job when the pod is gone, and says why
            "podFailurePolicy": {
                "rules": [{"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            "ttlSecondsAfterFinished": math.ceil(settings.keep_finished),
            "template": {
                "metadata": {"labels": {**labels, JOB_LABEL: name, LABEL_NETWORK: network_label(template.network)}},
                "spec": pod_spec(template, run, settings=settings, user=user, delivery=delivery, pull=pull),
            },
        },
    }
    return cast("Job", Job.from_dict(document))


class Jobs:
    """The calls about Jobs of one namespace. All run by `Cluster.call`, and raise what the client raises."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    @property
    def _client(self) -> AsyncClient:
        return self._cluster.client

    async def create(self, job: Job) -> Job:
        """Create a Job; one that an earlier attempt made, whose answer was lost, counts as created."""
        assert job.metadata and job.metadata.name and job.metadata.annotations  # noqa: S101, PT018 - as `job` makes it
        mark = job.metadata.annotations.setdefault(ANNOTATION_MADE, token_hex(8))
        try:
            return await self._client.create(job)
        except ApiError as error:
            if error.status.code == HTTPStatus.CONFLICT:
                there = await self.get(job.metadata.name)
                if there.metadata and (there.metadata.annotations or {}).get(ANNOTATION_MADE) == mark:
                    return there
            raise

    async def give(self, secrets: Iterable[Secret]) -> None:
        """Create Secrets, which go with the Job that owns them."""
        for secret in secrets:
            await self._client.create(secret)

    async def get(self, name: str) -> Job:
        """Return a Job."""
        return await self._client.get(Job, name)

    async def is_finished(self, name: str) -> bool:
        """Ask whether a Job, of which there is no pod, will not have one again."""
        try:
            return is_finished(await self._cluster.send(lambda: self.get(name)))
        except ApiError as error:
            if error.status.code != HTTPStatus.NOT_FOUND:
                raise
            return True

    async def resume(self, name: str) -> None:
        """Let a Job begin."""
        await self._client.patch(Job, name, {"spec": {"suspend": False}})

    async def pod_of(self, name: str) -> Pod | None:
        """Return the pod of a Job; None where there is none."""
        found = await self.pods({JOB_LABEL: name})
        return found[0] if found else None

    async def look(self, name: str) -> tuple[Job, Pod | None]:
        """Return a Job and its pod, as they are now."""
        job, pod = await asyncio.gather(self.get(name), self.pod_of(name))
        return job, pod

    async def list(self, selectors: Mapping[str, str]) -> list[Job]:
        """Return botdock's Jobs that carry all of the labels."""
        labels: dict[str, Any] = {LABEL_USER: exists(), **selectors}
        return [job async for job in self._client.list(Job, labels=labels, chunk_size=PAGE)]

    async def pods(self, selectors: Mapping[str, str]) -> Sequence[Pod]:
        """Return botdock's pods that carry all of the labels."""
        labels: dict[str, Any] = {LABEL_USER: exists(), **selectors}
        return [pod async for pod in self._client.list(Pod, labels=labels, chunk_size=PAGE)]

    async def patch_pod(self, pod: str, change: Mapping[str, Any]) -> bool:
        """Change a pod; tell whether it is still there."""
        return await _unless_gone(self._client.patch(Pod, pod, dict(change), patch_type=PatchType.STRATEGIC))

    async def run(self, pod: str, container: str, command: Sequence[str]) -> None:
        """Run a command in a container of a pod."""
        await self._client.exec(pod, container=container, command=command, stdout=True, stderr=True)

    async def kill_pod(self, pod: str) -> None:
        """Delete a pod with as little grace as there is, and keep how it ended to be read."""
        await self.patch_pod(pod, {"metadata": {"finalizers": [KEPT]}})
        await _unless_gone(self._client.delete(Pod, pod, grace_period=SOON))

    async def delete(self, name: str) -> None:
        """Delete a Job, and with it, in the background, what it owns; one that is not there is not an error."""
        await _unless_gone(self._client.delete(Job, name, cascade=CascadeType.BACKGROUND))

    async def delete_pod(self, pod: Pod) -> None:
        """Delete a pod, and kill what runs in it; one that is not there is not an error."""
        metadata = pod.metadata or ObjectMeta()
        name = metadata.name or ""
        if not has_ended(pod):  # others that watch it are not to take this for an end that no botdock asked for
            await self.patch_pod(name, stopped_now())
        await _unless_gone(self._client.delete(Pod, name, grace_period=SOON))
        if KEPT in (metadata.finalizers or []):
            await self.patch_pod(name, {"metadata": {"$deleteFromPrimitiveList/finalizers": [KEPT]}})

    async def complaints(self, *names: str) -> str:
        """Return what the cluster has last warned of about Jobs and pods; empty where it may not be asked."""
        with suppress(ApiError):
            for name in names:
                fields: dict[str, Any] = {"involvedObject.name": name, "type": "Warning"}
                listed = self._client.list(Event, namespace=self._client.namespace, fields=fields)
                events = [event async for event in listed]
                if events:
                    last = max(events, key=lambda event: str(event.lastTimestamp or event.eventTime or ""))
                    return f"{last.reason}: {last.message}"
        return ""


def stopped_now() -> dict[str, Any]:
    """Return the change of a pod that tells that botdock itself ends it."""
    return {"metadata": {"annotations": {ANNOTATION_STOP: datetime.now(UTC).isoformat()}}}


async def _unless_gone(call: Awaitable[object]) -> bool:
    """Make a call; tell whether what it is about is still there."""
    try:
        await call
    except ApiError as error:
        if error.status.code != HTTPStatus.NOT_FOUND:
            raise
        return False
    return True
