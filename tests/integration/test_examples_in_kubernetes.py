"""Every example runs on a real cluster, and prints the same document there as on Docker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock import Config, DockerRunner, Executable, Outcome
from botdock.config import document, to_toml
from integration.test_examples import ENDLESS, EXAMPLES, runnable

pytestmark = pytest.mark.kubernetes
BOTDOCK = Path(sys.executable).with_name("botdock")
PATIENCE = 300.0
ONLY_THERE = {"evidence.log_faults"}
"""What a cluster's logs lack, which no log of Docker's lacks."""
OWN = {
    *("execution_id", "engine", "evidence.engine", "container_id", "image", "image_digest"),
    *("started_at", "finished_at", "duration_seconds"),
}
"""What each run has of its own, or each engine; so has it the durations of its phases."""


def run_as_json(example: str, kind: str, config: Config, environment: dict[str, str], folder: Path) -> dict[str, Any]:
    """Run an example by the command, and return the document that it prints."""
    file = folder / f"{config.engine}.toml"
    file.write_text(to_toml(document(config, show_secrets=True)))
    asked = ["run", str(EXAMPLES / example), "--entrypoint", kind, "--engine", config.engine, "--json"]
    done = subprocess.run(
        [str(BOTDOCK), *asked],
        env={**environment, "BOTDOCK_CONFIG": str(file), "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return each value of a document by its path; the bot's own is one."""
    if not isinstance(value, dict) or path == "value":
        return {path: value}
    return {
        key: found for name, each in value.items() for key, found in flat(each, f"{path}.{name}".strip(".")).items()
    }


@pytest.mark.docker
def test_a_backtest_prints_the_same_document_as_on_docker(
    kubernetes_config: Config, docker_config: Config, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    runtime = attrs.evolve(docker_config.runtime, timeout=kubernetes_config.runtime.timeout)
    docker, kubernetes = (
        flat(run_as_json("sma-crossover", "backtest", config, clean_environment, tmp_path))
        for config in (attrs.evolve(docker_config, runtime=runtime), kubernetes_config)
    )
    assert kubernetes.keys() ^ docker.keys() == ONLY_THERE
    differing = {name for name in docker if docker[name] != kubernetes[name]}
    assert {name for name in differing - OWN if not name.startswith("phases.")} == set()
    assert (docker["outcome"], len(docker["value"]["tables"])) == ("succeeded", 1)
    assert all(each["image_digest"].startswith("sha256:") for each in (docker, kubernetes))


@pytest.mark.sampled(7)
@pytest.mark.parametrize(("example", "entrypoint"), runnable())
def test_an_example_runs_on_a_cluster(kubernetes_config: Config, example: str, entrypoint: str) -> None:
    bot = Executable(id=example, entrypoint=entrypoint, file_path=str(EXAMPLES / example), timeout=PATIENCE)
    with DockerRunner(kubernetes_config) as runner:
        execution = runner.start(bot)
        lines = execution.logs(follow=True)
        first = next(lines, None)
        if example in ENDLESS:
            execution.stop()
        result = execution.wait(timeout=PATIENCE)
        assert runner.list_managed_containers() == []
    assert result is not None
    expected = Outcome.STOPPED if example in ENDLESS else Outcome.SUCCEEDED
    assert result.outcome is expected, (result.error, result.output)
    assert first is not None or result.value is not None
