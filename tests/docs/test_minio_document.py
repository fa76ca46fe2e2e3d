"""What the how-to about MinIO shows works, on a real one."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock import Config, PluginManager
from botdock.model import StorageArea
from botdock_storage_minio.settings import MinIOSettings
from testbed.minio import MinioServer

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/how-to/minio.md").read_text()
README = (ROOT / "storage_backends/minio/README.md").read_text()


def blocks(language: str, text: str = TEXT) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def with_server(text: str, server: MinioServer) -> str:
    for shown, real in (
        ("127.0.0.1:9000", server.endpoint),
        ("change-me-please", server.secret_key),
        ('"botdock"', f'"{server.access_key}"'),
        ("=botdock\n", f"={server.access_key}\n"),
    ):
        text = text.replace(shown, real)
    return text


@pytest.fixture
def by_file(minio_server: MinioServer, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "botdock.toml").write_text(with_server(blocks("toml")[0], minio_server))
    return {"BOTDOCK_CONFIG": str(tmp_path / "botdock.toml")}


@pytest.fixture
def by_environment(minio_server: MinioServer, tmp_path: Path) -> dict[str, str]:
    (block,) = (block for block in blocks("text") if "MINIO_ENDPOINT" in block)
    return dict(line.split("=", 1) for line in with_server(block, minio_server).splitlines())


@pytest.mark.parametrize("way", ["by_file", "by_environment"])
def test_doctor_says_that_the_server_takes_the_key(
    way: str, request: pytest.FixtureRequest, tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    environment = {**clean_environment, **request.getfixturevalue(way), "BOTDOCK_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("botdock")), "doctor"],
        cwd=tmp_path,
        env={**environment, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "answers and takes the key" in " ".join(done.stdout.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("way", ["by_file", "by_environment"])
def test_the_example_lists_what_is_stored(way: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    config = Config.load(environ={**request.getfixturevalue(way), "BOTDOCK_HOME": str(tmp_path)})
    with closing(PluginManager.load(config.plugins).storage_backend("minio").factory(config, StorageArea.CODE)) as code:
        code.put("code/sma.zip", io.BytesIO(b"PK"))
    namespace: dict[str, Any] = {}
    (example,) = blocks("python")
    exec(compile(example, "example", "exec"), namespace)
    stored_code: Callable[[Config, str], list[str]] = namespace["stored_code"]
    assert "code/sma.zip" in stored_code(config, "code/")


@pytest.mark.parametrize("block", [*blocks("toml"), *blocks("toml", README)])
def test_a_shown_configuration_is_valid(block: str, tmp_path: Path) -> None:
    (tmp_path / "botdock.toml").write_text(block)
    assert Config.load(tmp_path / "botdock.toml", environ={}).storage == "minio"


def test_the_example_of_the_member_runs(
    minio_server: MinioServer, by_environment: dict[str, str], tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    (example,) = blocks("python", README)
    environment = {**clean_environment, **by_environment, "BOTDOCK_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("b'hello'\n", "")


def test_every_setting_is_described() -> None:
    named = set(re.findall(r"`(\w+)`", "\n".join(line for line in README.splitlines() if line.startswith("| `"))))
    assert {field.name for field in attrs.fields(MinIOSettings)} <= named
