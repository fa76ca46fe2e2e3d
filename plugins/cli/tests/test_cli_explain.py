"""`botdock explain`: what a run would be, and why, without a run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock import Config, DockerRunner
from botdock.pool import read_reports
from botdock_testing.fake_engine import FakeEngine
from testbed.waiting import until

Explain = Callable[..., Any]


@pytest.fixture
def bot(tmp_path: Path) -> str:
    folder = tmp_path / "bot"
    folder.mkdir()
    (folder / "main.sh").write_text("echo hi\n")
    (folder / "bot.toml").write_text('runtime = "bash"\n[limits]\nmemory = "64MiB"\npids = 4000\n')
    return str(folder)


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write an operator's file, and name it."""

    def write(text: str) -> Path:
        file = tmp_path / "policy.toml"
        file.write_text(text)
        monkeypatch.setenv("BOTDOCK_POLICY", str(file))
        return file

    return write


def explained(cli: Explain, *arguments: str, code: int = 0) -> dict[str, Any]:
    shown = cli("explain", *arguments, "--json")
    assert shown.code == code, shown.err
    return dict(json.loads(shown.out))


def test_each_value_says_who_set_it(
    cli: Explain, bot: str, operator: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = operator('[runtime]\ntimeout = "5m"\n[policy.max_limits]\nfile_size = "1MiB"\npids = 500')
    monkeypatch.setenv("BOTDOCK_RUNTIME__LIMITS__TMPFS", "1MiB")
    run = [bot, "--engine", "process", "--cpus", "0.5", "--set", "runtime.limits.output=1MiB"]
    values = explained(cli, *run)["values"]
    assert {name: (told["value"], told["source"], told.get("set_by")) for name, told in values.items()} == {
        "engine": ("process", "configuration", "an option, or --set"),
        "runtime": ("bash", "manifest", None),
        "script": ("main.sh", "code", None),
        "memory": (2**26, "manifest", None),
        "cpus": (0.5, "caller", None),
        "pids": (128, "default", None),
        "output": (2**20, "configuration", "an option, or --set"),
        "open_files": (1024, "default", None),
        "file_size": (2**20, "policy", None),
        "tmpfs": (2**20, "configuration", "environment BOTDOCK_RUNTIME__LIMITS__TMPFS"),
        "result": (2**23, "default", None),
        "timeout": (300.0, "configuration", str(file)),
        "start_timeout": (None, "default", None),
        "silence_timeout": (None, "default", None),
        "network": ("none", "default", None),
        "restart": ("no", "default", None),
    }
    assert values["pids"]["asked"] == 4000
    assert values["pids"]["ceiling"] == {"value": 500, "setting": "policy.max_limits.pids", "file": str(file)}
    assert explained(cli, *run, "--long-running", "--restart", "always")["values"]["timeout"]["value"] is None
    lines = cli("explain", *run).out.splitlines()
    assert any(line.startswith("file_size") and f"policy.max_limits.file_size in {file}" in line for line in lines)
    assert any(line.startswith("pids") and "the manifest asks for 4000; at most 500" in line for line in lines)


def test_every_reason_to_refuse_it_is_told_at_once(cli: Explain, bot: str, operator: Callable[[str], Path]) -> None:
    file = operator('[policy]\nmax_timeout = "1m"\nruntimes = ["python311"]\nrefused_variables = ["AWS_*"]')
    run = [bot, "--engine", "process", "--timeout", "2m", "--network", "host", "--secret", "AWS_KEY=canary-of-aws"]
    told = explained(cli, *run, code=2)
    assert {(one["setting"], one["file"]) for one in told["refusals"]} == {
        (f"policy.{name}", str(file)) for name in ("max_timeout", "networks", "runtimes", "refused_variables")
    }
    assert told["variables"] == {"AWS_KEY": "secret"}
    assert "canary-of-aws" not in json.dumps(told)
    shown = cli("explain", *run)
    assert shown.code == 2
    assert shown.err.count("botdock: refused: ") == 4


def test_code_that_cannot_run_is_a_reason_beside_the_others(cli: Explain, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    told = explained(cli, str(tmp_path / "empty"), "--engine", "process", "--network", "host", code=2)
    assert [one["setting"] for one in told["refusals"]] == ["policy.networks", None]
    assert told["template"] is None
    assert told["values"]["memory"]["value"] == 2**29


def test_an_engine_that_does_not_answer_is_told_and_hinders_nothing_else(cli: Explain, bot: str) -> None:
    told = explained(cli, bot, "--engine", "docker", "--set", "docker.host=unix:///nowhere/docker.sock")
    assert "no Docker engine at unix:///nowhere/docker.sock" in told["unknown"][0]
    assert told["values"]["image"]["source"] == "default"
    assert told["template"]["command"] == ["/bin/sh", "/botdock/program/entrypoint.sh"]
    assert told["enforced"] is None
    assert cli("explain", bot, "--engine", "dokcer").code == 2


def test_an_image_that_is_not_there_is_not_pulled(
    cli: Explain, bot: str, monkeypatch: pytest.MonkeyPatch, operator: Callable[[str], Path]
) -> None:
    from botdock_engine_docker import plugin

    engine = FakeEngine(images=())
    monkeypatch.setattr(plugin, "open_engine", lambda _config: engine, raising=False)
    operator('[policy]\nimages = ["team/*"]')
    told = explained(cli, bot, "--engine", "docker", "--image", "team/x:1", "--pull", "always")
    assert told["unknown"] == ["the engine does not have the image docker.io/team/x:1 yet, so its digest is not known"]
    told = explained(cli, bot, "--engine", "docker", "--image", "other/x:1", code=2)
    assert [one["setting"] for one in told["refusals"]] == ["policy.images"]


def test_nothing_is_left_behind_and_no_configuration_is_made(
    cli: Explain, bot: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = sorted(os.walk(tmp_path))
    for engine in ("process", "docker"):
        cli("explain", bot, "--engine", engine)
    assert sorted(os.walk(tmp_path)) == before


def test_it_says_whether_it_would_go_into_one_that_waits_and_why_not(cli: Explain, bot: str, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/main.sh").write_text("echo hi\n")
    plain = [str(tmp_path / "plain"), "--engine", "process"]
    why = explained(cli, *plain)["pool"]["why"]
    assert why == "no runner keeps containers waiting; `[pool]` of the configuration lets the supervisor do so"
    config = Config.load(overrides={"engine": "process"})
    with DockerRunner(config) as runner:
        assert runner.warm({"bash": 1}).kinds[0].waiting == 1
        until(lambda: any(kind.waiting for report in read_reports(config.home_dir) for kind in report.kinds))
        assert explained(cli, *plain)["pool"] == {"warm": True, "why": None}
        assert "starts warm" in cli("explain", *plain).out
        differs = explained(cli, bot, "--engine", "process", "--cpus", "0.5")["pool"]["why"]
        assert differs == "none of its template waits; other than usual: memory, cpus"
    (tmp_path / "plain/main.py").write_text("def main(id, config): ...\n")
    python = explained(cli, *plain, "--script", "main.py", "--env", "TZ=UTC")
    assert "reads when it starts" in python["pool"]["why"]
