"""The Job of a run, which the cluster is asked for. Pure: no call is made here. What its pod is, see `pod`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from lightkube.resources.batch_v1 import Job

from botdock_engine_kubernetes.pod import LABEL_NETWORK, network_label, pod_spec

if TYPE_CHECKING:
    from botdock.model import ContainerRun, ContainerTemplate
    from botdock_engine_kubernetes.delivery import Delivery
    from botdock_engine_kubernetes.settings import KubernetesSettings

JOB_LABEL = "io.botdock.job"
"""Of pods: the name of their Job."""
LABEL_USER = "io.botdock.user"
"""The user id of a bot, and what botdock's Jobs and pods are known by."""
ANNOTATION_NAME = "io.botdock.name"
"""The name of the run; the Job's is it in small letters."""


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
