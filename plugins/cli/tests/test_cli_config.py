"""`botdock config`."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock import PluginManager
from botdock.config import Config, document


def complete(config: Config) -> Config:
    return attrs.evolve(config, options=PluginManager.load().sections.complete(config.options))


def test_what_is_printed_is_a_configuration_to_start_from(cli: Callable[..., Any], tmp_path: Path) -> None:
    shown = cli("config")
    assert shown.code == 0
    copy = tmp_path / "copy.toml"
    copy.write_text(shown.out)
    assert document(Config.load(copy)) == document(complete(Config.load()))


def test_settings_that_somebody_made_are_told_with_their_source(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("botdock.toml").write_text('engine = "process"\n[runtime.limits]\npids = 7\n')
    cli("config", "trust")
    monkeypatch.setenv("BOTDOCK_RUNTIME__TIMEOUT", "30s")
    shown = cli("config").out
    used = Path("botdock.toml").absolute()
    assert f"# from {used}, the environment and the defaults" in shown
    assert f"# engine is set by {used}" in shown
    assert f"# runtime.limits.pids is set by {used}" in shown
    assert "# runtime.timeout is set by environment BOTDOCK_RUNTIME__TIMEOUT" in shown
    assert tomllib.loads(shown)["runtime"]["timeout"] == 30.0


def test_an_operators_file_is_named_and_where_it_is_not_to_be_believed_nothing_but_stopping_works(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path("policy.toml").absolute()
    file.write_text('[runtime]\ntimeout = "30s"\n[policy]\nnetworks = ["none", "feeds"]\n')
    monkeypatch.setenv("BOTDOCK_POLICY", str(file))
    monkeypatch.setenv("BOTDOCK_RUNTIME__NETWORK", "feeds")
    shown = cli("config").out
    assert f"; bounded by {file}" in shown.splitlines()[0]
    assert f"# runtime.timeout is set by {file}" in shown
    assert cli("ps").code == 0
    file.chmod(0o666)
    monkeypatch.delenv("BOTDOCK_RUNTIME__NETWORK")
    monkeypatch.setenv("BOTDOCK_RUNTIME__GRACE", "1s")
    assert cli("ps").code == 0
    for verb in (["config"], ["run", "bot"], ["explain", "bot"]):
        refused = cli(*verb)
        assert refused.code == 2
        assert f"chmod go-w {file}" in refused.err


def test_secrets_are_masked(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIO_SECRET_KEY", "hunter2")
    assert "hunter2" not in cli("config").out + cli("config", "--json").out
    assert json.loads(cli("config", "--json").out)["options"]["minio"]["secret_key"] == "***"


def test_json_is_the_same_document(cli: Callable[..., Any]) -> None:
    assert json.loads(cli("config", "--json").out) == document(complete(Config.load()))


def test_path_shows_the_file_that_is_used_and_where_it_was_looked_for(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("config", "--path").out.startswith("no configuration file\n")
    here = Path("botdock.toml").absolute()
    here.write_text("")
    assert cli("config", "--path").out.startswith(
        f"{here}\n  working folder: {here} (used, can only tighten: not trusted)\n"
    )
    named = tmp_path / "named.toml"
    named.write_text("")
    monkeypatch.setenv("BOTDOCK_CONFIG", str(named))
    shown = cli("config", "--path").out
    assert f"BOTDOCK_CONFIG: {named} (used)" in shown
    assert f"working folder: {here} (there, not used)" in shown


def test_path_as_json(cli: Callable[..., Any], tmp_path: Path) -> None:
    named = tmp_path / "named.toml"
    named.write_text("")
    shown = json.loads(cli("config", "--path", "--json", "--config-file", str(named)).out)
    assert shown["path"] == str(named)
    first = {"source": "--config-file", "path": str(named), "exists": True, "used": True, "ignored": ""}
    assert shown["candidates"][0] == first


@pytest.mark.parametrize("args", [["config"], ["config", "--path"], ["plugins"], ["run", "bot"]])
def test_a_named_file_that_is_not_there_is_refused(cli: Callable[..., Any], args: list[str]) -> None:
    told = cli(*args, "--config-file", "no-such.toml")
    assert (told.code, told.stdout) == (2, b"")
    assert "no-such.toml: there is no such file" in told.err


def test_every_problem_of_the_file_is_told_on_a_line_of_its_own(cli: Callable[..., Any]) -> None:
    Path("botdock.toml").write_text('engin = "docker"\n[runtime]\ntimeout = -1\n[runtime.limits]\npids = "many"\n')
    told = cli("config")
    assert (told.code, told.stdout) == (2, b"")
    problems = [line for line in told.err.splitlines() if line.startswith("botdock: ")]
    assert len(problems) == 3
    assert "did you mean engine?" in told.err


def test_what_is_no_toml_names_the_line(cli: Callable[..., Any]) -> None:
    Path("botdock.toml").write_text("engine = 'docker'\nstorage == 3\n")
    told = cli("config")
    assert told.code == 2
    assert "line 2" in told.err


def test_a_file_of_the_folder_loosens_nothing_until_it_is_trusted(cli: Callable[..., Any]) -> None:
    here = Path("botdock.toml").absolute()
    here.write_text('engine = "process"\n[policy]\nnetworks = ["none", "bridge"]\n')
    told = cli("config")
    assert (told.code, told.stdout) == (2, b"")
    assert "botdock: botdock.toml: engine: is not for a file that came with the folder to say\n" in told.err
    assert "botdock config trust botdock.toml" in told.err
    assert cli("config", "trust").out == f"{here}: trusted as it reads now\n"
    assert 'engine = "process"' in cli("config").out
    assert cli("config", "trust", "botdock.toml", "--revoke").code == 0
    assert cli("config").code == 2
    told = cli("config", "trust", "no-such.toml")
    assert (told.code, told.err) == (
        2,
        f"botdock: {here.parent}/no-such.toml: cannot be read: No such file or directory\n",
    )


def test_a_file_that_other_users_can_write_is_not_read_and_the_mend_is_told(cli: Callable[..., Any]) -> None:
    here = Path("botdock.toml").absolute()
    here.write_text("runtime.timeout = 7\n")
    here.chmod(0o666)
    why = f"{here} can be written by every user"
    shown = cli("config")
    assert f"no file; botdock.toml is not read: {why}" in shown.out
    assert "timeout = 3600.0" in shown.out
    assert shown.err == f"botdock: botdock.toml is not read: {why}\n  chmod go-w {here}\n"
    assert f"working folder: {here} (not read: {why})" in cli("config", "--path").out
    assert json.loads(cli("config", "--path", "--json").out)["candidates"][0]["ignored"] == why
    told = cli("config", "trust")
    assert (told.code, told.stdout) == (2, b"")
    assert f"chmod go-w {here}" in told.err


def test_a_folder_that_is_run_does_not_say_how(cli: Callable[..., Any], fake_runner: Any) -> None:
    Path("botdock.toml").write_text('engine = "process"\n')
    cli("config", "trust")
    told = cli("run", ".")
    assert "belongs to the code that is to be run\n  --config-file botdock.toml reads it\n" in told.err
    assert fake_runner.config.engine == ""
    cli("run", "bot")
    assert fake_runner.config.engine == "process"
