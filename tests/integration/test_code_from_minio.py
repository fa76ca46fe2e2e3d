"""Code packed into a real MinIO and run from there, configured by file and by environment alone."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from botdock import Config, PluginManager
from botdock.model import StorageArea
from testbed.minio import MinioServer

ROOT = Path(__file__).parents[2]
BOTDOCK = str(Path(sys.executable).with_name("botdock"))


@pytest.fixture
def common(
    docker_host: str, docker_images: Mapping[str, str], clean_environment: dict[str, str], tmp_path: Path
) -> dict[str, str]:
    """A newcomer's environment, with the testbed's Docker."""
    images = {f"BOTDOCK_RUNTIME__IMAGES__{name.upper()}": image for name, image in docker_images.items()}
    home = {"BOTDOCK_HOME": str(tmp_path / "home"), "BOTDOCK_DOCKER__HOST": docker_host}
    return {**clean_environment, **home, **images}


@pytest.fixture
def settings(minio_server: MinioServer) -> dict[str, str]:
    """The server, and buckets of this test's own."""
    return {
        "endpoint": minio_server.endpoint,
        "access_key": minio_server.access_key,
        "secret_key": minio_server.secret_key,
        "bucket_name": f"run-{secrets.token_hex(6)}",
    }


@pytest.fixture
def by_file(common: dict[str, str], settings: dict[str, str], tmp_path: Path) -> dict[str, str]:
    lines = ['storage = "minio"', "[minio]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]
    (tmp_path / "botdock.toml").write_text("\n".join(lines))
    return common | {"BOTDOCK_CONFIG": str(tmp_path / "botdock.toml")}


@pytest.fixture
def by_variables(common: dict[str, str], settings: dict[str, str]) -> dict[str, str]:
    return common | {"BOTDOCK_STORAGE": "minio"} | {f"BOTDOCK_MINIO__{k.upper()}": v for k, v in settings.items()}


def botdock(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [BOTDOCK, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_file_and_variables_configure_the_same(by_file: dict[str, str], by_variables: dict[str, str]) -> None:
    assert Config.load(environ=by_file) == Config.load(environ=by_variables)


def test_a_backtest_is_run_from_the_storage_and_its_analysis_kept_there(by_variables: dict[str, str]) -> None:
    environment = by_variables
    botdock(environment, "pack", "examples/sma-crossover", "--put", "code/sma.zip")
    run = ("run", "code/sma.zip", "--entrypoint", "backtest", "--engine", "docker", "--id", "sma", "--json")
    document = json.loads(botdock(environment, *run))
    assert document["outcome"] == "succeeded"
    config = Config.load(environ=environment)
    plugin = PluginManager.load(config.plugins).storage_backend("minio")
    with closing(plugin.factory(config, StorageArea.RESULTS)) as results:
        with results.get("sma/analysis.json") as reader:
            assert json.loads(reader.read()) == document["value"]
        with results.get(f"executions/{document['execution_id']}/result.json") as reader:
            assert json.loads(reader.read()) == document["value"]
    with closing(plugin.factory(config, StorageArea.LOGS)) as logs:
        streams = [info.size for info in logs.list("logs/sma/") if info.key.endswith(("/stdout.0", "/stderr.0"))]
        assert sum(streams) == document["log"]["bytes"]
    assert json.loads(botdock(environment, *run))["outcome"] == "succeeded"
