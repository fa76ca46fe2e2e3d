"""What a Job and its pod tell of a container: each end told apart by its own evidence."""

from __future__ import annotations

from typing import Any, cast

import pytest
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod

from botdock.model import ContainerState, ContainerStatus
from botdock_engine_kubernetes.statuses import ANNOTATION_STOP, has_ended, status, waiting, waits_for
from testbed.kubernetes_api import JOB, RUNNING, ended, pod

DISRUPTED = {"type": "DisruptionTarget", "status": "True"}


def job(*, suspend: bool = False, **known: Any) -> Job:
    spec = {"suspend": suspend, "template": {"spec": {"containers": []}}}
    return cast("Job", Job.from_dict({"metadata": {"name": JOB}, "spec": spec, "status": known}))


def read(document: dict[str, Any]) -> Pod:
    return cast("Pod", Pod.from_dict(document))


def seen(document: dict[str, Any] | None, **known: Any) -> ContainerStatus:
    found = status(JOB, job(**known), read(document) if document else None)
    assert found is not None
    assert found.container_id == JOB
    return found


def test_a_suspended_job_is_created_and_a_resumed_one_runs() -> None:
    assert seen(None, suspend=True).state is ContainerState.CREATED
    assert seen(None).state is ContainerState.RUNNING
    assert seen(pod()).state is ContainerState.RUNNING
    running = seen(pod(bot=RUNNING))
    assert running.state is ContainerState.RUNNING
    assert running.started_at is not None


@pytest.mark.parametrize("code", [0, 7, 137])
def test_an_exit_code_is_the_bots_own(code: int) -> None:
    found = seen(pod(bot=ended(code)))
    assert (found.state, found.exit_code, found.oom_killed, found.error) == (ContainerState.EXITED, code, False, "")
    assert found.started_at is not None
    assert found.finished_at is not None
    assert found.started_at < found.finished_at


@pytest.mark.parametrize("code", [137, 0])
def test_memory_is_told_of_a_child_too(code: int) -> None:
    found = seen(pod(bot=ended(code, reason="OOMKilled")))
    assert (found.exit_code, found.oom_killed) == (code, True)


@pytest.mark.parametrize(
    ("reason", "words"),
    [("DeadlineExceeded", "a deadline"), ("Evicted", "evicted"), ("NodeLost", "lost"), ("Preempting", "critical pod")],
)
def test_what_others_end_is_told_with_their_word(reason: str, words: str) -> None:
    more = {"reason": reason, "message": "because of this"}
    found = seen(pod(phase="Failed", bot=ended(143), status=more))
    assert found.exit_code == 143
    assert words in found.error
    assert found.error.endswith(f"({reason}: because of this)")


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("PreemptionByScheduler", "higher priority"),
        ("EvictionByEvictionAPI", "drain"),
        ("DeletionByTaintManager", "tainted"),
        ("DeletionByPodGC", "gone"),
        ("Another", "disturbed"),
    ],
)
def test_a_disruption_is_told_of_a_pod_and_of_one_that_is_gone(reason: str, words: str) -> None:
    disrupted = pod(bot=ended(143), status={"conditions": [{**DISRUPTED, "reason": reason, "message": "m"}]})
    assert words in seen(disrupted).error
    gone = status(JOB, job(), None, read(disrupted))
    assert gone is not None
    assert words in gone.error
    running = pod(bot=RUNNING, status={"conditions": [{**DISRUPTED, "reason": reason}]})
    lost = status(JOB, job(), None, read(running))
    assert lost is not None
    assert (lost.state, lost.exit_code) == (ContainerState.EXITED, None)


def test_a_disruption_is_known_of_the_job_alone_too() -> None:
    message = "Pod bots/x has condition DisruptionTarget matching FailJob rule at index 0"
    found = seen(None, conditions=[{"type": "Failed", "status": "True", "message": message}])
    assert found.state is ContainerState.EXITED
    assert message in found.error


def test_what_botdock_itself_ends_is_not_told_as_anothers_doing() -> None:
    mark = {"annotations": {ANNOTATION_STOP: "now"}}
    stopped = pod(phase="Failed", bot=ended(143), status={"reason": "DeadlineExceeded"}, metadata=mark)
    stopped["metadata"]["labels"] = {}
    assert seen(stopped).error == ""


def test_a_deletion_by_others_is_told_while_the_bot_runs_and_its_end_is_then_not_known() -> None:
    times = {"deletionTimestamp": "2026-01-01T00:00:34Z", "deletionGracePeriodSeconds": 30}
    assert "deleted by something else" in seen(pod(bot=RUNNING, metadata={**times})).error
    deleted = pod(bot=ended(143), metadata={**times})
    assert status(JOB, None, read(deleted)) is None
    assert status(JOB, job(failed=1), None, read(deleted)) is None
    deleted["metadata"]["annotations"] = {ANNOTATION_STOP: "now"}
    assert (seen(deleted).exit_code, seen(deleted).error) == (143, "")


def test_a_bot_that_had_ended_before_its_pod_was_deleted_has_ended_by_itself() -> None:
    times = {"deletionTimestamp": "2026-01-01T00:00:36Z", "deletionGracePeriodSeconds": 30}
    assert seen(pod(bot=ended(7), metadata=times)).exit_code == 7


def test_a_pod_that_was_deleted_leaves_nothing_to_tell() -> None:
    failed = job(conditions=[{"type": "Failed", "status": "True", "message": "backoff limit"}])
    assert status(JOB, failed, None) is None
    assert status(JOB, job(failed=1), None, read(pod(bot=RUNNING))) is None
    assert status(JOB, None, None) is None


def test_a_program_that_could_not_be_started_has_no_exit_code() -> None:
    found = seen(pod(phase="Failed", bot=ended(128, reason="StartError", message="exec: no such file")))
    assert (found.exit_code, found.error) == (None, "exec: no such file")


def test_a_delivery_that_failed_is_told_in_its_words() -> None:
    deliver = {"terminated": {"exitCode": 127, "message": "the image has no program /x\n", "reason": "Error"}}
    init = {"name": "deliver", "image": "i", "imageID": "i", "ready": False, "restartCount": 0, "state": deliver}
    found = seen(pod(phase="Failed", status={"initContainerStatuses": [init]}))
    assert (found.state, found.error) == (ContainerState.EXITED, "the image has no program /x")
    assert "before the bot was started" in seen(pod(phase="Failed")).error


def test_what_a_pod_waits_for_is_told_in_the_clusters_words() -> None:
    unpulled = read(pod(bot={"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}))
    found = waiting(unpulled)
    assert found is not None
    assert found.is_for_its_image
    assert waits_for(unpulled) == "ImagePullBackOff: not found"
    where = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    unscheduled = pod(status={"conditions": [where]})
    assert seen(unscheduled).error == waits_for(read(unscheduled)) == "Unschedulable: 0/1 nodes"
    assert waits_for(read(pod(bot=RUNNING))) == ""


@pytest.mark.parametrize("named", ["", "docker.io/library/bash@"])
def test_the_image_of_one_that_has_ended_is_named_exactly(named: str) -> None:
    document = pod(bot=ended())
    document["status"]["containerStatuses"][0]["imageID"] = f"{named}sha256:1"
    assert seen(document).image_digest == "sha256:1"


def test_a_container_has_ended_by_its_own_state_though_its_pod_is_told_to_have_failed() -> None:
    assert not has_ended(read(pod(phase="Failed", bot=RUNNING)))
    assert has_ended(read(pod(phase="Failed", bot=RUNNING)), "result")
