"""What a pod says of one of its containers, and a Job of a pod that is not there."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightkube.models.core_v1 import ContainerStatus
    from lightkube.resources.core_v1 import Pod

    from botdock_engine_kubernetes.cluster import Cluster


def container_status(pod: Pod, container: str) -> ContainerStatus | None:
    """Return what is known of a container; None before the kubelet has told."""
    status = pod.status
    found = [*((status and status.containerStatuses) or ()), *((status and status.initContainerStatuses) or ())]
    return next((status for status in found if status.name == container), None)


def has_begun(pod: Pod, container: str) -> bool:
    """Whether the container has begun, so that there is or was a log."""
    status = container_status(pod, container)
    return bool(status and status.containerID)


def is_over(pod: Pod | None, container: str) -> bool:
    """Whether the container has ended or never will begin: nothing will be added to its log."""
    if pod is None or (pod.status and pod.status.phase in {"Succeeded", "Failed"}):
        return True
    status = container_status(pod, container)
    return bool(status and status.state and status.state.terminated)


async def job_has_ended(cluster: Cluster, job: str) -> bool:
    """Ask whether a Job, of which there is no pod, will not have one again.

    Raises:
        httpx2.HTTPError: The API server does not say.
    """
    path = f"/apis/batch/v1/namespaces/{cluster.namespace}/jobs/{job}"
    answer = await cluster.send(lambda: cluster.http.get(path))
    if answer.status_code == HTTPStatus.NOT_FOUND:
        return True
    answer.raise_for_status()
    conditions = answer.json().get("status", {}).get("conditions", ())
    return any(found["type"] in {"Complete", "Failed"} and found["status"] == "True" for found in conditions)
