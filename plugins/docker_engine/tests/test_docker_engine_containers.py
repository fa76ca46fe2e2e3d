"""The life of a container, against a daemon that answers what a real one answers only now and then."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import (
    ContainerConflictError,
    ContainerError,
    EngineTimeoutError,
    EngineUnavailableError,
)
from botdock.model import ContainerHandle
from botdock_engine_docker import containers
from botdock_engine_docker.engine import DockerEngine
from botdock_engine_docker.profile import LABEL_USER
from botdock_testing.engine import Asked, replaced

CALL = 20.0
GONE = {"message": "No such container: c1"}


def inspected(status: str = "exited", **state: Any) -> dict[str, Any]:
    zero = "0001-01-01T00:00:00Z"
    return {
        "Id": "c1",
        "State": {"Status": status, "ExitCode": 0, "StartedAt": zero, "FinishedAt": zero, "Error": "", **state},
        "Mounts": [],
    }


@pytest.fixture
def spec(make_spec: Callable[..., Asked]) -> Asked:
    return make_spec()


def listed(spec: Asked, *, state: str = "created", name: str = "") -> dict[str, Any]:
    return {"Id": "c9", "Names": [f"/{name or spec.run.name}"], "State": state, "Labels": dict(spec.run.selectors)}


class TestCreate:
    def test_the_name_and_the_profile_are_sent(self, fake_docker: Any, engine: DockerEngine, spec: Asked) -> None:
        fake_docker.says("POST", "/containers/create", {"Id": "c1", "Warnings": ["the kernel is odd"]}, status=201)
        assert engine.create(*spec, timeout=CALL).id == "c1"
        sent = next(request for request in fake_docker.requests if request.method == "POST")
        assert sent.target.endswith("/containers/create?name=botdock-01")
        assert sent.body["HostConfig"]["ReadonlyRootfs"] is True

    @pytest.mark.parametrize("options", [["name=seccomp"], ["name=seccomp", "name=userns"], ["name=rootless"]])
    def test_the_result_is_the_bots_own_where_its_user_is_known(
        self, fake_docker: Any, engine: DockerEngine, spec: Asked, options: list[str]
    ) -> None:
        fake_docker.says("GET", "/info", {"SecurityOptions": options})
        fake_docker.says("POST", "/containers/create", {"Id": "c1"}, status=201)
        engine.create(*spec, timeout=CALL)
        [sent] = [request.body for request in fake_docker.requests if request.method == "POST"]
        user, found = int(sent["Labels"][LABEL_USER]), Path(spec.run.result).stat()
        assert sent["User"] == f"{user}:{user}"
        assert f"\nbot:x:{user}:{user}::/tmp:" in Path(spec.run.context, "passwd").read_text()
        known = len(options) == 1 and options != ["name=rootless"] and os.geteuid() == 0
        expected = (user, user, 0o600) if known else (os.geteuid(), os.getegid(), 0o666)
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == expected

    def test_a_context_that_cannot_be_written_is_named(self, engine: DockerEngine, spec: Asked) -> None:
        with pytest.raises(ContainerError, match="cannot write into /no/such: No such file"):
            engine.create(*replaced(spec, context="/no/such"), timeout=CALL)

    def test_of_two_containers_of_one_user_the_one_that_sees_the_other_gives_way(
        self, fake_docker: Any, make_engine: Callable[..., DockerEngine], spec: Asked
    ) -> None:
        engine = make_engine(fake_docker.url, users="5000:2")
        other = {"Id": "c9", "Labels": {LABEL_USER: "5001"}}
        fake_docker.says("POST", "/containers/create", {"Id": "c1"}, {"Id": "c2"}, status=201)
        fake_docker.says("GET", "/containers/json", [{"Id": "c1"}, other], [other], [{"Id": "c2"}])
        fake_docker.says("DELETE", "/containers/c1", None)
        assert engine.create(*spec, timeout=CALL).id == "c2"
        assert fake_docker.targets("DELETE") == ["/containers/c1?force=1&v=1"]
        users = [request.body["User"] for request in fake_docker.requests if request.method == "POST"]
        assert users[1] == "5000:5000"

    def test_when_all_users_are_taken_that_is_said_and_nothing_is_left(
        self, fake_docker: Any, make_engine: Callable[..., DockerEngine], spec: Asked
    ) -> None:
        engine = make_engine(fake_docker.url, users="5000:1")
        other = {"Id": "c9", "Labels": {LABEL_USER: "5000"}}
        fake_docker.says("POST", "/containers/create", {"Id": "c1"}, status=201)
        fake_docker.says("GET", "/containers/json", [{"Id": "c1"}, other], [other])
        fake_docker.says("DELETE", "/containers/c1", None)
        with pytest.raises(ContainerError, match="all 1 user ids from 5000 to 5000") as caught:
            engine.create(*spec, timeout=CALL)
        assert "docker.users" in (caught.value.hint or "")
        assert fake_docker.targets("DELETE") == ["/containers/c1?force=1&v=1"]

    def test_a_name_that_is_taken_is_a_conflict_and_stays(
        self, fake_docker: Any, engine: DockerEngine, spec: Asked
    ) -> None:
        words = {"message": 'Conflict. The container name "/x" is already in use by container "y".'}
        fake_docker.says("POST", "/containers/create", words, status=409)
        with pytest.raises(ContainerConflictError):
            engine.create(*spec, timeout=CALL)
        assert fake_docker.targets("DELETE") == []

    def test_what_a_cut_off_create_left_is_removed(self, fake_docker: Any, engine: DockerEngine, spec: Asked) -> None:
        fake_docker.on("POST", "/containers/create", fake_docker.STAY)
        fake_docker.says("GET", "/containers/json", [], [listed(spec, name="other"), listed(spec)])
        fake_docker.says("DELETE", "/containers/c9", None)
        with pytest.raises(EngineTimeoutError):
            engine.create(*spec, timeout=0.5)
        assert fake_docker.targets("DELETE") == ["/containers/c9?force=1&v=1"]

    def test_what_was_created_though_the_answer_is_an_error_is_removed(
        self, fake_docker: Any, engine: DockerEngine, spec: Asked
    ) -> None:
        fake_docker.says("POST", "/containers/create", {"message": "context canceled"}, status=500)
        fake_docker.says("GET", "/containers/json", [listed(spec, name="other"), listed(spec)])
        fake_docker.says("DELETE", "/containers/c9", None)
        with pytest.raises(ContainerError, match="context canceled"):
            engine.create(*spec, timeout=CALL)
        assert fake_docker.targets("DELETE") == ["/containers/c9?force=1&v=1"]

    def test_what_another_has_started_is_left_alone(self, fake_docker: Any, engine: DockerEngine, spec: Asked) -> None:
        fake_docker.on("POST", "/containers/create", b"")
        fake_docker.says("GET", "/containers/json", [listed(spec, state="running")])
        with pytest.raises(EngineUnavailableError):
            engine.create(*spec, timeout=CALL)
        assert fake_docker.targets("DELETE") == []

    @pytest.mark.parametrize("broken", [b"", b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}"])
    def test_a_clean_up_that_fails_does_not_hide_the_error(
        self,
        fake_docker: Any,
        engine: DockerEngine,
        spec: Asked,
        monkeypatch: pytest.MonkeyPatch,
        broken: bytes,
    ) -> None:
        monkeypatch.setattr(containers, "CLEAN_UP", 0.2)
        fake_docker.on("POST", "/containers/create", fake_docker.STAY)
        fake_docker.on("GET", "/containers/json", broken)
        with pytest.raises(EngineTimeoutError):
            engine.create(*spec, timeout=0.5)

    def test_an_image_without_the_program_is_refused_and_nothing_is_left(
        self, fake_docker: Any, engine: DockerEngine, spec: Asked
    ) -> None:
        fake_docker.says("POST", "/containers/create", {"Id": "c1"}, status=201)
        fake_docker.on("HEAD", "/archive", b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
        fake_docker.says("DELETE", "/containers/c1", None)
        with pytest.raises(ContainerError, match="image 'bots:1' has no program /bin/sh"):
            engine.create(*spec, timeout=CALL)
        assert fake_docker.targets("DELETE") == ["/containers/c1?force=1&v=1"]

    def test_a_look_for_the_program_that_fails_leaves_nothing(
        self, fake_docker: Any, engine: DockerEngine, spec: Asked
    ) -> None:
        fake_docker.says("POST", "/containers/create", {"Id": "c1"}, status=201)
        fake_docker.on("HEAD", "/archive", b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
        fake_docker.says("DELETE", "/containers/c1", GONE, status=404)
        with pytest.raises(ContainerError):
            engine.create(*spec, timeout=CALL)
        assert fake_docker.targets("DELETE") == ["/containers/c1?force=1&v=1"]

    def test_a_program_is_looked_for_once_per_image(self, fake_docker: Any, engine: DockerEngine, spec: Asked) -> None:
        fake_docker.says("POST", "/containers/create", {"Id": "c1"}, status=201)
        for command in (("/bin/sh",), ("/bin/sh", "x"), ("sh",)):
            engine.create(*replaced(spec, command=command), timeout=CALL)
        assert fake_docker.targets("HEAD") == ["/containers/c1/archive?path=%2Fbin%2Fsh"]


class TestStop:
    def test_one_that_ends_in_time_is_not_killed(self, fake_docker: Any, engine: DockerEngine) -> None:
        fake_docker.says("POST", "/kill", None, status=204)
        fake_docker.says("POST", "/wait", {"StatusCode": 0})
        fake_docker.says("GET", "/containers/c1/json", inspected())
        engine.stop(ContainerHandle(id="c1"), grace=CALL, timeout=CALL)
        assert fake_docker.targets("POST") == ["/containers/c1/kill?signal=SIGTERM", "/containers/c1/wait"]

    def test_one_that_does_not_is(self, fake_docker: Any, engine: DockerEngine) -> None:
        fake_docker.says("POST", "/kill", None, status=204)
        fake_docker.on("POST", "/wait", fake_docker.STAY, fake_docker.reply(b'{"StatusCode": 137}'))
        fake_docker.says("GET", "/containers/c1/json", inspected(ExitCode=137))
        engine.stop(ContainerHandle(id="c1"), grace=0.1, timeout=CALL)
        assert [target.partition("/c1/")[2] for target in fake_docker.targets("POST")] == [
            "kill?signal=SIGTERM",
            "wait",
            "kill?signal=SIGKILL",
            "wait",
        ]

    def test_no_grace_kills_at_once(self, fake_docker: Any, engine: DockerEngine) -> None:
        words = {"message": "Container c1 is not running"}
        fake_docker.says("POST", "/kill", words, status=409)
        engine.stop(ContainerHandle(id="c1"), grace=0.0, timeout=CALL)
        assert fake_docker.targets("POST") == ["/containers/c1/kill?signal=SIGKILL"]

    def test_one_that_cannot_be_killed_is_said(self, fake_docker: Any, engine: DockerEngine) -> None:
        fake_docker.says("POST", "/kill", None, status=204)
        fake_docker.on("POST", "/wait", fake_docker.STAY)
        with pytest.raises(EngineTimeoutError, match="it was killed, and has not ended"):
            engine.stop(ContainerHandle(id="c1"), grace=0.0, timeout=0.1)

    def test_other_trouble_is_raised(self, fake_docker: Any, engine: DockerEngine) -> None:
        fake_docker.says("POST", "/kill", {"message": "cannot kill container: permission denied"}, status=500)
        with pytest.raises(ContainerError, match="cannot kill"):
            engine.stop(ContainerHandle(id="c1"), grace=1.0, timeout=CALL)


class TestRemove:
    def test_its_log_and_volumes_go_too(self, fake_docker: Any, engine: DockerEngine) -> None:
        fake_docker.says("DELETE", "/containers/c1", None)
        engine.remove(ContainerHandle(id="c1"), timeout=CALL)
        assert fake_docker.targets("DELETE") == ["/containers/c1?force=1&v=1"]

    def test_one_that_is_gone_is_no_error(self, fake_docker: Any, engine: DockerEngine) -> None:
        fake_docker.says("DELETE", "/containers/c1", GONE, status=404)
        engine.remove(ContainerHandle(id="c1"), timeout=CALL)

    @pytest.mark.parametrize("status", [200, 404])
    def test_a_removal_under_way_is_waited_for(self, fake_docker: Any, engine: DockerEngine, status: int) -> None:
        words = {"message": "removal of container c1 is already in progress"}
        fake_docker.says("DELETE", "/containers/c1", words, status=409)
        fake_docker.says("POST", "/wait", {"message": "No such container"}, status=status)
        engine.remove(ContainerHandle(id="c1"), timeout=CALL)
        assert fake_docker.targets("POST") == ["/containers/c1/wait?condition=removed"]

    def test_a_busy_one_is_tried_again(self, fake_docker: Any, engine: DockerEngine) -> None:
        busy = fake_docker.reply(b'{"message": "device or resource busy"}', status=500)
        fake_docker.on("DELETE", "/containers/c1", busy, fake_docker.reply(b""))
        engine.remove(ContainerHandle(id="c1"), timeout=CALL)
        assert len(fake_docker.targets("DELETE")) == 2

    def test_one_that_stays_busy_is_said(self, fake_docker: Any, engine: DockerEngine) -> None:
        fake_docker.says("DELETE", "/containers/c1", {"message": "device or resource busy"}, status=500)
        with pytest.raises(ContainerError, match="busy"):
            engine.remove(ContainerHandle(id="c1"), timeout=CALL)
        assert len(fake_docker.targets("DELETE")) == containers.REMOVE_TRIES

    def test_an_absent_daemon_is_not_tried_again(self, fake_docker: Any, engine: DockerEngine) -> None:
        fake_docker.on("DELETE", "/containers/c1", b"")
        with pytest.raises(EngineUnavailableError):
            engine.remove(ContainerHandle(id="c1"), timeout=CALL)
        assert len(fake_docker.targets("DELETE")) == 1


def test_start_of_one_that_runs_is_no_error(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.on("POST", "/start", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n")
    engine.start(ContainerHandle(id="c1"), timeout=CALL)
