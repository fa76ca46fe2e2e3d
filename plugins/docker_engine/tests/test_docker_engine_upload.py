"""A daemon that does not see our files: they travel, and nothing is left of what they travelled by."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.errors import ContainerError
from botdock.model import ContainerHandle
from botdock.model.container import LABEL_EXECUTION
from botdock_engine_docker.engine import DockerEngine
from botdock_testing.engine import Asked

CALL = 20.0
PLACE = "/far/volumes/v/_data"


@pytest.fixture
def spec(make_spec: Callable[..., Asked]) -> Asked:
    return make_spec(selectors={"io.botdock.owner": "me", LABEL_EXECUTION: "e1"})


@pytest.fixture
def far_docker(fake_docker: Any) -> Any:
    """A daemon that takes uploads, and creates first the carrier `carrier`, then `c1`."""
    fake_docker.says("POST", "/volumes/create", {"Mountpoint": PLACE})
    fake_docker.says("POST", "/containers/create", {"Id": "carrier"}, {"Id": "c1"})
    fake_docker.on("PUT", "/archive", fake_docker.reply(b""))
    fake_docker.on("DELETE", "/", fake_docker.reply(b""))
    return fake_docker


@pytest.fixture
def engine(far_docker: Any, make_engine: Callable[..., DockerEngine]) -> DockerEngine:
    return make_engine(far_docker.url, shared_disk=False)


def bodies(daemon: Any, target: str) -> list[Any]:
    return [request.body for request in daemon.requests if request.method == "POST" and target in request.target]


def test_files_travel_in_a_volume_and_no_path_of_ours_is_named(
    far_docker: Any, engine: DockerEngine, spec: Asked, tmp_path: Path
) -> None:
    (tmp_path / "context" / "secret").write_text("s3cret")
    handle = engine.create(*spec, timeout=CALL)
    (made,) = bodies(far_docker, "/volumes/create")
    carrier, container = bodies(far_docker, "/containers/create")
    assert handle.state == {"delivered": spec.template.result_target, "volume": made["Name"]}
    assert LABEL_EXECUTION not in {**made["Labels"], **carrier["Labels"]}
    assert made["Labels"]["io.botdock.owner"] == carrier["Labels"]["io.botdock.owner"] == "me"
    assert str(tmp_path) not in str((made, carrier, container))
    assert "s3cret" not in str((made, carrier, container))
    mounts = {mount["Target"]: mount for mount in container["HostConfig"]["Mounts"]}
    assert {target: mount["Source"] for target, mount in mounts.items()} == {
        "/bot": f"{PLACE}/code",
        "/botdock/program": f"{PLACE}/program",
        "/botdock/context": f"{PLACE}/context",
        "/botdock/result": f"{PLACE}/result",
        "/.botdock": made["Name"],
        "/etc/passwd": f"{PLACE}/context/passwd",
        "/etc/group": f"{PLACE}/context/group",
    }
    assert [target for target, mount in mounts.items() if not mount["ReadOnly"]] == ["/botdock/result"]
    with tarfile.open(fileobj=io.BytesIO(far_docker.uploads[0])) as archive:
        found = {member.name: member for member in archive}
    assert found[".botdock"].mode == 0o700
    assert found[".botdock/result"].uid == int(container["User"].partition(":")[0])
    assert found[".botdock/context/secret"].uid == 0
    assert far_docker.targets("DELETE") == ["/containers/carrier?force=1&v=1"]


@pytest.mark.parametrize("broken", ["/volumes/create", "/containers/create", "/archive"])
def test_a_failure_leaves_nothing(far_docker: Any, engine: DockerEngine, spec: Asked, broken: str) -> None:
    for method in ("POST", "PUT"):
        far_docker.says(method, broken, {"message": "no space left on device"}, status=500)
    with pytest.raises(ContainerError, match="no space left"):
        engine.create(*spec, timeout=CALL)
    (made,) = bodies(far_docker, "/volumes/create")
    carrier = ["/containers/carrier?force=1&v=1"] if broken == "/archive" else []
    assert far_docker.targets("DELETE") == [*carrier, f"/volumes/{made['Name']}"]


def test_what_a_daemon_says_that_takes_no_more_of_it_is_heard(
    far_docker: Any, engine: DockerEngine, spec: Asked, tmp_path: Path
) -> None:
    (tmp_path / "code" / "big").write_bytes(bytes(30_000_000))
    far_docker.takes_uploads = False
    far_docker.says("PUT", "/archive", {"message": "no space left on device"}, status=500)
    with pytest.raises(ContainerError, match="no space left"):
        engine.create(*spec, timeout=CALL)


def test_what_cannot_be_read_here_is_no_fault_of_the_daemons(
    far_docker: Any, engine: DockerEngine, spec: Asked, tmp_path: Path
) -> None:
    asked = Asked(spec.template, attrs.evolve(spec.run, code=str(tmp_path / "absent")))
    with pytest.raises(ContainerError, match=r"cannot deliver .*absent: No such file"):
        engine.create(*asked, timeout=CALL)
    assert len(far_docker.targets("DELETE")) == 2


def test_a_local_socket_behind_which_our_files_are_not_is_found_out(
    far_docker: Any, make_engine: Callable[..., DockerEngine], spec: Asked
) -> None:
    refusal = far_docker.reply(b'{"message": "bind source path does not exist: /x"}', status=400)
    ids = [far_docker.reply(b'{"Id": "%b"}' % name) for name in (b"carrier", b"c1", b"carrier", b"c2")]
    far_docker.on("POST", "/containers/create", refusal, *ids)
    engine = make_engine(far_docker.url)
    assert engine.create(*spec, timeout=CALL).id == "c1"
    assert engine.create(*spec, timeout=CALL).id == "c2"
    told = make_engine(far_docker.url, shared_disk=True)
    far_docker.on("POST", "/containers/create", refusal)
    with pytest.raises(ContainerError, match="bind source path"):
        told.create(*spec, timeout=CALL)


def test_the_volume_goes_with_its_container(far_docker: Any, engine: DockerEngine) -> None:
    engine.remove(ContainerHandle(id="c1", state={"delivered": "/r", "volume": "v1"}), timeout=CALL)
    far_docker.says("GET", "/containers/c2/json", {"Mounts": [{"Destination": "/.botdock", "Name": "v2"}]})
    engine.remove(ContainerHandle(id="c2"), timeout=CALL)
    engine.remove(ContainerHandle(id="gone"), timeout=CALL)
    engine.remove(ContainerHandle(id="c3", state={"result": "/here"}), timeout=CALL)
    removed = [target.partition("?")[0] for target in far_docker.targets("DELETE")]
    assert removed == [
        "/containers/c1",
        "/volumes/v1",
        "/containers/c2",
        "/volumes/v2",
        "/containers/gone",
        "/containers/c3",
    ]


def test_a_volume_that_no_container_has_is_listed_and_removed_as_one(far_docker: Any, engine: DockerEngine) -> None:
    far_docker.says("GET", "/volumes", {"Volumes": [{"Name": "v9", "Labels": {"io.botdock.owner": "me"}}]})
    (info,) = engine.list({"io.botdock.owner": "me"}, timeout=CALL)
    assert (info.execution_id, info.labels) == ("", {"io.botdock.owner": "me"})
    engine.remove(ContainerHandle(id=info.container_id), timeout=CALL)
    assert "/volumes/v9" in far_docker.targets("DELETE")


def test_volumes_that_cannot_be_listed_hide_no_container(far_docker: Any, engine: DockerEngine) -> None:
    far_docker.says("GET", "/volumes", {"message": "a driver of volumes is broken"}, status=500)
    assert engine.list({"io.botdock.owner": "me"}, timeout=CALL) == []
