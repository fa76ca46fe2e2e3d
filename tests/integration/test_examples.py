"""Every example runs: in a container, and as `make demo` shows it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from botdock import Config, DockerRunner, Executable, Outcome, PluginManager
from botdock.model import ENTRYPOINTS
from botdock.services.code.manifest import read_manifest

EXAMPLES = Path(__file__).parents[2] / "examples"
ENDLESS = {"price-alert"}
"""Examples that run until they are stopped."""


def runnable() -> list[tuple[str, str]]:
    """Return example and entrypoint of all that can be run."""
    folders = sorted(path for path in EXAMPLES.iterdir() if path.is_dir() and not (path / "pyproject.toml").exists())
    return [(folder.name, kind) for folder in folders for kind in ENTRYPOINTS if has(folder, kind)]


def has(folder: Path, kind: str) -> bool:
    manifest = read_manifest(folder)
    if manifest and manifest.entrypoints:
        return kind in manifest.entrypoints
    return any(runtime.recognises(folder, kind) for runtime in PluginManager.load().runtimes().values())


@pytest.mark.parametrize(("example", "entrypoint"), runnable())
def test_an_example_runs_in_a_container(runner: DockerRunner, example: str, entrypoint: str) -> None:
    bot = Executable(id=example, entrypoint=entrypoint, file_path=str(EXAMPLES / example), timeout=60.0)
    execution = runner.start(bot)
    lines = execution.logs(follow=True)
    first = next(lines, None)
    if example in ENDLESS:
        execution.stop()
    result = execution.wait(timeout=60)
    assert result is not None
    expected = Outcome.STOPPED if example in ENDLESS else Outcome.SUCCEEDED
    assert result.outcome is expected, (result.error, result.output)
    assert first is not None or result.value is not None


def test_there_is_an_example_for_each_runtime() -> None:
    recognised = {
        runtime.name
        for example, kind in runnable()
        for runtime in PluginManager.load().runtimes().values()
        if runtime.recognises(EXAMPLES / example, kind)
    }
    assert recognised >= {"python311", "nodejs20", "bash"}


def test_the_demo_runs_a_bot_of_each_language(clean_environment: dict[str, str], tmp_path: Path) -> None:
    nothing = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "BOTDOCK_OPTIONS__OCI__RUNTIME": "/none"}
    environment = {**clean_environment, **nothing, "HOME": str(tmp_path)}
    command = [sys.executable, str(EXAMPLES / "demo.py")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("outcome: succeeded") + done.stdout.count("is not installed here") >= 4
    assert "To run them isolated" in done.stdout
    assert "Traceback" not in done.stderr


def test_the_demo_isolates_without_docker_where_a_runtime_is_installed(
    make_oci_config: Callable[..., Config], clean_environment: dict[str, str], tmp_path: Path
) -> None:
    make_oci_config()  # so that one is there
    environment = {**clean_environment, "DOCKER_HOST": f"unix://{tmp_path}/none.sock", "HOME": str(tmp_path)}
    command = [sys.executable, str(EXAMPLES / "demo.py")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    isolated = done.stdout.partition("isolated by the engine oci")[2]
    assert isolated.count("outcome: succeeded") == 4, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
