"""The oci engine with `rootfs = "image"`: skopeo and umoci on a registry of our own, and bots in what came."""

from __future__ import annotations

import base64
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from botdock import Config, DockerRunner, Executable
from botdock.errors import ImageError
from botdock.factory import ServiceFactory
from botdock.model import ExecutionResult, Outcome, PullPolicy
from botdock.plugin_manager import PluginManager
from botdock_engine_oci.engine import OciEngine
from botdock_testing.archives import Member, tar_of
from testbed.console import TestbedError
from testbed.fixtures import shown, unavailable
from testbed.images import PATH, small_python
from testbed.ordinary import ordinary_user
from testbed.proxy import Fault, FaultProxy
from testbed.registry import PASSWORD, USER, Pushed, Registry
from testbed.waiting import until

MakeBot = Callable[..., Executable]
MakeConfig = Callable[..., Config]

CALL = 120.0
LOOK = """
import os, socket, sys

def main(id, config):
    try:
        open("/opt/mark", "a")
    except OSError as error:
        written = error.errno
    machines = [path for path in config["machine"] if os.path.exists(path)]
    return {
        "mark": open("/opt/mark").read(), "variable": os.environ["FROM_IMAGE"], "home": os.environ["HOME"],
        "written": written,
        "machine": machines, "localhost": socket.gethostbyname("localhost"), "python": sys.version_info[:2],
    }
"""
OF_THE_MACHINE = ["/usr/bin/skopeo", "/usr/bin/apt-get", "/usr/share", "/etc/debian_version"]
PULLER = """
import sys
from pathlib import Path
from botdock.model import PullPolicy
from botdock.plugin_manager import PluginManager
from botdock_engine_oci.engine import OciEngine
from botdock_engine_oci.settings import OciSettings

engine = OciEngine(Path(sys.argv[1]), OciSettings(rootfs="image"))
print("begins", flush=True)
print(engine.ensure_image(sys.argv[2], policy=PullPolicy.MISSING, timeout=120).digest, flush=True)
"""


@pytest.fixture(scope="module")
def python_image(registry: Registry, pytestconfig: pytest.Config) -> Pushed:
    """An image with little more than Python, and a file and a variable that no machine has."""
    try:
        with shown(pytestconfig):
            tar = small_python({"opt/mark": b"of the image"})
    except TestbedError as error:
        unavailable(error)
    return registry.push("team/python", tars=[tar], variables=[f"PATH={PATH}", "FROM_IMAGE=yes", "HOME=/nowhere"])


@pytest.fixture
def config(make_image_config: MakeConfig) -> Config:
    """A configuration under which bots of the oci engine run on images."""
    return make_image_config()


@pytest.fixture
def engine(config: Config) -> OciEngine:
    return OciEngine.from_config(config)


def ensure(engine: OciEngine, image: str, policy: PullPolicy = PullPolicy.MISSING) -> str:
    return engine.ensure_image(image, policy=policy, timeout=CALL).digest


def kept(config: Config) -> list[str]:
    """Return the names of what is kept of images, without the locks."""
    folder = config.home_dir / "oci-images"
    return sorted(path.name for path in folder.glob("*") if path.suffix != ".lock" and path.name != "names")


def test_a_bot_runs_on_its_image_and_sees_nothing_of_the_machine(
    config: Config, python_image: Pushed, registry_proxy: FaultProxy, make_bot: MakeBot
) -> None:
    image = python_image.at(registry_proxy.endpoint)
    bot = make_bot(LOOK, config={"machine": OF_THE_MACHINE}, image=image)

    def run() -> ExecutionResult:
        with DockerRunner(config) as runner:
            return runner.run(bot)

    result = run()
    assert result.outcome is Outcome.SUCCEEDED, result
    assert (result.image, result.image_digest) == (image, python_image.digest)
    assert result.value == {
        "mark": "of the image",
        "variable": "yes",
        "home": "/tmp",
        "python": [3, 11],
        "machine": [],
        "localhost": "127.0.0.1",
        "written": errno.EROFS,
    }
    asked = registry_proxy.count("/v2/")
    assert run().outcome is Outcome.SUCCEEDED
    assert registry_proxy.count("/v2/") == asked, "the second run asks the registry nothing"
    (removed,) = ServiceFactory(config, PluginManager.load()).remove_old(executions={}, caches=None, images=0.0)
    assert (removed.name, kept(config)) == (image, [])


def test_layers_that_are_packed_by_zstd_are_unpacked_too(engine: OciEngine, config: Config, registry: Registry) -> None:
    tars = [tar_of([Member("bin/sh", content=b"one")]), tar_of([Member("opt/mark", content=b"two")])]
    pushed = registry.push("team/zstd", tars=tars, zstd=True)
    assert ensure(engine, pushed.at(registry.endpoint)) == pushed.digest, (
        "the registry's, though the layers are repacked"
    )
    root = config.home_dir / "oci-images" / pushed.digest.removeprefix("sha256:") / "rootfs"
    assert ((root / "bin/sh").read_bytes(), (root / "opt/mark").read_bytes()) == (b"one", b"two")


def test_an_image_that_cannot_be_had_is_named_and_why(
    engine: OciEngine, config: Config, python_image: Pushed, registry: Registry
) -> None:
    there = python_image.at(registry.endpoint)
    with pytest.raises(ImageError, match=r"containers\.pull forbids"):
        ensure(engine, there, PullPolicy.NEVER)
    with pytest.raises(ImageError, match="manifest unknown") as caught:
        ensure(engine, f"{registry.endpoint}/team/absent:1")
    assert "Check the name" in str(caught.value.hint)
    assert not caught.value.transient
    with pytest.raises(ImageError, match="manifest unknown"):
        ensure(engine, f"{registry.endpoint}/team/python@sha256:{'0' * 64}")
    with pytest.raises(ImageError, match="connection refused") as caught:
        ensure(engine, "127.0.0.1:1/team/python:1")
    assert caught.value.transient
    assert kept(config) == []


def test_a_registry_with_a_password_takes_dockers_own_credentials(
    engine: OciEngine, private_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    pushed = private_registry.push("team/secret")
    with pytest.raises(ImageError, match=r"(?i)unauthorized|authentication required") as caught:
        ensure(engine, pushed.at(private_registry.endpoint))
    assert "login" in str(caught.value.hint)
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {private_registry.endpoint: {"auth": auth}}}))
    assert ensure(engine, pushed.at(private_registry.endpoint)) == pushed.digest


def test_an_ordinary_user_has_images_too(python_image: Pushed, registry: Registry) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    lacking = ["non_root", "memory", "swap", "cpu", "pids"]
    with ordinary_user() as user:
        user.write(
            ".config/botdock/botdock.toml",
            '[options.oci]\nruntime = "runc"\nrootfs = "image"\n'
            f'[policy]\nimages = ["**"]\n[policy.unenforced]\noci = {json.dumps(lacking)}\n',
        )
        user.write("bot/main.py", "def main(id, config):\n    return open('/opt/mark').read()\n")
        image = ("--image", python_image.at(registry.endpoint), "--engine", "oci", "--json")
        done = user.run(sys.executable, "-m", "botdock_cli", "run", "bot", *image)
        assert done.stdout, done.stderr
        result = json.loads(done.stdout)
    assert (result["outcome"], result.get("value")) == ("succeeded", "of the image"), result["error"]
    assert result["image_digest"] == python_image.digest


@pytest.fixture
def start_puller(config: Config) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Return a function that starts a process which makes sure of an image, and says its digest."""
    processes: list[subprocess.Popen[str]] = []

    def start(image: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PULLER, str(config.home_dir / "oci"), image]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert line_of(processes[-1]) == "begins"
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_processes_that_want_an_image_at_once_make_one_pull_of_it(
    start_puller: Callable[[str], subprocess.Popen[str]], config: Config, registry: Registry, registry_proxy: FaultProxy
) -> None:
    first = registry.push("team/shared")
    names = [first.at(registry_proxy.endpoint), f"{registry_proxy.endpoint}/team/shared@{first.digest}"]
    processes = [start_puller(name) for name in names]
    assert [line_of(process) for process in processes] == [first.digest] * 2
    assert registry_proxy.count(f"GET .*{first.layers[0]}") == 1
    assert kept(config) == [first.digest.removeprefix("sha256:")]


@pytest.mark.parametrize("when", ["it fetches", "it unpacks"])
def test_what_a_killed_process_leaves_is_not_believed_and_is_removed(
    start_puller: Callable[[str], subprocess.Popen[str]],
    engine: OciEngine,
    config: Config,
    registry: Registry,
    registry_proxy: FaultProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    pushed = registry.push(f"team/killed-{when[3:]}")
    image = pushed.at(registry_proxy.endpoint)
    with monkeypatch.context() as patched:
        if when == "it unpacks":
            (tmp_path / "umoci").write_text("#!/bin/sh\nmkdir -p rootfs/bin\n: >rootfs/bin/sh\nexec sleep 600\n")
            (tmp_path / "umoci").chmod(0o755)
            patched.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        else:
            registry_proxy.inject(Fault(target=pushed.layers[0], stall_answer=10_000))
        process = start_puller(image)
    folder = config.home_dir / "oci-images"
    until(
        lambda: list(folder.glob("*/rootfs/bin/sh")) if when == "it unpacks" else registry_proxy.count(pushed.layers[0])
    )
    process.kill()
    process.wait()
    with pytest.raises(ImageError, match="not there"):
        ensure(engine, image, PullPolicy.NEVER)
    until(lambda: not tools_in(folder))
    assert ensure(engine, image) == pushed.digest
    assert kept(config) == [pushed.digest.removeprefix("sha256:")]


def tools_in(folder: Path) -> list[str]:
    """Return the processes that work below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            place = str((process / "cwd").readlink())
        except OSError:
            continue
        if place.startswith(str(folder)):
            found.append(process.name)
    return found
