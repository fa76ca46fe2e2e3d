"""A canary in each secret, and a look everywhere that it must not be."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest
from loguru import logger

from botdock import Config, DockerRunner, Executable
from botdock.model.execution_id import container_name
from testbed.minio import MinioServer

BOT = """
import os, time

def main(id, config):
    for name, value in sorted(os.environ.items()):
        if name != "API_KEY":
            print(name, value)
    print("API_KEY has", len(os.environ["API_KEY"]), "characters")
    print("waiting")
    while not os.path.exists("/botdock/files/never"):
        time.sleep(0.05)
"""
KEY = "canary-of-the-executable"


@pytest.fixture
def config(
    make_docker_config: Callable[..., Config], make_minio_config: Callable[..., Any], minio_server: MinioServer
) -> Config:
    return make_docker_config(storage="minio", minio=make_minio_config(minio_server).minio)


def canaries(config: Config) -> tuple[str, ...]:
    return (config.minio.secret_key, KEY)


def test_a_secret_is_nowhere_but_where_it_belongs(config: Config, docker_host: str, tmp_path: Path) -> None:
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot/main.py").write_text(BOT)
    seen: list[str] = []
    logger.enable("botdock")
    sink = logger.add(lambda message: seen.append(f"{message}{message.record['extra']}"), level=0)
    try:
        result = run_and_look(config, docker_host, tmp_path, seen)
    finally:
        logger.remove(sink)
        logger.disable("botdock")
    assert "waiting" in result["output"]
    everything = "\n".join([*seen, json.dumps(result), *stored_files(Path(config.home))])
    for canary in canaries(config):
        assert canary not in everything
    assert config.minio.access_key not in result["output"]


def run_and_look(config: Config, host: str, tmp_path: Path, seen: list[str]) -> dict[str, Any]:
    bot = Executable(
        id="canary",
        runtime="python311",
        file_path=str(tmp_path / "bot"),
        secrets={"API_KEY": KEY},
        persist_results=True,
    )
    with DockerRunner(config) as runner:
        execution = runner.start(bot)
        for line in execution.logs(follow=True):
            if line.text == "waiting":
                break
        client = docker.APIClient(base_url=host)
        seen.append(json.dumps(client.inspect_container(container_name(execution.execution_id))))
        client.close()
        seen += [repr(bot), repr(config), repr(execution.result), repr(runner.list_managed_containers())]
        execution.stop(grace=1)
        result = execution.wait(60)
        assert result is not None
        seen += [repr(runner.metrics.get_metrics()), runner.metrics.log_metrics_summary()]
        return {**result.to_json(), "output": result.output}


def stored_files(home: Path) -> list[str]:
    return [path.read_bytes().decode("utf-8", "replace") for path in home.rglob("*") if path.is_file()]


def test_what_the_command_shows_of_a_configuration_is_masked(
    config: Config, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    environment = {
        **clean_environment,
        "MINIO_ENDPOINT": config.minio.endpoint,
        "MINIO_ACCESS_KEY": config.minio.access_key,
        "MINIO_SECRET_KEY": "canary-of-the-storage",
        "BOTDOCK_STORAGE": "minio",
        "BOTDOCK_HOME": str(tmp_path),
    }
    command = str(Path(sys.executable).with_name("botdock"))
    for arguments in (["config"], ["config", "--json"], ["doctor"], ["--debug", "storage", "ls"]):
        done = subprocess.run(
            [command, *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "canary-of-the-storage" not in done.stdout + done.stderr
