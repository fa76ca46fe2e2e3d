"""The one watch: what it knows, through cuts and versions that are too old."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

import pytest
from lightkube.resources.core_v1 import Pod

from botdock.errors import EngineUnavailableError
from botdock_engine_kubernetes.cluster import Cluster
from botdock_engine_kubernetes.pods import Ends, Pods
from botdock_engine_kubernetes.statuses import has_ended, has_run
from testbed.kubernetes_api import JOB, RUNNING, Api, ended, pod
from testbed.waiting import until

LONG = 60.0
OTHER = "botdock-2"


@pytest.fixture
def pods(cluster: Cluster, api: Api) -> Pods:
    """Return a watch that has begun."""
    pods = Pods(cluster)
    pods.wait("", lambda _pod: True, timeout=LONG)
    until(lambda: bool(api.watched_from), timeout=LONG)
    return pods


def told(pods: Pods, ready: Callable[[Pod | None], bool], job: str = JOB) -> Pod | None:
    return pods.wait(job, ready, timeout=LONG)


def test_what_is_told_is_known(pods: Pods, api: Api) -> None:
    api.tell("ADDED", pod())
    assert told(pods, lambda pod: pod is not None)
    assert not has_run(pods.look(JOB))
    api.tell("MODIFIED", pod(bot=RUNNING))
    assert told(pods, has_run)
    api.tell("MODIFIED", pod(bot=ended()))
    assert told(pods, has_ended)
    assert pods.users() == {2_000_001}


def test_a_pod_that_is_gone_is_remembered_as_it_was(pods: Pods, api: Api) -> None:
    api.tell("ADDED", pod(bot=RUNNING))
    assert told(pods, has_run)
    api.tell("DELETED", pod(bot=ended(3)))
    assert told(pods, lambda pod: pod is None) is None
    assert pods.look(JOB) is None
    assert has_ended(pods.last(JOB))


def test_a_watch_that_was_cut_goes_on_from_its_version(pods: Pods, api: Api) -> None:
    api.tell("ADDED", pod(bot=RUNNING))
    assert told(pods, has_run)
    listings = api.requests.count("GET /api/v1/namespaces/bots/pods") - len(api.watched_from)
    api.cut()
    until(lambda: len(api.watched_from) == 2, timeout=LONG)
    api.tell("MODIFIED", pod(bot=ended()))
    assert told(pods, has_ended)
    assert api.watched_from == ["0", "1"]
    assert api.requests.count("GET /api/v1/namespaces/bots/pods") - len(api.watched_from) == listings


def test_a_bookmark_moves_the_version(pods: Pods, api: Api) -> None:
    api.say({"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion": "77"}}})
    api.cut()
    until(lambda: api.watched_from[-1] == "77", timeout=LONG)


def test_a_version_that_is_too_old_lists_again_and_tells_what_changed_meanwhile(pods: Pods, api: Api) -> None:
    api.tell("ADDED", pod(bot=RUNNING))
    api.tell("ADDED", pod(OTHER, bot=RUNNING))
    assert told(pods, has_run, OTHER)
    api.too_old = True
    api.pods = {JOB: pod(bot=ended(), metadata={"resourceVersion": "9"})}
    api.cut()
    assert told(pods, has_ended)
    assert told(pods, lambda pod: pod is None, OTHER) is None
    assert pods.last(OTHER) is not None


def test_many_pods_are_listed_by_pages(cluster: Cluster, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botdock_engine_kubernetes.pods.PAGE", 2)
    api.pods.update({f"botdock-{number}": pod(f"botdock-{number}") for number in range(5)})
    pods = Pods(cluster)
    assert told(pods, lambda pod: pod is not None, "botdock-4")
    assert len(pods.known()) == 5
    assert len([request for request in api.requests if request.endswith("/pods")]) >= 3


def test_an_expiry_that_is_told_within_the_watch_lists_again(pods: Pods, api: Api) -> None:
    api.pods = {JOB: pod(bot=ended(), metadata={"resourceVersion": "9"})}
    status = {"kind": "Status", "apiVersion": "v1", "code": 410, "reason": "Expired", "message": "too old"}
    api.say({"type": "ERROR", "object": status})
    assert told(pods, has_ended)


def test_a_wait_is_bounded(pods: Pods) -> None:
    assert pods.wait(JOB, has_run, timeout=0.05) is None
    assert pods.wait(JOB, has_run, timeout=0.0) is None


def test_why_nothing_is_heard_is_known_until_it_is_heard_again(pods: Pods, api: Api) -> None:
    api.say({"type": "ERROR", "object": {"kind": "Status", "code": 500, "message": "etcd is away"}})
    until(lambda: len(api.watched_from) >= 2, timeout=LONG)
    api.tell("ADDED", pod(bot=RUNNING))
    assert told(pods, has_run)
    assert pods.fault is None


def test_ends_are_told_once_of_those_that_carry_the_labels(pods: Pods, api: Api) -> None:
    ends = Ends(pods, {"io.botdock.owner": "me"}, start_timeout=LONG)
    mine = {"io.botdock.job": JOB, "io.botdock.user": "2000001", "io.botdock.owner": "me"}
    api.tell("ADDED", pod(OTHER, bot=ended()))
    api.tell("ADDED", pod(bot=RUNNING, metadata={"labels": mine}))
    api.tell("MODIFIED", pod(bot=ended(), metadata={"labels": mine}))
    assert list(ends.read(LONG)) == [JOB]
    api.tell("DELETED", pod(bot=ended(), metadata={"labels": mine}))
    assert told(pods, lambda pod: pod is None) is None
    assert list(ends.read(0.0)) == []
    reader = Thread(target=ends.close)
    reader.start()
    assert list(ends.read(LONG)) == []
    reader.join()
    ends.close()


def test_a_pod_that_does_not_begin_in_time_is_told_of_until_it_does(pods: Pods, api: Api) -> None:
    api.tell("ADDED", pod())
    assert told(pods, lambda pod: pod is not None)
    ends = Ends(pods, {}, start_timeout=0.0)
    assert list(ends.read(0.0)) == list(ends.read(0.0)) == [JOB]
    api.tell("ADDED", pod(OTHER, bot=ended()))
    assert list(ends.read(LONG)) == [OTHER, JOB], "ends that come all the time hide none that is late"
    api.tell("MODIFIED", pod(bot=RUNNING))
    assert told(pods, has_run)
    assert list(ends.read(0.0)) == []
    ends.close()


def test_a_call_that_watches_is_told_of_a_close(cluster: Cluster, pods: Pods) -> None:
    closing = Thread(target=cluster.close)
    with pytest.raises(EngineUnavailableError):
        cluster.call("wait", lambda: _closed_meanwhile(pods, closing), timeout=LONG)
    closing.join()


async def _closed_meanwhile(pods: Pods, closing: Thread) -> None:
    closing.start()
    await pods.until(JOB, lambda _pod: False)
