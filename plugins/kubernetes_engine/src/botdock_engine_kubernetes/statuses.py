"""What a Job and its pod tell of a container: where it is in its life, and how it ended. Pure: no call is made here."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from botdock.model import ContainerState, ContainerStatus
from botdock_engine_kubernetes.pod import BOT, DELIVER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightkube.models.batch_v1 import JobCondition
    from lightkube.models.core_v1 import ContainerState as PodContainerState
    from lightkube.models.core_v1 import ContainerStatus as PodContainerStatus
    from lightkube.resources.batch_v1 import Job
    from lightkube.resources.core_v1 import Pod

ANNOTATION_STOP = "io.botdock.stop"
"""Of a pod that botdock itself ends: then its end by a deadline or a deletion is not told as another's."""
OOM_KILLED = "OOMKilled"
DISRUPTION = "DisruptionTarget"
"""The condition of a pod that is preempted, evicted by a drain, or whose node is lost."""
NOT_STARTED = frozenset({"StartError", "ContainerCannotRun", "ContainerStatusUnknown"})
"""Why a container ended that never ran, or whose end is not known: its exit code is made up."""
ENDED_BY_OTHERS = {
    "DeadlineExceeded": "its pod had run for as long as a deadline allowed that botdock had not set",
    "Evicted": "its node evicted it",
    "NodeLost": "its node is lost",
    "NodeShutdown": "its node was shut down",
    "Terminated": "its node was shut down",
    "Shutdown": "its node was shut down",
    "Preempting": "it was preempted by a critical pod of its node",
    "UnexpectedAdmissionError": "its node refused it",
    "OutOfmemory": "its node had no memory left for it",
    "OutOfcpu": "its node had no processor left for it",
    "PreemptionByScheduler": "it was preempted by a pod of a higher priority",
    "DeletionByTaintManager": "its node is lost or was tainted",
    "EvictionByEvictionAPI": "it was evicted, as by a drain of its node",
    "DeletionByPodGC": "its node is gone",
    "TerminationByKubelet": "its node ended it",
}
"""By the word of Kubernetes'."""
IMAGE_AT_ONCE = frozenset({"ErrImageNeverPull", "InvalidImageName"})
IMAGE_LATER = frozenset({"ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable"})
CREATION = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


def status(name: str, job: Job | None, pod: Pod | None, last: Pod | None = None) -> ContainerStatus | None:
    """Return what is known of a container; None where nothing tells how it ended: its pod is gone, or was deleted.

    Args:
        name: The container's identity.
        job: Its Job; None where the pod is enough.
        pod: Its pod; None where there is none.
        last: How a pod that is gone was last seen.
    """
    if pod is not None:
        seen = _of_pod(name, pod)
        return None if seen.state is ContainerState.EXITED and _was_deleted(pod) else seen
    if last is not None and (words := disturbance(last)):
        seen = _of_pod(name, last)
        return attrs.evolve(seen, state=ContainerState.EXITED, error=seen.error or words)
    return _without_pod(name, job)


def _of_pod(name: str, pod: Pod) -> ContainerStatus:
    words, bot = disturbance(pod) or _deletion(pod), state_of(pod)
    if bot and bot.terminated:
        end = bot.terminated
        known = end.reason not in NOT_STARTED
        return ContainerStatus(
            container_id=name,
            state=ContainerState.EXITED,
            exit_code=end.exitCode if known else None,
            oom_killed=end.reason == OOM_KILLED,
            started_at=end.startedAt if known else None,
            finished_at=end.finishedAt,
            error=words if known else "; ".join(filter(None, (words, end.message or end.reason))),
            image_digest=_image_digest(pod),
        )
    if bot and bot.running:
        return ContainerStatus(
            container_id=name, state=ContainerState.RUNNING, started_at=bot.running.startedAt, error=words
        )
    if _is_over(pod):
        said = "; ".join(filter(None, (words, _delivery_failed(pod)))) or "its pod ended before the bot was started"
        return ContainerStatus(container_id=name, state=ContainerState.EXITED, error=said)
    return ContainerStatus(container_id=name, state=ContainerState.RUNNING, error=waits_for(pod))


def _without_pod(name: str, job: Job | None) -> ContainerStatus | None:
    if job is None:
        return None
    if job.spec and job.spec.suspend:
        return ContainerStatus(container_id=name, state=ContainerState.CREATED)
    for condition in _conditions(job):
        if condition.type == "Failed" and DISRUPTION in (condition.message or ""):
            return ContainerStatus(
                container_id=name,
                state=ContainerState.EXITED,
                finished_at=condition.lastTransitionTime,
                error=f"its pod is gone: {condition.message}",
            )
    counted = job.status and (job.status.failed or job.status.succeeded)
    if counted or is_finished(job):
        return None
    return ContainerStatus(container_id=name, state=ContainerState.RUNNING)


def is_finished(job: Job) -> bool:
    """Tell whether a Job will never have a pod again."""
    return any(condition.type in {"Failed", "Complete"} for condition in _conditions(job))


def has_ended(pod: Pod | None, container: str = BOT) -> bool:
    """Tell whether one of a pod's containers has ended, or will never run; of no pod, that is not known."""
    if pod is None:
        return False
    state = state_of(pod, container)
    return bool(state and state.terminated) or (_is_over(pod) and not (state and state.running))


def has_begun(pod: Pod, container: str) -> bool:
    """Tell whether one of a pod's containers has been made, so that there is or was a log of it."""
    return any(found.containerID for found in _statuses(pod) if found.name == container)


def has_run(pod: Pod | None) -> bool:
    """Tell whether the bot runs, or has run."""
    bot = state_of(pod) if pod else None
    return bool(bot and (bot.running or bot.terminated))


def state_of(pod: Pod, container: str = BOT) -> PodContainerState | None:
    """Return the state of one of a pod's containers; None where none is known."""
    return next((found.state for found in _statuses(pod) if found.name == container), None)


def _image_digest(pod: Pod) -> str:
    """Return what names the image exactly that the bot ran on, such as `sha256:...`; empty where that is not known."""
    found = next((found.imageID or "" for found in _statuses(pod) if found.name == BOT), "")
    return found.rpartition("@")[2]


def disturbance(pod: Pod) -> str:
    """Return what ended a pod beside the bot itself and botdock, in words; empty where nothing did."""
    if pod.metadata and ANNOTATION_STOP in (pod.metadata.annotations or {}):
        return ""
    if not pod.status:
        return ""
    for condition in pod.status.conditions or []:
        if condition.type == DISRUPTION and condition.status == "True":
            return _told(condition.reason, condition.message)
    return _told(pod.status.reason, pod.status.message) if pod.status.reason in ENDED_BY_OTHERS else ""


def _deletion(pod: Pod) -> str:
    metadata = pod.metadata
    if metadata is None or not metadata.deletionTimestamp or ANNOTATION_STOP in (metadata.annotations or {}):
        return ""
    return "its pod was deleted by something else than botdock"


def _was_deleted(pod: Pod) -> bool:
    """Tell whether something else than botdock deleted a pod before its bot had ended: then its end is not its own."""
    metadata, bot = pod.metadata, state_of(pod)
    if disturbance(pod) or not _deletion(pod) or not (metadata and metadata.deletionTimestamp):
        return False
    asked = metadata.deletionTimestamp - timedelta(seconds=metadata.deletionGracePeriodSeconds or 0)
    end = bot.terminated.finishedAt if bot and bot.terminated else None
    return end is None or end >= asked


def _conditions(job: Job) -> Iterator[JobCondition]:
    for condition in (job.status and job.status.conditions) or ():
        if condition.status == "True":
            yield condition


def _told(reason: str | None, message: str | None) -> str:
    meaning = ENDED_BY_OTHERS.get(reason or "", "its pod was disturbed")
    return f"{meaning} ({reason}{': ' if message else ''}{message or ''})"


def _is_over(pod: Pod) -> bool:
    return bool(pod.status and pod.status.phase in {"Succeeded", "Failed"})


def _delivery_failed(pod: Pod) -> str:
    found = state_of(pod, DELIVER)
    end = found.terminated if found else None
    return (end.message or end.reason or "").strip() if end and end.exitCode else ""


@attrs.frozen
class Waiting:
    """Why a container of a pod waits: Kubernetes' word, and its words."""

    reason: str
    message: str

    @property
    def is_for_its_image(self) -> bool:
        """Whether its image does not come."""
        return self.reason in IMAGE_AT_ONCE | IMAGE_LATER


def waiting(pod: Pod) -> Waiting | None:
    """Return why a pod's container cannot be started, as far as that is more than its turn."""
    for found in _statuses(pod):
        reason = found.state.waiting.reason if found.state and found.state.waiting else None
        if reason in IMAGE_AT_ONCE | IMAGE_LATER | CREATION:
            return Waiting(reason or "", (found.state and found.state.waiting and found.state.waiting.message) or "")
    return None


def waits_for(pod: Pod) -> str:
    """Return what a pod waits for, in Kubernetes' words; empty where it waits for nothing in particular."""
    if why := waiting(pod):
        return f"{why.reason}: {why.message}"
    for condition in (pod.status and pod.status.conditions) or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            return f"{condition.reason}: {condition.message}"
    return ""


def _statuses(pod: Pod) -> Iterator[PodContainerStatus]:
    if pod.status:
        yield from pod.status.initContainerStatuses or []
        yield from pod.status.containerStatuses or []
