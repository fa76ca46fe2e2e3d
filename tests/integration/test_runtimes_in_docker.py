"""The contract with the bot, for each runtime, in its image."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from botdock import DockerRunner, Executable, Outcome
from botdock.model import DEFAULT_LIMITS

pytestmark = pytest.mark.docker

MakeBot = Callable[..., Executable]

PYTHON = """
import os

def main(id, config):
    print("seen:", os.environ["BOT_ID"], os.getcwd())
    return {"id": id, "symbol": config["symbol"]}
"""
NODE = """
exports.main = async (id, config) => {
  console.log("seen:", process.env.BOT_ID, process.cwd());
  return { id, symbol: config.symbol };
};
"""
NODE_MODULE = """
export async function main(id, config) {
  console.log("seen:", process.env.BOT_ID, process.cwd());
  return { id, symbol: config.symbol };
}
"""
PYTHON_STOP = """
import time

def main(id, config):
    print("up")
    try:
        time.sleep(600)
    finally:
        print("down")
"""
NODE_STOP = """
process.on("SIGTERM", () => { console.log("down"); process.exit(0); });
exports.main = () => { console.log("up"); return new Promise(() => setInterval(() => {}, 1000)); };
"""
BASH_STOP = """
trap 'echo down; exit 0' TERM
echo up
while :; do sleep 0.1; done
"""
NODE_PRINTS = """
const { isMainThread, parentPort, Worker } = require("node:worker_threads");
const line = "x".repeat(49);
const print = () => { for (let i = 0; i < 20000; i += 1) { console.log(line); console.error(line); } };
if (!isMainThread) { print(); parentPort.postMessage("printed"); }
exports.main = async () => { END; await new Promise(() => setInterval(() => {}, 1000)); };
"""
BASH = """
echo "seen: $BOT_ID $PWD"
case "$BOT_CONFIG" in *'"symbol": "BTC"'* | *'"symbol":"BTC"'*) ;; *) exit 9 ;; esac
"""


@pytest.mark.parametrize(
    ("runtime", "script", "source", "value"),
    [
        ("python311", "main.py", PYTHON, {"id": "probe", "symbol": "BTC"}),
        ("nodejs20", "main.js", NODE, {"id": "probe", "symbol": "BTC"}),
        ("nodejs20", "main.mjs", NODE_MODULE, {"id": "probe", "symbol": "BTC"}),
        ("bash", "main.sh", BASH, None),
    ],
)
def test_a_bot_sees_what_it_was_given(
    runner: DockerRunner, make_bot: MakeBot, runtime: str, script: str, source: str, value: object
) -> None:
    result = runner.run(make_bot(source, runtime=runtime, script=script, config={"symbol": "BTC"}))
    assert result.outcome is Outcome.SUCCEEDED, result
    assert result.output == "seen: probe /bot\n"
    assert result.value == value


def test_a_config_of_a_megabyte_arrives(runner: DockerRunner, make_bot: MakeBot) -> None:
    """Through the container's files, which are the same for each runtime; its contract tries what it makes of them."""
    source = "def main(id, config):\n    print(len(config['blob']))"
    result = runner.run(make_bot(source, config={"blob": "x" * 1_000_000}))
    assert result.output == "1000000\n", result


@pytest.mark.parametrize(
    "end",
    [
        "print(); process.exit(1)",
        "new Worker(__filename).on('message', () => process.exit(1))",
    ],
)
def test_what_node_printed_before_its_end_is_kept(runner: DockerRunner, make_bot: MakeBot, end: str) -> None:
    """By pipes of Docker's; every other end is tried by pipes in the tests of nodejs20."""
    result = runner.run(make_bot(NODE_PRINTS.replace("END", end), runtime="nodejs20"))
    assert (result.outcome, result.exit_code) == (Outcome.FAILED, 1)
    assert result.log.complete
    assert result.log.bytes >= 2 * 20_000 * 50


@pytest.mark.parametrize(
    ("runtime", "source"), [("python311", PYTHON_STOP), ("nodejs20", NODE_STOP), ("bash", BASH_STOP)]
)
def test_a_stop_reaches_the_bots_own_code(runner: DockerRunner, make_bot: MakeBot, runtime: str, source: str) -> None:
    execution = runner.start(make_bot(source, runtime=runtime))
    lines = execution.logs(follow=True)
    assert next(lines).text == "up"
    execution.stop()
    # on stderr, bash tells of a command that it waited for
    assert [line.text for line in lines if line.stream == "stdout"] == ["down"]
    result = execution.wait(timeout=30)
    assert result is not None
    assert result.outcome is Outcome.STOPPED, result


def test_a_manifest_loosens_no_limit_of_the_container(runner: DockerRunner, make_bot: MakeBot) -> None:
    greedy = 'memory = "64TiB"\ncpus = 4096\npids = 4000000\nopen_files = 1048576\n'
    greedy += "".join(f'{name} = "1000GiB"\n' for name in ("output", "file_size", "tmpfs")) + 'result = "1GiB"\n'
    source = """
    import json, os, resource
    from pathlib import Path

    def cgroup(old, new):
        return int(next(path for path in map(Path, (old, new)) if path.exists()).read_text().split()[0])

    def main(id, config):
        tmp = os.statvfs("/tmp")
        return {
            "memory": cgroup("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"),
            "pids": cgroup("/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/pids.max"),
            "cpus": cgroup("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu.max") / 100_000,
            "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
            "file_size": resource.getrlimit(resource.RLIMIT_FSIZE)[1],
            "tmpfs": tmp.f_blocks * tmp.f_frsize,
            "result": json.loads(Path("/botdock/context/context.json").read_text())["result_limit"],
        }
    """
    result = runner.run(make_bot(source, files={"bot.toml": f"[limits]\n{greedy}"}))
    bounds = {name: bound["value"] for name, bound in result.evidence["bounds"].items()}
    held = DEFAULT_LIMITS.given()
    assert {name: bounds[name] for name in held} == held
    assert result.value == {name: value for name, value in held.items() if name != "output"}, result
