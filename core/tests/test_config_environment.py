"""What can stand in the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from botdock import Config
from botdock.errors import ConfigError
from botdock.model import PullPolicy
from botdock.model.limits import MIB
from botdock_metrics_prometheus.settings import PrometheusSettings
from botdock_storage_local_fs.settings import LocalFsSettings


@pytest.fixture(autouse=True)
def _no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def loaded(**environ: str) -> Config:
    return Config.load(environ=environ)


def problem(**environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(**environ)
    (only,) = caught.value.problems
    return only


@pytest.mark.parametrize(
    ("name", "text", "path", "value"),
    [
        ("ENGINE", "process", "engine", "process"),
        ("HOME", "", "home", ""),
        ("DOCKER__TLS_VERIFY", "YES", "options.docker.tls_verify", True),
        ("DOCKER__TLS_VERIFY", "off", "options.docker.tls_verify", False),
        ("DOCKER__CPU_SHARES", " 512 ", "options.docker.cpu_shares", 512),
        ("DOCKER__CONNECT_TIMEOUT", "250ms", "options.docker.connect_timeout", 0.25),
        ("DOCKER__CONNECT_TIMEOUT", "3", "options.docker.connect_timeout", 3.0),
        ("RUNTIME__LIMITS__MEMORY", "256MiB", "runtime.limits.memory", 256 * MIB),
        ("RUNTIME__LIMITS__CPUS", "1.5", "runtime.limits.cpus", 1.5),
        ("RUNTIME__LIMITS__CPUS", "2", "runtime.limits.cpus", 2.0),
        ("RUNTIME__LIMITS__PIDS", "7", "runtime.limits.pids", 7),
        ("RUNTIME__IMAGES__PYTHON311", "mine:1", "runtime.images", {"python311": "mine:1"}),
        ("RUNTIME__IMAGES", '{"python3.11": "mine:1"}', "runtime.images", {"python3.11": "mine:1"}),
        ("CONTAINERS__PULL", "never", "containers.pull", PullPolicy.NEVER),
        ("PLUGINS__BLOCKED", "a, b,", "plugins.blocked", ("a", "b")),
        ("PLUGINS__BLOCKED", "", "plugins.blocked", ()),
        ("PLUGINS__BLOCKED", '["a,b"]', "plugins.blocked", ("a,b",)),
        ("PLUGINS__PREFER", '{"runtime:bash": "x"}', "plugins.prefer", {"runtime:bash": "x"}),
        ("OPTIONS__LOCAL_FS__ROOT", "/srv", "options", {"local-fs": LocalFsSettings(root="/srv")}),
        ("OPTIONS__PROMETHEUS__PORT", "9000", "options", {"prometheus": PrometheusSettings(port=9000)}),
        ("OPTIONS__LOCAL_FS", '{"root": "/srv"}', "options", {"local-fs": LocalFsSettings(root="/srv")}),
    ],
)
def test_a_text_is_read_as_what_its_setting_wants(name: str, text: str, path: str, value: object) -> None:
    found: Any = loaded(**{f"BOTDOCK_{name}": text})
    for key in path.split("."):
        found = found[key] if isinstance(found, dict) else getattr(found, key)
    assert found == value
    assert type(found) is type(value)


def test_a_tables_own_variable_and_those_of_its_keys_add_up() -> None:
    config = loaded(BOTDOCK_RUNTIME__IMAGES__BASH="b:2", BOTDOCK_RUNTIME__IMAGES='{"bash": "b:1", "node": "n:1"}')
    assert config.runtime.images == {"bash": "b:2", "node": "n:1"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("CODE__RATIO", "1.5", "must be a whole number, not 1.5"),
        ("CODE__RATIO", "", "must be a whole number, not ''"),
        ("FEATURES__METRICS", "maybe", "must be true or false, not 'maybe'"),
        ("RUNTIME__LIMITS__MEMORY", "lots", "'lots' is not a size; write bytes, or for example '512MiB' or '1.5GB'"),
        ("RUNTIME__IMAGES", "{broken", "must be a table, not text"),
        ("RUNTIME__IMAGES", "[" * 100_000, "must be a table, not text"),
        ("PLUGINS__BLOCKED", "[1]", "must be text, not 1"),
        ("PLUGINS__BLOCKED", "[broken", "must be a list, not text"),
        ("OPTIONS", "{broken", "must be a table, not text"),
        ("DOCKER__HOTS", "x", "unknown; did you mean BOTDOCK_DOCKER__HOST?"),
        ("MINIO_ACCESS_KEY", "x", "unknown; did you mean BOTDOCK_MINIO__ACCESS_KEY?"),
        ("ENGINE__NAME", "x", "unknown; did you mean BOTDOCK_ENGINE?"),
        ("DOCKER__QQQQQQQQQQQQ", "x", "unknown; `botdock config` lists all settings"),
        ("DOCKER", "[]", "must be a table, not a list"),
        ("DOCKER__", "x", "unknown; did you mean "),
        ("QQQQQQ", "x", "unknown; `botdock config` lists all settings"),
    ],
)
def test_a_wrong_variable_is_told_by_its_name(name: str, text: str, said: str) -> None:
    assert problem(**{f"BOTDOCK_{name}": text}).startswith(f"environment BOTDOCK_{name}: {said}")


def test_variables_are_in_capitals() -> None:
    assert problem(BOTDOCK_engine="x") == "environment BOTDOCK_engine: unknown; did you mean BOTDOCK_ENGINE?"


def test_variables_that_are_no_settings_are_left_alone() -> None:
    others = {"BOTDOCK_DEBUG": "1", "BOTDOCK_TEST_IMAGES": "x", "BOTDOCK_RESULT_FILE": "/r", "MINIO_ROOT_USER": "x"}
    told = {"BOTDOCK_EVENT": "outcome", "BOTDOCK_EVENT_BOT": "sma"}  # so that notify.command may call botdock
    assert loaded(**others, **told) == Config()


def test_the_old_runners_names_are_read() -> None:
    config = loaded(
        MINIO_ENDPOINT="minio:9000",
        MINIO_ACCESS_KEY="access",
        MINIO_SECRET_KEY="secret",
        MINIO_SSL="True",
        MINIO_CODE_BUCKET="code",
        MINIO_BACKTESTS_BUCKET="results",
        MINIO_LOGS_BUCKET="logs",
    ).options["minio"]
    assert (config.endpoint, config.access_key, config.secret_key, config.use_ssl) == (
        "minio:9000",
        "access",
        "secret",
        True,
    )
    assert (config.code_bucket, config.results_bucket, config.logs_bucket) == ("code", "results", "logs")


def test_the_new_name_wins_over_the_old_one() -> None:
    config = loaded(MINIO_ENDPOINT="old:1", BOTDOCK_MINIO__ENDPOINT="new:1", MINIO_SSL="")
    assert (config.options["minio"].endpoint, config.options["minio"].use_ssl) == ("new:1", False)


def test_the_environment_can_block_a_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOTDOCK_PLUGINS__BLOCKED", "docker,minio")
    assert Config.load().plugins.blocked == ("docker", "minio")
