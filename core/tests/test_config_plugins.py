"""Settings that belong to plugins, a third party's like the bundled ones'."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from botdock import Config, PluginManager
from botdock.config import PluginsConfig
from botdock.errors import ConfigError
from botdock.model.limits import MIB


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, and beside it the user's own folder of configuration."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    (tmp_path / "work").mkdir(mode=0o700)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def says(text: str) -> None:
    Path("botdock.toml").write_text(text)
    Path("botdock.toml").chmod(0o600)


def refused() -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Config.load(environ={})
    return [problem.split(": ")[1] for problem in caught.value.problems]


def test_a_plugin_says_which_of_its_settings_may_be_tightened(folder: Path) -> None:
    own = folder.parent / "xdg" / "botdock" / "botdock.toml"
    own.parent.mkdir(parents=True)
    own.write_text('[docker]\nmemory_limit = "256MiB"\n[policy]\nunenforced = {docker = ["swap"]}')
    says('[options.docker]\nmemory_limit = "128MiB"\n[policy]\nunenforced = {docker = []}')
    config = Config.load(environ={})
    assert (config.options["docker"].memory_limit, config.policy.unenforced_on("docker")) == (128 * MIB, ())
    says(
        '[docker]\nmemory_limit = "512MiB"\n[policy]\nunenforced = {other = ["swap"]}\n'
        '[options.loguru]\nlevel = "DEBUG"'
    )
    assert sorted(refused()) == ["docker.memory_limit", "options.loguru.level", "policy.unenforced"]


def test_a_file_of_the_folder_has_no_say_in_which_plugins_are_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[PluginsConfig] = []
    load = PluginManager.load

    def loaded(config: PluginsConfig) -> PluginManager:
        asked.append(config)
        return load()

    monkeypatch.setattr(PluginManager, "load", loaded)
    says('[plugins]\nblocked = []\nprefer = {"engine:docker" = "intruder"}')
    with pytest.raises(ConfigError, match=r"plugins\.prefer"):
        Config.load(environ={"BOTDOCK_PLUGINS__BLOCKED": "intruder"})
    assert asked == [PluginsConfig(blocked=("intruder",))]


OWNER = """
import attrs
from botdock import StorageBackendPlugin, hookimpl
from botdock.config import rules, setting

@attrs.frozen(kw_only=True)
class Settings:
    bucket: str
    port: int = attrs.field(default=1, validator=attrs.validators.le(9))
    retries: int = setting(3, rule=rules.number(0, 5))
    token: str = setting("", secret=True, variable="ACME_TOKEN")

@hookimpl
def botdock_storage_backends():
    yield StorageBackendPlugin(name="acme-store", factory=print, settings=Settings, section="acme")
"""

SETTINGS = """
import json, sys
from botdock.config import Config, document
from botdock.errors import ConfigError
try:
    print(json.dumps(document(Config.load(sys.argv[1]))["options"]))
except ConfigError as error:
    print(json.dumps(sorted(error.problems)))
"""


def settings(site: Path, folder: Path, text: str, **environ: str) -> Any:
    """Read a configuration in a process of its own."""
    (folder / "botdock.toml").write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(site), **environ}
    command = [sys.executable, "-c", SETTINGS, "botdock.toml"]
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout)


def test_settings_of_a_third_party_are_held_to_what_it_says_of_them(tmp_path: Path) -> None:
    site = tmp_path / "site"
    for name, source in (("acme", OWNER), ("broken", "import nothing_there")):
        (info := site / f"{name}-1.0.dist-info").mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[botdock]\n{name} = plugin_{name}\n")
        (site / f"plugin_{name}.py").write_text(source)
    assert settings(site, tmp_path, '[acme]\nbucket = "b"\n[options.broken]\nx = 1', ACME_TOKEN="t" * 9) == {
        "acme-store": {"bucket": "b", "port": 1, "retries": 3, "token": "***"},
        "broken": {"x": 1},
    }
    wrong = '[options.acme_store]\nbuckt = "b"\nport = 10\nretries = 9\ntoken = 7\n[docker]\nhots = 1\n[acmee]\n'
    assert settings(site, tmp_path, wrong, BOTDOCK_ACME__RETRY="1") == [
        "botdock.toml: acmee: unknown; did you mean acme?",
        "botdock.toml: docker.hots: unknown; did you mean host?",
        "botdock.toml: options.acme_store.bucket: is missing",
        "botdock.toml: options.acme_store.buckt: unknown; did you mean bucket?",
        "botdock.toml: options.acme_store.port: 'port' must be <= 9: 10",
        "botdock.toml: options.acme_store.retries: 9 must be 0 to 5",
        "botdock.toml: options.acme_store.token: must be text (its value is a secret, and not shown)",
        "environment BOTDOCK_ACME__RETRY: unknown; did you mean BOTDOCK_ACME__RETRIES?",
    ]


def test_a_misspelt_engine_that_may_lack_a_feature_is_told_and_one_of_another_machine_is_not() -> None:
    lacks = [{"policy": {"unenforced": {name: ["swap"]}}} for name in ("dokcer", "DOCKER", "kubernetes")]
    with pytest.raises(ConfigError, match=r"policy\.unenforced\.dokcer: no engine .*; did you mean docker\?"):
        Config.load(environ={}, overrides=lacks[0])
    assert [Config.load(environ={}, overrides=one).policy.unenforced for one in lacks[1:]]
