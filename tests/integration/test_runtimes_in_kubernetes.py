"""The contract with the bot, in a pod: what each runtime's own tests cannot see, since it is the engine's part."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import attrs
import pytest

from botdock import Config, DockerRunner, Executable, Limits, Outcome

pytestmark = pytest.mark.kubernetes

MakeBot = Callable[..., Executable]

MIB = 1024 * 1024
PATIENCE = 110.0
PYTHON = """
import json, os, pwd, resource, signal
from pathlib import Path

def writable(folder):
    try:
        Path(folder, ".probe").touch()
    except OSError:
        return False
    return True

def main(id, config):
    secrets = Path(os.environ["BOTDOCK_SECRETS_DIR"])
    print("seen:", os.environ["BOT_ID"], os.getcwd())
    Path("/tmp/inside").write_text("mine")
    places = ("/", "/bot", "/botdock", "/botdock/context", "/botdock/program", "/etc", "/var", "/tmp", "/dev/shm")
    return {
        "blob": len(config["blob"]),
        "who": [pwd.getpwuid(os.getuid()).pw_name, *(os.environ[name] for name in ("USER", "HOME", "TMPDIR"))],
        "secret": [(secrets / "TOKEN").read_text()[::-1], secrets.stat().st_mode & 0o777],
        "cluster": [name for name in os.environ if name.startswith("KUBERNETES")],
        "bounds": [resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1] for name in ("NOFILE", "FSIZE", "CORE")],
        "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "tmp": os.statvfs("/tmp").f_blocks * os.statvfs("/tmp").f_frsize,
        "writable": [place for place in places if writable(place)],
        "token": os.path.exists("/var/run/secrets/kubernetes.io"),
    }
"""
NODE = """
exports.main = async (id, config) => {
  console.log("seen:", process.env.BOT_ID, process.cwd());
  return { id, symbol: config.symbol };
};
"""
BASH = """
trap 'echo down; until wait; do :; done; exit 3' TERM # with it all others would end
echo "seen: $BOT_ID $PWD"
(trap 'echo deep; exit 0' TERM; echo up; while :; do sleep 0.1; done) &
while :; do sleep 0.1; done
"""
BOMB = """
import os

def main(id, config):
    print("up", flush=True)
    while True:
        try:
            os.fork()
        except OSError:
            pass
"""


@pytest.fixture
def runner(kubernetes_config: Config) -> Iterator[DockerRunner]:
    """A runner on the cluster, which may be slow; afterwards no Job of it may be left."""
    runtime = attrs.evolve(kubernetes_config.runtime, grace=PATIENCE)
    with DockerRunner(attrs.evolve(kubernetes_config, runtime=runtime)) as runner:
        yield runner
        assert runner.list_managed_containers() == []


def test_a_bot_sees_what_it_was_given_and_no_more(runner: DockerRunner, make_bot: MakeBot) -> None:
    """Its code is more than one Secret has room for."""
    bot = make_bot(
        PYTHON,
        config={"blob": "x" * 1_000_000},
        files={"noise.py": f"# {os.urandom(1_200_000).hex()}"},
        limits=Limits(tmpfs=8 * MIB, file_size=6 * MIB, open_files=99),
        secrets={"TOKEN": "s3cret"},
        timeout=PATIENCE,
    )
    result = runner.run(bot)
    assert result.outcome is Outcome.SUCCEEDED, result
    assert result.output == "seen: probe /bot\n"
    assert result.value == {
        "blob": 1_000_000,
        "who": ["bot", "bot", "/tmp", "/tmp"],
        "secret": ["terc3s", 0o700],
        "cluster": [],
        "bounds": [99, 6 * MIB, 0],
        "interrupt": True,
        "tmp": 8 * MIB,
        "writable": ["/tmp", "/dev/shm"],
        "token": False,
    }


def test_node_returns_its_result(runner: DockerRunner, make_bot: MakeBot) -> None:
    result = runner.run(make_bot(NODE, runtime="nodejs20", config={"symbol": "BTC"}, timeout=PATIENCE))
    assert (result.output, result.value) == ("seen: probe /bot\n", {"id": "probe", "symbol": "BTC"}), result


def test_a_stop_reaches_every_process_of_the_bot(runner: DockerRunner, make_bot: MakeBot) -> None:
    execution = runner.start(make_bot(BASH, runtime="bash", timeout=2 * PATIENCE))
    lines = execution.logs(follow=True)
    assert [next(lines).text, next(lines).text] == ["seen: probe /bot", "up"]
    execution.stop()
    assert {"down", "deep"} <= {line.text for line in lines}
    result = execution.wait(timeout=2 * PATIENCE)
    assert result
    assert (result.outcome, result.exit_code) == (Outcome.STOPPED, 3)


def test_a_bomb_that_fills_its_processes_is_gone(runner: DockerRunner, make_bot: MakeBot) -> None:
    execution = runner.start(make_bot(BOMB, limits=Limits(pids=48), timeout=2 * PATIENCE))
    assert next(execution.logs(follow=True)).text == "up"
    execution.stop(grace=1.0)
    assert execution.result.outcome is Outcome.STOPPED
