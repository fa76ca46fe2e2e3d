"""Where the configuration comes from, and what wins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock import Config
from botdock.config import find_config_files, load_home
from botdock.errors import ConfigError
from botdock.model import Limits
from botdock.model.limits import DEFAULT_LIMITS, MIB
from botdock_engine_docker.settings import DockerSettings
from botdock_storage_local_fs.settings import LocalFsSettings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and an empty folder of the platform's configuration."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def problems(path: str | Path | None = None, environ: dict[str, str] | None = None, **overrides: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Config.load(path, environ=environ or {}, overrides=overrides)
    return list(caught.value.problems)


SEVEN = {"max_limits": {"memory": "7MiB"}}


def test_without_any_source_the_defaults_hold() -> None:
    assert Config.load(environ={}) == Config()


def test_arguments_win_over_the_environment_and_that_over_the_file(folder: Path) -> None:
    write(folder / "botdock.toml", 'engine = "file"\nstorage = "file"\nhome = "file"\n[runtime]\ntimeout = "1m"')
    environ = {"BOTDOCK_ENGINE": "environment", "BOTDOCK_STORAGE": "environment"}
    config = Config.load("botdock.toml", environ=environ, overrides={"engine": "argument", "runtime": {"grace": "3s"}})
    assert (config.engine, config.storage, config.home) == ("argument", "environment", "file")
    assert (config.runtime.timeout, config.runtime.grace) == (60.0, 3.0)


def test_the_file_is_looked_for_in_the_documented_order(folder: Path) -> None:
    def used(path: Path | None = None, **environ: str) -> tuple[Path, ...]:
        return find_config_files(path, environ).used

    assert used() == ()
    platform = write(folder / "xdg" / "botdock" / "botdock.toml", "")
    assert used() == (platform,)
    write(folder / "botdock.toml", "")
    assert used() == (platform, Path("botdock.toml"))
    variable, named = write(folder / "variable.toml", ""), write(folder / "named.toml", "")
    assert used(BOTDOCK_CONFIG=str(variable)) == (variable,)
    assert used(named, BOTDOCK_CONFIG=str(variable)) == (named,)
    assert used(BOTDOCK_CONFIG="") == (platform, Path("botdock.toml"))


def test_a_file_that_was_named_must_be_there() -> None:
    assert problems("x" * 5000) == [f"{'x' * 5000}: there is no such file"]
    assert problems("a\0b") == ["a\0b: there is no such file"]
    assert problems("absent.toml") == ["absent.toml: there is no such file"]
    named = {"BOTDOCK_CONFIG": "absent.toml"}
    assert problems(environ=named) == ["environment BOTDOCK_CONFIG: absent.toml: there is no such file"]


def test_a_file_that_cannot_be_read_is_told(folder: Path) -> None:
    assert problems(folder) == [f"{folder}: cannot be read: Is a directory"]
    (folder / "latin.toml").write_bytes(b'home = "\xe9"')
    assert problems("latin.toml") == ["latin.toml: is not UTF-8: invalid continuation byte at byte 8"]


def test_a_syntax_error_is_told_with_its_line(folder: Path) -> None:
    write(folder / "botdock.toml", 'engine = "docker"\n[runtime\n')
    (problem,) = problems()
    assert problem.startswith("botdock.toml: line 2, column 9: ")
    write(folder / "botdock.toml", "engine = ")
    assert problems()[0].startswith("botdock.toml: Invalid value (at end of document)")
    write(folder / "botdock.toml", "x = " + "[" * 10_000)
    assert problems() == ["botdock.toml: is nested too deeply"]


def test_every_problem_of_every_source_is_told_at_once_with_its_source(folder: Path) -> None:
    write(folder / "botdock.toml", '[runtime.limits]\nmemory = "lots"\n[contaners]\n[docker]\nusers = "0:9"')
    environ = {"BOTDOCK_DOCKER__HOTS": "x", "BOTDOCK_CODE__RATIO": "many", "MINIO_SSL": "maybe"}
    found = problems(environ=environ, containers={"retries": -1}, policy={"unenforced": {"docker": ["memry"]}})
    assert sorted(found) == [
        "botdock.toml: contaners: unknown; did you mean containers?",
        "botdock.toml: docker.users: '0:9' must be at least one user id, of 1000 to 2147483647 without 65534",
        "botdock.toml: runtime.limits.memory: 'lots' is not a size; write bytes, or for example '512MiB' or '1.5GB'",
        "environment BOTDOCK_CODE__RATIO: must be a whole number, not 'many'",
        "environment BOTDOCK_DOCKER__HOTS: unknown; did you mean BOTDOCK_DOCKER__HOST?",
        "environment MINIO_SSL: must be true or false, not 'maybe'",
        "overrides (options, --set): containers.retries: -1 must be 0 to 100",
        "overrides (options, --set): policy.unenforced: 'memry' is not a feature; did you mean memory?",
    ]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"runtime": {"timeout": -1}}, "runtime.timeout: -1.0 must be"),
        ({"runtime": {"network": " "}}, "runtime.network: must not be empty"),
        ({"runtime": {"images": {"bash": ""}}}, "runtime.images: 'bash' is empty, or has an empty value"),
        ({"storage": ""}, "storage: must not be empty"),
        ({"logging": {"sinks": [""]}}, "logging.sinks: holds an empty name"),
        ({"docker": {"memory_limit": 1}}, "docker.memory_limit: 1 must be"),
        ({"docker": {"host": "localhost"}}, "docker.host: 'localhost' is not the address of a daemon"),
        *(
            ({"docker": {"users": text}}, f"docker.users: {text!r} must")
            for text in (
                "",
                "1000",
                "root:1",
                "1:2:3",
                "-1:5",
                "5000:0",
                "999:9",
                "65532:65532",
                "2147483647:2",
                "5000:1\n",
            )
        ),
        ({"docker": {"user": "65532:65532"}}, "docker.user: unknown; did you mean users?"),
        ({"docker": {"api_version": "new"}}, "docker.api_version: 'new' must be a version"),
        (
            {"policy": {"unenforced": {"docker": ["qqq"]}}},
            "policy.unenforced: 'qqq' is not a feature; there are: network, ",
        ),
        (
            {"policy": {"unenforced": ["swap"]}},
            "policy.unenforced: must be a table, not a list",
        ),
        ({"policy": {"max_limits": {"pids": 0}}}, "policy.max_limits.pids: 0 must be"),
        ({"containers": {"pull": "mising"}}, "containers.pull: must be one of missing, always, never"),
        ({"engine": None}, "engine: must be text, not nothing"),
        ({"options": {"docker": 1}}, "options.docker: must be a table, not a number"),
        ({"docker": 1}, "docker: must be a table, not a number"),
        ({"options": 1}, "options: must be a table, not a number"),
        (
            {"options": {"logru": {}}},
            "options.logru: no installed plugin has these settings; did you mean options.loguru?",
        ),
        ({"options": {"process": {"x": 1}}}, "options.process: no installed plugin has these settings; there are: "),
        ({"dokcer": {}}, "dokcer: unknown; did you mean docker?"),
        ({"loguru": {"level": "INFO"}}, "loguru: unknown; did you mean options.loguru?"),
        ({"options": {"local_fs": {"rot": "x"}}}, "options.local_fs.rot: unknown; did you mean root?"),
        (
            {"options": {"loguru": {"level": "LOUD"}}},
            "options.loguru.level: 'LOUD' is not a level of loguru; there are ",
        ),
        (
            {"docker": {"host": ""}, "options": {"docker": {"host": "tcp://a:1"}}},
            "options.docker.host: is set twice, also as docker.host",
        ),
    ],
)
def test_a_wrong_value_is_told(overrides: dict[str, Any], said: str) -> None:
    (problem,) = problems(**overrides)
    assert problem.startswith(f"overrides (options, --set): {said}")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            {"runtime": {"network": "bridg"}, "policy": {"networks": ["none", "bridge"]}},
            "runtime.network: 'bridg' is not among policy.networks: none, bridge; did you mean bridge?",
        ),
        ({"policy": {"networks": []}}, "policy.networks: 'none' is not among policy.networks: none at all"),
        (
            {"policy": {"max_limits": {"pids": 5}}},
            "policy.max_limits.pids: runtime.limits.pids is 128, more than policy.max_limits.pids, 5",
        ),
        (
            {"runtime": {"limits": {"pids": 9}}, "policy": {"max_limits": {"pids": 5}}},
            "runtime.limits.pids: runtime.limits.pids is 9, more than policy.max_limits.pids, 5",
        ),
        (
            {"docker": {"memory_limit": "8MiB"}, "runtime": {"limits": {"memory": "6MiB"}}, "policy": SEVEN},
            "docker.memory_limit: options.docker.memory_limit is 8388608, more than policy.max_limits.memory, 7340032",
        ),
        (
            {"engine": "docker", "policy": {"engines": ["podman"]}},
            "engine: 'docker' is not among policy.engines: podman",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_told(overrides: dict[str, Any], said: str) -> None:
    assert problems(**overrides) == [f"overrides (options, --set): {said}"]


def test_limits_that_nobody_names_keep_their_defaults(folder: Path) -> None:
    write(folder / "botdock.toml", '[runtime.limits]\nmemory = "256MiB"')
    assert Config.load(environ={}).runtime.limits == Limits(memory=256 * MIB).over(DEFAULT_LIMITS)


def test_a_section_made_in_python_keeps_the_same_rules() -> None:
    from botdock.config import RuntimeConfig

    with pytest.raises(ConfigError, match=r"timeout: -1.0 must be"):
        RuntimeConfig(timeout=-1)


def test_a_class_derived_from_the_configuration_is_what_comes_back() -> None:
    class Mine(Config):
        pass

    assert type(Mine.load(environ={})) is Mine


def test_state_lies_in_the_platforms_folder_unless_somebody_says_otherwise(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    assert Config.load(environ={}).home_dir == folder / "state" / "botdock"
    assert Config.load(environ={"BOTDOCK_HOME": "here"}).home_dir == folder / "here"


def test_each_spelling_of_a_plugins_name_and_its_other_section_are_one_table(folder: Path) -> None:
    write(folder / "xdg" / "botdock" / "botdock.toml", '[docker]\nruntime = "runsc"\nhost = "tcp://old:1"')
    write(folder / "named.toml", '[options.Local_FS]\nroot = "/srv"\n[options.docker]\nhost = "tcp://new:1"')
    config = Config.load(
        "named.toml", environ={"BOTDOCK_DOCKER__CPU_SHARES": "7"}, overrides={"docker": {"users": "5000:1"}}
    )
    docker = config.options_for("docker", DockerSettings)
    assert (docker.host, docker.cpu_shares, docker.users) == ("tcp://new:1", 7, "5000:1")
    assert config.options_for("local_fs", LocalFsSettings).root == "/srv"
    assert list(config.options) == ["local-fs", "docker"]


def test_settings_of_a_plugin_that_is_blocked_are_left_alone() -> None:
    overrides = {"plugins": {"blocked": ["docker"]}, "docker": {"anything": 1}, "options": {"docker": {"more": 2}}}
    assert Config.load(environ={}, overrides=overrides).options == {"docker": {"anything": 1, "more": 2}}


def test_settings_given_in_python_may_be_an_object_or_a_mapping() -> None:
    given = DockerSettings(host="tcp://a:1")
    for options in ({"docker": given}, {"docker": {"host": "tcp://a:1"}}):
        assert Config(options=options).options_for("docker", DockerSettings) == given
    assert Config().options_for("docker", DockerSettings) == DockerSettings()
    with pytest.raises(ConfigError, match=r"options.docker.hots: unknown; did you mean host\?"):
        Config(options={"docker": {"hots": "x"}}).options_for("docker", DockerSettings)


def test_the_state_folder_is_found_without_the_settings_of_any_plugin(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "named.toml", f'home = "{folder}/state"\n[docker]\nhots = 1\n[options.gone]\nx = 1')
    monkeypatch.setattr("botdock.plugin_manager.PluginManager.load", None)
    assert load_home("named.toml") == folder / "state"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"BOTDOCK_HOME": ""},
        {"BOTDOCK_HOME": "here"},
        {"BOTDOCK_HOME": "~/here", "BOTDOCK_DEBUG": "1"},
        {"BOTDOCK_HOME": "~no-such-user/here"},
        {"BOTDOCK_HOME": "x" * 300},
        {"BOTDOCK_HOME": "here", "BOTDOCK_STORAGE": " "},
        {"BOTDOCK_HOME": "here", "BOTDOCK_STORAGE": "mine", "ID": "x"},
        {"BOTDOCK_CODE__DEPHT": "3"},
        {"BOTDOCK_CONFIG": "absent.toml"},
        {"BOTDOCK_CONFIG": "broken.toml"},
        {"BOTDOCK_CONFIG": "named.toml"},
        {"BOTDOCK_CONFIG": "named.toml", "BOTDOCK_HOME": "here"},
    ],
)
@pytest.mark.parametrize("folder_file", ["", 'home = "elsewhere"', "[code]\ndepth = 3", "[code]\ndepht = 3"])
def test_the_state_folder_alone_is_what_the_whole_configuration_says_or_refuses(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], folder_file: str
) -> None:
    write(folder / "named.toml", 'home = "named"\n[retention]\nkeep = 5')
    write(folder / "broken.toml", "[retention]\nkeep = -5")
    if folder_file:
        write(folder / "botdock.toml", folder_file)
    for name, value in {"XDG_STATE_HOME": str(folder / "state"), **variables}.items():
        monkeypatch.setenv(name, value)

    def found(home: Callable[[], Path]) -> object:
        try:
            return home()
        except ConfigError as error:
            return error.problems, error.hint

    assert found(load_home) == found(lambda: Config.load().checked_home())
