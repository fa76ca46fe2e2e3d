"""A canary in each secret, and a look everywhere that it must not be."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
import pytest
from loguru import logger

from botdock import Config, DockerRunner, Executable, Execution, ExecutionResult
from botdock.config import LoggingConfig
from botdock.model.execution import CONTAINER_PREFIX
from testbed.daemon import PrivateDaemon
from testbed.minio import MinioServer
from testbed.waiting import until

KEY = "canary-of-the-executable"
STARS = "*" * len(KEY)
BOTS = {
    "python311": """
import os, sys, time

def main(id, config):
    with open(os.path.join(os.environ["BOTDOCK_SECRETS_DIR"], "API_KEY")) as file:
        key = file.read()
    assert (key, os.stat(file.name).st_mode & 0o777) == (os.environ["API_KEY"], 0o400)
    for stream in (sys.stdout, sys.stderr):
        for piece in (key[:9], key[9:] + "\\n"):
            stream.write(piece)
            stream.flush()
    print("waiting")
    while not os.path.exists(os.environ["GO"]):
        time.sleep(0.02)
    raise RuntimeError(f"https://{key}@h")
""",
    "nodejs20": """
const fs = require('node:fs');
exports.main = async () => {
  const key = fs.readFileSync(`${process.env.BOTDOCK_SECRETS_DIR}/API_KEY`, 'utf8');
  if (key !== process.env.API_KEY) throw new Error('another secret');
  for (const stream of [process.stdout, process.stderr]) {
    stream.write(key.slice(0, 9));
    stream.write(key.slice(9) + '\\n');
  }
  console.log('waiting');
  while (!fs.existsSync(process.env.GO)) await new Promise((go) => setTimeout(go, 20));
  throw new Error(`https://${key}@h`);
};
""",
    "bash": """
[ "$(< "$BOTDOCK_SECRETS_DIR/API_KEY")" = "$API_KEY" ] || exit 9
for stream in 1 2; do
    printf %s "${API_KEY:0:9}" >&$stream
    echo "${API_KEY:9}" >&$stream
done
echo waiting
until [ -e "$GO" ]; do sleep 0.02; done
printf '{"status": "error", "message": "https://%s@h", "%s": ["%s"]}' "$API_KEY"{,,} >"$BOTDOCK_RESULT_FILE"
exit 1
""",
}
"""Each prints its secret in pieces, and ends by an error that holds it."""
STARTUP = {"python311": "PYTHONPATH", "nodejs20": "NODE_PATH", "bash": "BASH_ENV"}
"""Variables that each interpreter reads as it starts."""


@pytest.fixture(params=["docker", "process"])
def make_config(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Config]:
    """Return a function that makes configurations of one engine."""
    if request.param == "docker":
        make: Callable[..., Config] = request.getfixturevalue("make_docker_config")
        return make
    return lambda **sections: Config(engine="process", home=str(tmp_path / "home"), **sections)


@pytest.fixture
def config(
    make_config: Callable[..., Config], make_minio_config: Callable[..., Any], minio_server: MinioServer
) -> Config:
    minio = make_minio_config(minio_server).options["minio"]
    return make_config(storage="minio", options={"minio": minio}, logging=LoggingConfig(sinks=("loguru",)))


@pytest.fixture
def bots(config: Config, make_bot: Callable[..., Executable], tmp_path: Path) -> list[Executable]:
    go = "/botdock/context/go" if config.engine == "docker" else str(tmp_path / "go")
    return [
        make_bot(
            source,
            runtime=name,
            id=f"canary-{name}",
            env={"GO": go},
            secrets={"API_KEY": KEY, STARTUP[name]: KEY},
            persist_results=True,
        )
        for name, source in BOTS.items()
    ]


@pytest.fixture
def seen() -> Iterator[list[str]]:
    """What is logged, with what is bound to it; and what else a test has seen."""
    seen: list[str] = []
    logger.enable("botdock")
    sink = logger.add(lambda message: seen.append(f"{message}{message.record['extra']}"), level=0)
    yield seen
    logger.remove(sink)
    logger.disable("botdock")


@contextmanager
def watched_processes() -> Iterator[list[str]]:
    """Look at all processes of the machine, again and again, for a canary on a command line, or in an environment."""
    found: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.001):
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    command = (process / "cmdline").read_bytes()
                    if KEY.encode() in command:
                        found.append(f"command line: {command!r}")
                    environment = (process / "environ").read_bytes()
                    is_bots = b"ENTRYPOINT_TYPE=bot" in environment or b"/wrapper." in command
                    if KEY.encode() in environment and not is_bots:
                        found.append(f"environment of {command!r}")

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def assert_untold(told: list[str], *more: str) -> None:
    found = [text for text in told for canary in (KEY, *more) if canary in text]
    assert not found, [text[:2000] for text in found]


def files(folder: Path) -> dict[Path, str]:
    found = {}
    for root, _, names in os.walk(folder):  # which takes no offence at folders that go meanwhile
        for path in (Path(root, name) for name in names):
            with suppress(OSError):  # it is gone
                if path.is_file():
                    found[path] = path.read_bytes().decode("utf-8", "replace")
    return found


def containers_of(daemon: PrivateDaemon | None) -> dict[Path, str]:
    """Return what the daemon keeps of containers, but for their own logs, which are removed with them."""
    found = files(daemon.folder / "data/containers") if daemon else {}
    return {path: text for path, text in found.items() if "log" not in path.name and "local-logs" not in str(path)}


def assert_only_in_the_runs_own_files(config: Config, executions: list[Execution]) -> None:
    own_logs = config.home_dir / "process"  # of the engine, and removed with the container
    holding = [path for path, text in files(config.home_dir).items() if KEY in text and own_logs not in path.parents]
    folders = {config.home_dir / "executions" / one.execution_id / "workspace/context" for one in executions}
    theirs = {folder / "secrets" for folder in folders} if config.engine == "process" else set()
    assert {path.parent for path in holding} == folders | theirs
    assert {path.name for path in holding if path.parent in folders} == {"context.json", "environment", "startup"}
    assert {path.stat().st_mode & 0o777 for path in holding if path.parent in theirs} <= {0o400}
    assert {folder.parents[1].stat().st_mode & 0o777 for folder in folders} == {0o700}


def inspected(config: Config, executions: list[Execution]) -> str:
    if config.engine != "docker":
        return ""
    client = docker.APIClient(base_url=config.options["docker"].host)
    told = json.dumps([client.inspect_container(f"{CONTAINER_PREFIX}{one.execution_id}") for one in executions])
    client.close()
    return told


def let_go(config: Config, tmp_path: Path) -> None:
    """Let the bots end."""
    for folder in config.home_dir.glob("executions/*/workspace/context"):
        (folder / "go").touch()
    (tmp_path / "go").touch()


def assert_failed_and_masked(result: ExecutionResult | None) -> None:
    assert result is not None
    assert f"https://{STARS}@h" in result.error, result
    assert result.output.count(STARS) >= 2
    assert result.runtime != "bash" or result.value == {"status": "error", "message": result.error, STARS: [STARS]}


def test_a_secret_is_nowhere_but_where_it_belongs(
    config: Config, bots: list[Executable], seen: list[str], docker_daemon: PrivateDaemon | None,
    minio_server: MinioServer, tmp_path: Path,
) -> None:  # fmt: skip
    with watched_processes() as found, DockerRunner(config) as runner:
        executions = [runner.start(bot) for bot in bots]
        for execution in executions:
            assert any(line.text == "waiting" for line in execution.logs(follow=True))
        seen += [inspected(config, executions), *containers_of(docker_daemon).values()]
        seen += [repr([bots, config, runner.list_managed_containers(), *(one.result for one in executions)])]
        assert_only_in_the_runs_own_files(config, executions)
        let_go(config, tmp_path)
        results = [execution.wait(60) for execution in executions]
        seen += [repr(runner.metrics.get_metrics()), runner.metrics.log_metrics_summary()]
    for result in results:
        assert_failed_and_masked(result)
    seen += [repr(results), json.dumps([result.to_json() for result in results if result])]
    kept = [*files(config.home_dir).values(), *containers_of(docker_daemon).values()]
    assert_untold([*seen, *kept], config.options["minio"].secret_key)
    assert_untold([*found, *files(minio_server.data).values()])


def test_a_secret_is_masked_by_who_recovers_after_a_runner_was_killed(
    config: Config, bots: list[Executable], seen: list[str], tmp_path: Path
) -> None:
    orders = tmp_path / "orders"
    orders.write_bytes(pickle.dumps((config, bots)))
    program = Path(__file__).parents[1] / "faults/runner_program.py"
    with subprocess.Popen([sys.executable, str(program), str(orders)], stdout=subprocess.PIPE) as victim:
        until(lambda: [*files(config.home_dir).values()].count(f"{STARS}\nwaiting\n") == len(bots))
        os.kill(victim.pid, signal.SIGKILL)
    let_go(config, tmp_path)
    with DockerRunner(config) as runner:
        results = [execution.wait(60) for execution in runner.recover()]
    assert len(results) == len(bots)
    for result in results:
        assert_failed_and_masked(result)
    assert_untold([*seen, repr(results), *files(config.home_dir).values()], config.options["minio"].secret_key)


def test_no_terminal_shows_a_secret(
    clean_environment: dict[str, str], make_bot: Callable[..., Executable], tmp_path: Path
) -> None:
    environment = {**clean_environment, "BOTDOCK_HOME": str(tmp_path / "home"), "API_KEY": KEY, "GO": str(tmp_path)}
    run = ["run", make_bot(BOTS["python311"]).file_path, "--engine", "process", "--secret", "API_KEY", "--env", "GO"]
    for arguments in (["--debug", *run, "--json"], run, ["logs", "code-0"]):
        shown = command(arguments, environment, tmp_path)
        assert KEY not in shown, arguments
        assert STARS in shown, shown
    assert_untold(list(files(tmp_path / "home").values()))


def test_what_the_command_shows_of_a_configuration_is_masked(
    minio_server: MinioServer, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    environment = {
        **clean_environment,
        "MINIO_ENDPOINT": minio_server.endpoint,
        "MINIO_ACCESS_KEY": minio_server.access_key,
        "MINIO_SECRET_KEY": "canary-of-the-storage",
        "BOTDOCK_STORAGE": "minio",
        "BOTDOCK_HOME": str(tmp_path),
    }
    for arguments in (["config"], ["config", "--json"], ["doctor"], ["--debug", "storage", "ls"]):
        assert "canary-of-the-storage" not in command(arguments, environment, tmp_path)


def command(arguments: list[str], environment: dict[str, str], folder: Path) -> str:
    """Return what the command writes to both streams."""
    program = str(Path(sys.executable).with_name("botdock"))
    done = subprocess.run(
        [program, *arguments],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout
