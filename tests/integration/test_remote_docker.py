"""Bots on a Docker that sees none of our files: what reaches them is exact, and nothing stays there."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import docker
import pytest

from botdock import Config, DockerRunner, Executable, Outcome
from botdock.config import RuntimeConfig
from botdock.errors import EngineUnavailableError
from botdock.orchestrator import strays
from botdock_engine_docker.engine import DockerEngine
from botdock_engine_docker.settings import DockerSettings
from testbed.foreign import ForeignDaemon
from testbed.processes import read_or_empty
from testbed.sshd import PrivateSshd
from testbed.tcp_proxy import TcpProxy
from testbed.waiting import until

MakeBot = Callable[..., Executable]
MakeRunner = Callable[..., DockerRunner]

LIST_TREE = """
import hashlib, os

def main(id, config):
    found = {}
    for folder, folders, files in os.walk(b"/bot"):
        for name in folders + files:
            path = os.path.join(folder, name)
            state = os.lstat(path)
            what = os.readlink(path).decode() if os.path.islink(path) else ""
            if os.path.isfile(path) and not os.path.islink(path):
                what = hashlib.sha256(open(path, "rb").read()).hexdigest()
            found[path.hex()] = [state.st_mode, int(state.st_mtime), what]
    refused = []
    for path in ("/bot/new", "/bot/main.py", "/botdock/program/new", "/botdock/context/new", "/.botdock/result"):
        try:
            open(path, "w")
        except OSError as error:
            refused.append(path)
    return {"found": found, "refused": refused}
"""
COUNTS = """
import time

def main(id, config):
    print("0", flush=True)
    for number in range(1, 200):
        print(number, "x" * 300, flush=True)
        time.sleep(0.02)
"""


@pytest.fixture
def far_docker(foreign_daemon: ForeignDaemon) -> Iterator[docker.APIClient]:
    """What another program sees of the daemon; afterwards no container and no volume is left there."""
    with closing(foreign_daemon.client()) as client:
        yield client
        assert client.containers(all=True) == []
        assert client.volumes()["Volumes"] in (None, [])


@pytest.fixture
def make_runner(
    foreign_daemon: ForeignDaemon, foreign_images: Mapping[str, str], tmp_path: Path
) -> Iterator[MakeRunner]:
    """Returns a function from a host, by default that of TLS, to a runner."""
    runners: list[DockerRunner] = []

    def make(host: str = foreign_daemon.url, **sections: Any) -> DockerRunner:
        tls: dict[str, Any] = (
            {"tls_verify": True, "cert_path": str(foreign_daemon.certificates)} if host.startswith("tcp:") else {}
        )
        config = Config(
            engine="docker",
            home=str(tmp_path / "home"),
            options={"docker": DockerSettings(host=host, **tls)},
            runtime=RuntimeConfig(images=dict(foreign_images), timeout=120.0),
            **sections,
        )
        runners.append(DockerRunner(config))
        return runners[-1]

    yield make
    for runner in runners:
        runner.close()


def test_a_tree_arrives_exactly_and_cannot_be_written(
    make_runner: MakeRunner, make_bot: MakeBot, far_docker: docker.APIClient
) -> None:
    bot = make_bot(LIST_TREE, files={"pkg/deep/data.txt": "ü", "empty.txt": ""})
    tree = Path(str(bot.file_path))
    (tree / "run.sh").write_text("#!/bin/sh\n")
    (tree / "run.sh").chmod(0o755)
    (tree / "link").symlink_to("pkg/deep/data.txt")
    (tree / ("n" * 150)).write_bytes(os.urandom(100_000))
    runner = make_runner()
    execution = runner.start(bot)
    result = execution.wait(timeout=120)
    assert result is not None
    assert result.outcome is Outcome.SUCCEEDED, result
    found = {bytes.fromhex(name): facts for name, facts in result.value["found"].items()}
    assert {name for name in found if b"pycache" not in name} == {
        b"/bot/" + os.fsencode(path.relative_to(tree)) for path in tree.rglob("*")
    }
    for path in tree.rglob("*"):
        mode, _, what = found[b"/bot/" + os.fsencode(path.relative_to(tree))]
        if path.is_symlink():
            assert what == str(path.readlink())
        elif path.is_file():
            assert what == hashlib.sha256(path.read_bytes()).hexdigest()
            assert bool(mode & 0o111) == os.access(path, os.X_OK)
    assert len(result.value["refused"]) == 5


def test_no_secret_and_no_path_of_ours_is_shown_there(
    make_runner: MakeRunner, make_bot: MakeBot, far_docker: docker.APIClient, tmp_path: Path
) -> None:
    source = "import os, time\ndef main(id, config):\n    print('up')\n    time.sleep(600)"
    execution = make_runner().start(make_bot(source, secrets={"TOKEN": "canary-7f3a"}))
    assert next(execution.logs(follow=True)).text == "up"
    shown = json.dumps(
        [far_docker.inspect_container(execution.container_id), far_docker.volumes(), far_docker.containers()]
    )
    assert "canary-7f3a" not in shown
    assert str(tmp_path) not in shown
    execution.stop(grace=0.0)
    assert execution.wait(timeout=60)


@pytest.mark.parametrize("way", ["tls", "ssh"])
def test_a_cut_connection_loses_no_byte_and_no_end(
    make_runner: MakeRunner,
    make_bot: MakeBot,
    over_ssh: PrivateSshd,
    cutting_proxy: TcpProxy,
    far_docker: docker.APIClient,
    way: str,
) -> None:
    runner = make_runner(over_ssh.url if way == "ssh" else cutting_proxy.url)
    execution = runner.start(make_bot(COUNTS))
    lines = execution.logs(follow=True)
    assert next(lines).text == "0"
    cuts = 0
    for line in lines:
        number = int(line.text.split()[0])
        if number in {20, 90}:
            cuts += bool(over_ssh.cut() if way == "ssh" else cutting_proxy.cut())
    assert cuts == 2
    result = execution.wait(timeout=120)
    assert result is not None
    assert result.outcome is Outcome.SUCCEEDED, result
    assert (result.log.gaps, result.log.complete) == (0, True)
    expected = ["0", *(f"{number} {'x' * 300}" for number in range(1, 200))]
    assert result.output.splitlines() == expected[-len(result.output.splitlines()) :]
    assert result.log.bytes == sum(len(line) + 1 for line in expected)


DIES = """
import os, pickle, signal, sys
from botdock import DockerRunner
from botdock_engine_docker.upload import Uploads

setattr(Uploads, sys.argv[1], lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
config, executable = pickle.load(sys.stdin.buffer)
with DockerRunner(config) as runner:
    runner.run(executable)
"""


@pytest.mark.parametrize("step", ["_send", "remove"])
def test_what_a_killed_runner_left_there_goes_when_it_is_seen_twice(
    make_runner: MakeRunner,
    make_bot: MakeBot,
    far_docker: docker.APIClient,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    bot = make_bot("def main(id, config):\n    return 1")
    runner = make_runner()
    orders = pickle.dumps((runner.config, bot))
    died = subprocess.run([sys.executable, "-c", DIES, step], input=orders, timeout=120, check=False)
    assert died.returncode == -signal.SIGKILL
    assert far_docker.volumes()["Volumes"]
    monkeypatch.setattr(strays, "STRAY_GRACE", 0.0)
    for _ in range(2):
        for execution in runner.recover():
            execution.wait(timeout=60)


class OtherClock:
    """The module `time` of a machine whose clock is so many seconds ahead."""

    def __init__(self, ahead: float) -> None:
        self._ahead = ahead

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def time(self) -> float:
        return time.time() + self._ahead

    def time_ns(self) -> int:
        return time.time_ns() + int(self._ahead * 1e9)


@pytest.mark.parametrize(("way", "ahead"), [("ssh", 3600.0), ("tls", -3600.0)])
def test_another_clock_there_loses_no_byte_of_a_cut_log(
    make_runner: MakeRunner,
    make_bot: MakeBot,
    over_ssh: PrivateSshd,
    cutting_proxy: TcpProxy,
    far_docker: docker.APIClient,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    ahead: float,
) -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith("botdock_engine_docker.") and getattr(module, "time", None) is time:
            monkeypatch.setattr(module, "time", OtherClock(ahead))
    cut = over_ssh if way == "ssh" else cutting_proxy
    execution = make_runner(cut.url).start(make_bot(COUNTS))
    numbers = []
    for line in execution.logs(follow=True):
        numbers.append(int(line.text.split()[0]))
        if numbers[-1] == 20:
            cut.cut()
    assert numbers == list(range(200))
    result = execution.wait(timeout=120)
    assert result is not None
    assert result.outcome is Outcome.SUCCEEDED, result
    assert (result.log.gaps, result.log.complete) == (0, True)


OPENS = """
import sys, time
from botdock.config import Config
from botdock_engine_docker.engine import DockerEngine
from botdock_engine_docker.settings import DockerSettings

engine = DockerEngine.from_config(Config(options={"docker": DockerSettings(host=sys.argv[1])}))
events = [engine.events({}, timeout=60.0) for _ in range(3)]
print("up", flush=True)
time.sleep(600)
"""


def ssh_processes(server: PrivateSshd) -> list[str]:
    mark = f"{server.folder}/ssh_config".encode()
    return [entry.parent.name for entry in Path("/proc").glob("[0-9]*/cmdline") if mark in read_or_empty(entry)]


def test_one_ssh_serves_a_hundred_connections_and_goes_with_a_killed_runner(
    over_ssh: PrivateSshd, foreign_daemon: ForeignDaemon
) -> None:
    engine = DockerEngine.from_config(Config(options={"docker": DockerSettings(host=over_ssh.url)}))
    with closing(engine), ExitStack() as stack:
        for _ in range(100):
            stack.callback(engine.events({}, timeout=60.0).close)
        assert engine.list({}, timeout=60.0) is not None
        assert (len(ssh_processes(over_ssh)), len(over_ssh.sessions())) == (1, 1)
    until(lambda: not ssh_processes(over_ssh))
    with subprocess.Popen([sys.executable, "-c", OPENS, over_ssh.url], stdout=subprocess.PIPE) as runner:
        assert runner.stdout is not None
        assert runner.stdout.readline() == b"up\n"
        assert len(ssh_processes(over_ssh)) == 1
        runner.kill()
    until(lambda: not ssh_processes(over_ssh))
    until(lambda: not over_ssh.sessions())


def test_a_socket_that_is_not_there_is_told_as_ssh_tells_it(over_ssh: PrivateSshd) -> None:
    engine = DockerEngine.from_config(Config(options={"docker": DockerSettings(host=f"{over_ssh.url}/no/such.sock")}))
    with (
        closing(engine),
        pytest.raises(EngineUnavailableError, match="open failed: connect failed") as told,
    ):
        engine.capabilities()
    assert "another socket goes into the address: ssh://far/path" in (told.value.hint or "")
