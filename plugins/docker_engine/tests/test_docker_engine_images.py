"""Images: there, absent, pulled, and what goes wrong meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from botdock.errors import ContainerError, EngineTimeoutError, ImageError
from botdock.model import ImageInfo, PullPolicy, PullProgress
from botdock_engine_docker.engine import DockerEngine
from botdock_engine_docker.images import PullMeter, read_image

CALL = 20.0
ABSENT = {"message": "No such image: bots:1"}


def ensure(
    engine: DockerEngine,
    policy: PullPolicy = PullPolicy.MISSING,
    image: str = "bots:1",
    *,
    timeout: float = CALL,
    progress: Callable[[PullProgress], None] | None = None,
) -> ImageInfo:
    return engine.ensure_image(image, policy=policy, timeout=timeout, progress=progress)


def absent_at_first(fake_docker: Any) -> None:
    there = fake_docker.reply(json.dumps({"Id": "sha256:1d", "RepoDigests": ["bots@sha256:d1"]}).encode())
    fake_docker.on("GET", "/images/", fake_docker.reply(json.dumps(ABSENT).encode(), status=404), there)


def pull_says(fake_docker: Any, *events: dict[str, Any]) -> None:
    lines = "\r\n".join(json.dumps(event) for event in events).encode()
    fake_docker.on("POST", "/images/create", fake_docker.reply(lines))


def test_an_image_that_is_there_is_not_pulled(fake_docker: Any, engine: DockerEngine) -> None:
    assert ensure(engine) == ImageInfo(reference="bots:1", digest="sha256:d1", id="sha256:1d", pulled=False)
    assert fake_docker.targets("POST") == []


def test_a_tag_that_was_moved_is_seen_at_once(fake_docker: Any, engine: DockerEngine) -> None:
    images = [{"Id": f"sha256:{letter}", "RepoDigests": [f"bots@sha256:d{letter}"]} for letter in "ab"]
    fake_docker.says("GET", "/images/", *images)
    assert [ensure(engine).digest, ensure(engine, PullPolicy.NEVER).digest] == ["sha256:da", "sha256:db"]
    assert engine._images.look("sha256:a", timeout=CALL).info.digest == "sha256:da"
    assert fake_docker.targets("GET").count("/images/sha256%3Aa/json") == 0, "an id needs no second look"


def test_a_missing_image_is_pulled(fake_docker: Any, engine: DockerEngine) -> None:
    absent_at_first(fake_docker)
    pull_says(fake_docker, {"status": "Pulling from bots"}, {"status": "Pull complete", "id": "a"})
    assert ensure(engine) == ImageInfo(reference="bots:1", digest="sha256:d1", id="sha256:1d", pulled=True)
    assert fake_docker.targets("POST") == ["/images/create?fromImage=bots&tag=1"]


@pytest.mark.parametrize(
    ("image", "query"),
    [
        ("bots", "fromImage=bots&tag=latest"),
        ("farm.example:5000/a/bots:2", "fromImage=farm.example%3A5000%2Fa%2Fbots&tag=2"),
        ("bots@sha256:d1", "fromImage=bots&tag=sha256%3Ad1"),
    ],
)
def test_references_are_taken_apart_as_docker_does(
    fake_docker: Any, engine: DockerEngine, image: str, query: str
) -> None:
    pull_says(fake_docker)
    ensure(engine, PullPolicy.ALWAYS, image)
    assert fake_docker.targets("POST") == [f"/images/create?{query}"]


def test_always_pulls_what_is_there(fake_docker: Any, engine: DockerEngine) -> None:
    pull_says(fake_docker, {"status": "Status: Image is up to date"})
    assert ensure(engine, PullPolicy.ALWAYS).pulled


def test_never_pulls_nothing_and_says_what_to_do(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.says("GET", "/images/", ABSENT, status=404)
    with pytest.raises(ImageError, match="forbids to pull it") as caught:
        ensure(engine, PullPolicy.NEVER)
    assert caught.value.image == "bots:1"
    assert "docker pull bots:1" in (caught.value.hint or "")
    assert fake_docker.targets("POST") == []


@pytest.mark.parametrize(
    "event", [{"errorDetail": {"message": "manifest unknown"}, "error": "x"}, {"error": "manifest unknown"}]
)
def test_an_error_inside_the_stream_is_seen(fake_docker: Any, engine: DockerEngine, event: dict[str, Any]) -> None:
    absent_at_first(fake_docker)
    pull_says(fake_docker, {"status": "Pulling"}, event)
    with pytest.raises(ImageError, match="manifest unknown"):
        ensure(engine)


def test_a_pull_that_is_refused_is_an_error_of_the_image(fake_docker: Any, engine: DockerEngine) -> None:
    absent_at_first(fake_docker)
    fake_docker.says("POST", "/images/create", {"message": "unauthorized: log in"}, status=500)
    with pytest.raises(ImageError, match="unauthorized") as caught:
        ensure(engine)
    assert "docker login" in (caught.value.hint or "")


def test_a_pull_that_is_cut_off_is_an_error(fake_docker: Any, engine: DockerEngine) -> None:
    absent_at_first(fake_docker)
    fake_docker.on("POST", "/images/create", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{")
    with pytest.raises(ContainerError):
        ensure(engine)


def test_a_pull_that_takes_too_long_says_which_setting_says_how_long(fake_docker: Any, engine: DockerEngine) -> None:
    absent_at_first(fake_docker)
    fake_docker.on("POST", "/images/create", fake_docker.STAY)
    with pytest.raises(EngineTimeoutError, match="pulling bots:1 took longer") as caught:
        ensure(engine, timeout=0.5)
    assert "containers.pull_timeout" in (caught.value.hint or "")


def test_a_reference_that_is_none_is_an_error_of_the_image(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.says("GET", "/images/", {"message": "invalid reference format"}, status=400)
    with pytest.raises(ImageError):
        ensure(engine, image="https://bots")


def test_the_progress_is_the_sum_over_the_layers(fake_docker: Any, engine: DockerEngine) -> None:
    absent_at_first(fake_docker)
    reports: list[PullProgress] = []
    pull_says(
        fake_docker,
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 10, "total": 100}},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 1, "total": 50}},
        {"status": "Download complete", "id": "a"},
        {"status": "Already exists", "id": "c"},
        {"status": "Extracting", "id": "b", "progressDetail": {"current": 5, "total": 5}},
    )
    ensure(engine, progress=reports.append)
    layers = {layer.id: (layer.state, layer.current, layer.total) for layer in reports[-1].layers}
    assert (reports[-1].current, reports[-1].total) == (150, 150)
    assert layers == {"a": ("downloaded", 0, 0), "b": ("extracting", 5, 5), "c": ("done", 0, 0)}
    assert len(reports) <= 3


def test_a_layer_of_unknown_size_is_counted_as_far_as_it_is() -> None:
    reports: list[PullProgress] = []
    meter = PullMeter("bots", reports.append)
    meter.hear({"status": "Downloading", "id": "a", "progressDetail": {"current": 7}})
    meter.hear({"status": "Downloading", "id": "b", "progressDetail": None})
    meter.report()
    assert (reports[-1].current, reports[-1].total) == (7, 7)


def test_a_layer_that_is_tried_again_does_not_move_while_it_waits() -> None:
    reports: list[PullProgress] = []
    meter = PullMeter("bots", reports.append)
    for event in ({"status": "Pulling from bots", "id": "1"}, *({"status": f"Retrying in {n} seconds"} for n in "21")):
        meter.hear({"id": "a", **event})
        meter.report()
    assert [[layer.state for layer in report.layers] for report in reports] == [[], ["retrying"], ["retrying"]]
    assert reports[1] == reports[2]


@pytest.mark.parametrize("reason", [KeyError(), EngineTimeoutError("the caller's own")])
def test_a_pull_that_says_nothing_is_still_reported_and_ended_by_what_its_caller_raises(
    fake_docker: Any, engine: DockerEngine, reason: Exception
) -> None:
    absent_at_first(fake_docker)
    fake_docker.on("POST", "/images/create", fake_docker.STAY)
    reports: list[PullProgress] = []

    def wants_no_more(made: PullProgress) -> None:
        reports.append(made)
        if len(reports) == 3:
            raise reason

    with pytest.raises(type(reason)) as caught:
        ensure(engine, progress=wants_no_more)
    assert caught.value is reason
    assert reports == [PullProgress(image="bots:1")] * 3


def test_without_a_listener_nothing_is_reported() -> None:
    PullMeter("bots", None).report()


def test_an_image_without_a_registry_has_its_own_id() -> None:
    image = read_image("bots:1", {"Id": "sha256:1d", "RepoDigests": [], "Config": {"Volumes": {"/b": {}, "/a": {}}}})
    assert image.info.digest == "sha256:1d"
    assert image.volumes == ("/a", "/b")


MANY = {
    "Id": "sha256:1d",
    "RepoDigests": [
        "other@sha256:d0",
        "bots@sha256:d1",
        "bots@sha256:d2",
        "farm.example:5000/bots@sha256:d3",
        "team/bots@sha256:d4",
    ],
}


@pytest.mark.parametrize(
    ("reference", "digest"),
    [
        ("bots", "sha256:d1"),
        ("bots:1", "sha256:d1"),
        ("bots:1@sha256:d2", "sha256:d2"),
        ("docker.io/library/bots:1", "sha256:d1"),
        ("index.docker.io/library/bots", "sha256:d1"),
        ("docker.io/team/bots", "sha256:d4"),
        ("farm.example:5000/bots:1", "sha256:d3"),
        ("farm.example:5000/bots@sha256:d1", "sha256:d3"),
        ("farm.example/bots:1", "sha256:1d"),
        ("localhost/bots", "sha256:1d"),
        ("sha256:1d", "sha256:1d"),
    ],
)
def test_an_image_of_many_repositories_has_the_digest_of_the_one_that_was_asked_for(
    reference: str, digest: str
) -> None:
    assert read_image(reference, MANY).info.digest == digest
