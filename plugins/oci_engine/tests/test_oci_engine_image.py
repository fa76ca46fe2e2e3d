"""Images of the oci engine, fetched and unpacked by stand-ins for skopeo and umoci that are told what to do."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from botdock.errors import EngineTimeoutError, ImageError
from botdock.model import ImageInfo, PullPolicy, PullProgress
from botdock_engine_oci import fetching
from botdock_engine_oci.image import USED, Images

CALL = 60.0
SKOPEO = """#!/bin/sh
echo "$@" >>{folder}/calls
[ ! -e {folder}/refused ] || {{ cat {folder}/refused >&2; exit 1; }}
case " $* " in
*" inspect "*) cat {folder}/manifest ;;
*" copy "*) cp -r {folder}/fetched layout ;;
esac
"""
UMOCI = """#!/bin/sh
echo "umoci $@" >>{folder}/calls
mkdir -p rootfs/bin rootfs/etc
: >rootfs/bin/sh
: >{folder}/unpacking
while [ -e {folder}/held ]; do sleep 0.05; done
"""


@attrs.frozen
class World:
    """Stand-ins for the tools, a registry that is a file, and the images of a state folder."""

    folder: Path
    images: Images
    state: Path

    def serve(self, *, variables: tuple[str, ...] = ("PATH=/bin",)) -> str:
        """Let the registry have an image, and return its digest."""
        layout = self.folder / "fetched"
        shutil.rmtree(layout, ignore_errors=True)
        (layout / "blobs" / "sha256").mkdir(parents=True)

        def blob(document: object) -> dict[str, object]:
            data = json.dumps(document).encode()
            digest = hashlib.sha256(data).hexdigest()
            (layout / "blobs" / "sha256" / digest).write_bytes(data)
            return {"digest": f"sha256:{digest}", "size": len(data)}

        manifest = blob({"config": blob({"config": {"Env": variables}}), "layers": []})
        (layout / "index.json").write_text(json.dumps({"manifests": [manifest]}))
        digest = str(manifest["digest"])
        shutil.copy(layout / "blobs" / digest.replace(":", "/"), self.folder / "manifest")
        return digest

    def ensure(self, image: str = "team/a:1", policy: PullPolicy = PullPolicy.MISSING, **fields: object) -> ImageInfo:
        """Make sure of an image."""
        given = {"timeout": CALL, "progress": None, **fields}
        return self.images.ensure(image, policy=policy, **given)  # type: ignore[arg-type] # those of `ensure`

    def calls(self, tool: str) -> list[str]:
        """Return how a tool was called."""
        path = self.folder / "calls"
        return [line for line in path.read_text().splitlines() if f" {tool} " in f" {line} "] if path.exists() else []

    def kept(self) -> list[str]:
        """Return what there is of images, but for names and locks."""
        found = self.state.with_name("oci-images").glob("*")
        return sorted(f"sha256:{path.name}" for path in found if path.suffix != ".lock" and path.name != "names")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    folder = tmp_path / "tools"
    folder.mkdir()
    for name, text in (("skopeo", SKOPEO), ("umoci", UMOCI)):
        (folder / name).write_text(text.format(folder=folder))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    state = tmp_path / "home" / "oci"
    state.mkdir(parents=True)
    return World(folder, Images(state.with_name("oci-images"), state), state)


def container_of(world: World, image: str, name: str = "c") -> Path:
    folder = world.state / name
    folder.mkdir()
    world.images.use(image, folder)
    return folder


def test_an_image_is_fetched_once_and_kept_with_its_environment(world: World) -> None:
    digest = world.serve(variables=("PATH=/opt/bin", "A=b=c", "odd"))
    assert world.ensure() == ImageInfo(reference="team/a:1", digest=digest, id=digest, pulled=True)
    assert world.ensure() == ImageInfo(reference="team/a:1", digest=digest, id=digest, pulled=False)
    assert world.ensure("docker.io/team/a:1", PullPolicy.NEVER).id == digest, "another spelling of the same name"
    assert world.kept() == [digest]
    assert len(world.calls("copy")) == len(world.calls("umoci")) == 1
    found = world.images.find(digest)
    assert found is not None
    assert found.variables == {"PATH": "/opt/bin", "A": "b=c"}
    assert (found.root / "bin" / "sh").exists()
    assert (found.root / "etc" / "hosts").read_bytes() == b"", "a mount takes its place"
    assert list(found.root.parent.glob("layout")) == []


def test_always_asks_each_time_and_follows_a_name_that_moved(world: World) -> None:
    first = world.serve()
    world.ensure(policy=PullPolicy.ALWAYS)
    assert world.ensure(policy=PullPolicy.ALWAYS).pulled
    assert len(world.calls("inspect")) == 2
    assert len(world.calls("copy")) == 1
    second = world.serve(variables=("NEW=1",))
    assert world.ensure().id == first, "what is there is taken"
    assert world.ensure(policy=PullPolicy.ALWAYS).id == second
    assert world.images.find(first) is not None, "bots may run on it"


def test_two_that_want_it_at_once_have_it_made_once(world: World) -> None:
    world.serve()
    (world.folder / "held").touch()
    waits = threading.Event()

    def progress(made: PullProgress) -> None:
        if made.note:
            waits.set()

    with ThreadPoolExecutor() as pool:
        found = [pool.submit(world.ensure, f"team/a:{tag}", progress=progress) for tag in range(2)]
        assert waits.wait(CALL), "one says that it waits for the other"
        (world.folder / "held").unlink()
        assert len({one.result(CALL).id for one in found}) == 1
    assert len(world.calls("copy")) == 1


@pytest.mark.parametrize("stop", ["the caller", "the clock"])
def test_what_ends_a_pull_ends_its_tool_and_leaves_nothing(world: World, stop: str) -> None:
    world.serve()
    (world.folder / "held").touch()

    def progress(made: PullProgress) -> None:
        if stop == "the caller" and made.layers:
            raise KeyboardInterrupt

    expected = KeyboardInterrupt if stop == "the caller" else EngineTimeoutError
    with pytest.raises(expected):
        world.ensure(progress=progress, timeout=CALL if stop == "the caller" else 1.0)
    assert world.kept() == []
    (world.folder / "held").unlink()
    assert world.ensure().pulled


def test_what_a_process_left_that_was_killed_is_removed_by_the_next_pull(world: World) -> None:
    digest = world.serve()
    others = (digest.removeprefix("sha256:"), "0" * 64)
    for name in others:
        (world.state.with_name("oci-images") / f"{name}.0123.draft" / "rootfs").mkdir(parents=True)
    with pytest.raises(ImageError):
        world.ensure(policy=PullPolicy.NEVER)
    world.ensure()
    assert world.kept() == [digest]


def test_a_pinned_image_that_is_another_is_refused(world: World) -> None:
    world.serve()
    with pytest.raises(ImageError, match="in its place"):
        world.ensure(f"team/a@sha256:{'0' * 64}")
    assert world.kept() == []


@pytest.mark.parametrize(
    ("said", "hint", "transient"),
    [
        ("manifest unknown: manifest unknown", "Check the name", False),
        ("unauthorized: authentication required", "login", False),
        ("toomanyrequests: You have reached your pull rate limit", "log in", True),
        ("dial tcp 127.0.0.1:1: connect: connection refused", "reachable", True),
        ("write /home/x: no space left on device", "Free some space", False),
    ],
)
def test_what_the_tool_says_is_told_with_what_mends_it(world: World, said: str, hint: str, transient: bool) -> None:
    world.serve()
    about = 'Error parsing image name \\"docker://docker.io/team/a:1\\": '
    (world.folder / "refused").write_text(f'time="now" level=fatal msg="{about}{said}"\n')
    with pytest.raises(ImageError) as caught:
        world.ensure()
    assert caught.value.message == f"oci: image 'team/a:1': skopeo: {said}"
    assert hint in str(caught.value.hint)
    assert caught.value.transient is transient


def test_tools_that_are_missing_are_named_with_the_command(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SYSTEM_PATH", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ImageError, match="skopeo and umoci are not installed") as caught:
        world.ensure()
    assert "skopeo umoci`" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("image", "given"),
    [
        ("127.0.0.1:5000/a:1", "--tls-verify=false"),
        ("localhost/a:1", "--tls-verify=false"),
        ("127.example.com/a:1", ""),
    ],
)
def test_a_registry_on_loopback_may_have_no_tls_and_no_other(world: World, image: str, given: str) -> None:
    world.serve()
    world.ensure(image)
    assert (given or "docker://127.example.com/a:1") in world.calls("inspect")[0]
    assert ("verify" in world.calls("copy")[0]) is bool(given)


def test_dockers_own_credentials_are_handed_over(world: World) -> None:
    world.serve()
    (world.folder / "config.json").write_text("{}")
    world.ensure()
    assert len(world.calls(f"--authfile={world.folder}/config.json")) == 2, "for the question and for the copy"


def test_an_image_goes_with_its_last_name_once_no_container_uses_it(world: World) -> None:
    digest = world.serve()
    world.ensure("team/a:1")
    world.ensure("team/a:2")
    remove: Callable[..., int | None] = world.images.remove
    container = container_of(world, digest)
    assert (container / USED).read_text() == digest
    assert remove("team/a:1", digest, dry_run=False) is None, "it is used"
    shutil.rmtree(container)
    assert remove("team/a:1", digest, dry_run=True) == 0
    assert remove("team/a:1", digest, dry_run=False) == 0, "another name keeps it"
    assert world.ensure("team/a:2", PullPolicy.NEVER).id == digest
    assert remove("team/a:2", digest, dry_run=False) == 0, "its files are empty"
    assert world.kept() == []
    assert remove("team/a:2", digest, dry_run=False) == 0, "it is gone"


def test_a_container_of_an_image_that_was_removed_is_refused(world: World) -> None:
    with pytest.raises(ImageError, match="is not there"):
        container_of(world, f"sha256:{'0' * 64}")
