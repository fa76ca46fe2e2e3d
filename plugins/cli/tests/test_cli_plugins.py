"""`botdock plugins`."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from botdock.plugin_manager import PluginManager, PluginRecord, PluginStage


@pytest.fixture
def with_records(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def use(*records: PluginRecord) -> None:
        class Manager(PluginManager):
            @property
            def records(self) -> tuple[PluginRecord, ...]:
                return records

        monkeypatch.setattr("botdock_cli.session.Session.plugins", property(lambda session: Manager()))

    return use


VERSION = version("botdock")
BROKEN = PluginRecord(
    name="ruby", distribution="botdock-ruby", version="2.0", stage=PluginStage.IMPORT, reason="ImportError: no gem"
)
GOOD = PluginRecord(name="perl", distribution="botdock-perl", version="1.0", provides=("runtime:perl",))


def test_what_is_installed_is_a_table(cli: Callable[..., Any]) -> None:
    shown = cli("plugins")
    assert shown.code == 0
    heading, *rows = shown.out.splitlines()
    assert heading.split() == ["KIND", "NAME", "DISTRIBUTION", "VERSION", "SUMMARY"]
    assert ["engine", "process", "botdock-engine-process", VERSION] in [row.split()[:4] for row in rows]
    assert ["runtime", "bash", "botdock-runtime-bash", VERSION] in [row.split()[:4] for row in rows]


def test_what_did_not_load_stands_below_with_stage_and_reason(
    cli: Callable[..., Any], with_records: Callable[..., Any]
) -> None:
    with_records(GOOD, BROKEN)
    shown = cli("plugins")
    assert shown.code == 0
    assert "runtime  perl  botdock-perl  1.0" in shown.out
    assert "not loaded: ruby (botdock-ruby 2.0): import: ImportError: no gem" in shown.out


def test_nothing_installed_says_what_to_install(cli: Callable[..., Any], with_records: Callable[..., Any]) -> None:
    with_records()
    assert 'pip install "botdock[standard]"' in cli("plugins").out


def test_json_lists_every_plugin(cli: Callable[..., Any], with_records: Callable[..., Any]) -> None:
    with_records(GOOD, BROKEN)
    listed = json.loads(cli("plugins", "--json").out)
    assert [plugin["stage"] for plugin in listed] == ["loaded", "import"]
    assert listed[0]["provides"] == ["runtime:perl"]
    assert listed[1]["reason"] == "ImportError: no gem"


def test_a_blocked_plugin_is_shown_as_blocked(cli: Callable[..., Any]) -> None:
    Path("botdock.toml").write_text('[plugins]\nblocked = ["botdock-runtime-bash"]\n')
    cli("config", "trust")
    shown = cli("plugins")
    assert f"not loaded: bash (botdock-runtime-bash {VERSION}): blocked: blocked by plugins.blocked" in shown.out


def test_a_wrong_configuration_is_told_whole(cli: Callable[..., Any]) -> None:
    Path("botdock.toml").write_text("engin = 1\n[plugins]\nblocked = 3\n")
    told = cli("plugins")
    assert (told.code, told.stdout) == (2, b"")
    assert "engin" in told.err
    assert "plugins.blocked" in told.err
