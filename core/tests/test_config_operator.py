"""An operator's file binds every caller: through no door is more allowed than it says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botdock import Config, PluginManager
from botdock.config import Policies, operator, to_toml
from botdock.config.trust import trust_file
from botdock.errors import ConfigError, PolicyError
from botdock.factory import ServiceFactory
from botdock.model import DEFAULT_LIMITS, Executable, Limits
from botdock.model.limits import MIB
from botdock.orchestrator.plan import Bound, Source, bounds_of
from botdock.services.code import Manifest
from botdock.supervisor import Supervisor
from testbed.drills import count

INSTALLED = PluginManager.load()
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
Says = Callable[..., Path]


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of its own: without an operator's file, and with a working folder of the user's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setattr(operator, "SYSTEM_FILE", tmp_path / "etc/botdock/policy.toml")
    return tmp_path


@pytest.fixture
def says(machine: Path) -> Says:
    """Write the operator's file of the machine."""

    def write(text: str = "", **policy: Any) -> Path:
        file = machine / "etc/botdock/policy.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text or to_toml({"policy": policy}))
        return file

    return write


def bot(**fields: Any) -> Executable:
    return Executable(**{"id": "bot", "file_path": "bot", **fields})


def bound(executable: Executable, config: Config, *, manifest: Limits | None = None) -> dict[str, Bound]:
    found = bounds_of(
        executable,
        config,
        Policies.of(config),
        defaults=config.runtime.limits,
        manifest=Manifest(limits=manifest or Limits(), source="bot.toml"),
    )
    return dict(found.sources)


def load(**overrides: Any) -> Config:
    return Config.load(overrides=overrides, plugins=INSTALLED)


def test_a_breach_is_refused_with_the_rule_and_the_file(says: Says) -> None:
    file = says(max_limits={"memory": "64MiB"}, max_timeout="1m", refused_variables=["AWS_*"])
    for fields, setting in (
        ({"limits": {"memory": "65MiB"}}, "policy.max_limits.memory"),
        ({"timeout": 61}, "policy.max_timeout"),
        ({"network": "host"}, "policy.networks"),
        ({"env": {"AWS_KEY": ""}}, "policy.refused_variables"),
        ({"secrets": {"LD_PRELOAD": "x"}}, "policy.loader_variables"),
    ):
        with pytest.raises(PolicyError) as caught:
            bound(bot(**fields), load(policy={"networks": ["none", "host"], "loader_variables": ["LD_PRELOAD"]}))
        assert (caught.value.setting, caught.value.file) == (setting, str(file))
        assert caught.value.hint == f"An operator can allow it with {setting} in {file}."


def test_what_a_caller_leaves_open_is_kept_within_it_and_says_so(says: Says) -> None:
    file = says(max_limits={"memory": "64MiB", "pids": 500}, max_timeout="1m")
    found = bound(bot(is_long_running=True), load())
    assert found["memory"] == Bound(value=64 * MIB, source=Source.POLICY, file=str(file))
    assert found["timeout"] == Bound(value=60, source=Source.POLICY, file=str(file))
    assert found["pids"] == Bound(value=DEFAULT_LIMITS.pids, source=Source.DEFAULT)


def test_its_defaults_hold_where_a_caller_says_nothing(says: Says) -> None:
    says('[runtime]\ntimeout = "1m"\nnetwork = "feeds"\n[policy]\nnetworks = ["none", "feeds"]\nimages = ["team/*"]')
    config = load()
    assert (config.runtime.timeout, config.runtime.network, config.policy.images) == (60, "feeds", ("team/*",))
    assert bound(bot(), load(runtime={"network": "none", "timeout": "2m"}))["timeout"].value == 120
    with pytest.raises(PolicyError, match="feeds"):
        bound(bot(network="feeds"), load(policy={"networks": ["none"]}, runtime={"network": "none"}))


DOORS = ("arguments", "environment", "folder", "own file", "API")
MORE = st.fixed_dictionaries(
    {
        "runtime": st.fixed_dictionaries(
            {}, optional={"timeout": st.integers(1, 500), "limits": st.just({"memory": "1GiB", "pids": 4000})}
        ),
        "policy": st.fixed_dictionaries(
            {},
            optional={
                "max_timeout": st.integers(0, 500),
                "max_limits": st.just({"memory": "2GiB", "pids": 5000}),
                "networks": st.just(["none", "host"]),
                "variables": st.just(["*"]),
            },
        ),
    }
)


@given(door=st.sampled_from(DOORS), more=MORE, wanted=st.fixed_dictionaries({}, optional={
    "timeout": st.integers(1, 500), "limits": st.just({"memory": "1GiB"}), "network": st.just("host"),
    "env": st.just({"OTHER": ""}), "is_long_running": st.booleans(),
}))  # fmt: skip
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=count(150, 40))
def test_no_door_makes_any_bound_larger(
    machine: Path, says: Says, door: str, more: dict[str, Any], wanted: dict[str, Any]
) -> None:
    says(max_limits={"memory": "64MiB", "pids": 50}, max_timeout=60, variables=["APP_*"])
    with suppress(ConfigError, PolicyError):
        config = configured(machine, door, more)
        found = bound(bot(**wanted), config, manifest=Limits(memory=2**40, pids=4000))
        assert found["memory"].value <= 64 * MIB
        assert found["pids"].value <= 50
        assert found["timeout"].value <= 60
        assert found["network"].value == "none"
        assert "env" not in wanted


def configured(machine: Path, door: str, more: dict[str, Any]) -> Config:
    """Return a configuration to which one door has led."""
    folder, own = machine / "project/botdock.toml", machine / "xdg/botdock/botdock.toml"
    folder.unlink(missing_ok=True)
    own.unlink(missing_ok=True)
    environ = {}
    match door:
        case "API":
            return Config(**more)
        case "arguments":
            return Config.load(environ={}, overrides=more, plugins=INSTALLED)
        case "environment":
            environ = {f"BOTDOCK_{key}": value for key, value in variables(more)}
        case "folder":
            folder.write_text(to_toml(more))
            trust_file(folder)
        case _:
            own.parent.mkdir(parents=True, exist_ok=True)
            own.write_text(to_toml(more))
    return Config.load(environ=environ, plugins=INSTALLED)


def variables(table: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        name = f"{path}{key.upper()}"
        if isinstance(value, dict):
            yield from variables(value, f"{name}__")
        else:
            yield name, ",".join(value) if isinstance(value, list) else str(value)


@pytest.mark.parametrize(
    ("setting", "theirs", "tighter", "looser"),
    [
        ("code.total_bytes", "8MiB", "4MiB", "16MiB"),
        ("code.cache_bytes", 0, 0, "1MiB"),
        ("logging.segment_bytes", "1MiB", "8KiB", "2MiB"),
        ("supervisor.parallel", 4, 1, 5),
        ("supervisor.backoff", "5s", "6s", "10ms"),
        ("supervisor.stable", "1h", "2h", "1s"),
    ],
)
@pytest.mark.parametrize("door", DOORS[:-1])
def test_what_it_says_of_code_logs_and_the_supervisor_is_default_and_ceiling(
    machine: Path, says: Says, door: str, setting: str, theirs: Any, tighter: Any, looser: Any
) -> None:
    section, name = setting.split(".")
    file = says(to_toml({section: {name: theirs}}))
    if door != "folder" or section != "supervisor":  # of which a working folder says nothing
        Policies.of(configured(machine, door, {section: {name: tighter}}))
    config = configured(machine, door, {section: {name: looser}})
    with pytest.raises(PolicyError, match=setting) as caught:
        ServiceFactory(config, INSTALLED)
    assert (caught.value.setting, caught.value.file) == (setting, str(file))
    with pytest.raises(PolicyError, match=setting):
        Supervisor(overrides={section: {name: looser}, "home": str(machine / "home")})


def test_of_two_files_the_tighter_number_is_the_default(says: Says, machine: Path, monkeypatch: Any) -> None:
    named = machine / "named.toml"
    named.write_text('[code]\ntotal_bytes = "4MiB"\nentries = 9\n[supervisor]\nbackoff = "1s"\n')
    monkeypatch.setenv("BOTDOCK_POLICY", str(named))
    says('[code]\ntotal_bytes = "2MiB"\nentries = 10\n[logging]\ncompress = false\n[supervisor]\nbackoff = "2s"\n')
    Policies.of(config := load(logging={"compress": True}))
    assert (config.code.total_bytes, config.code.entries, config.supervisor.backoff) == (2 * MIB, 9, 2)


def test_a_runtimes_image_is_the_operators_to_set(says: Says) -> None:
    file = says('[runtime.images]\nbash = "registry.example/bash:1"\n[policy]\nimages = ["team/*"]')
    manager = ServiceFactory(load(), INSTALLED).create_entrypoint_manager()
    assert manager.get_docker_image("bash") == "registry.example/bash:1"
    assert manager.get_allowed_image("team/x:1") == "docker.io/team/x:1"
    theirs = load(runtime={"images": {"bash": "evil/bash:1", "python311": "team/py:1"}}, policy={"images": ["**"]})
    manager = ServiceFactory(theirs, INSTALLED).create_entrypoint_manager()
    assert manager.get_docker_image("python311") == "team/py:1"
    for ask, name in ((manager.get_docker_image, "bash"), (manager.get_allowed_image, "evil/bash:1")):
        with pytest.raises(PolicyError, match="evil/bash:1") as caught:
            ask(name)
        assert (caught.value.setting, caught.value.file) == ("policy.images", str(file))


def test_an_engine_and_code_of_this_machine_are_the_operators_to_allow(says: Says, machine: Path) -> None:
    file = says(engines=["docker"], local_code=False)
    factory = ServiceFactory(load(engine="process", policy={"engines": ["process"], "local_code": True}), INSTALLED)
    with pytest.raises(PolicyError, match="'process' is not allowed here; allowed: docker"):
        factory.open_engine()
    code = factory.create_code_service()
    with pytest.raises(PolicyError, match="given as bytes"):
        code.download_code("x", code.prepare_workspace(machine / "work"), code=b"x")
    with pytest.raises(Exception, match="code") as caught:
        code.check_location(str(machine), ask_storage=False)
    assert str(file) in str(getattr(caught.value, "hint", ""))


def test_the_settings_by_which_an_engine_isolates_are_the_operators(says: Says) -> None:
    file = says('[options.docker]\nseccomp = "/etc/botdock/seccomp.json"\n[policy.max_limits]\nmemory = "64MiB"')
    theirs = load(engine="docker", docker={"memory_limit": "8MiB"})
    assert theirs.options["docker"].seccomp == "/etc/botdock/seccomp.json"
    policies = ServiceFactory(theirs, INSTALLED).policies
    policies.check_settings("docker", theirs.options["docker"])
    for key, value in {"seccomp": "", "runtime": "runsc", "host": "tcp://mine:2375", "users": "5000:1"}.items():
        for config in (load(engine="docker", docker={key: value}), load(docker={key: value})):
            with pytest.raises(PolicyError, match=f"options.docker.{key} is the operator's to set") as caught:
                ServiceFactory(config, INSTALLED).open_engine()
            assert (caught.value.setting, caught.value.file) == (f"options.docker.{key}", str(file))
    with pytest.raises(PolicyError, match="seccomp"):
        ServiceFactory(Config(engine="docker"), INSTALLED).open_engine()
    says('[options.docker]\nsecomp = ""')
    with pytest.raises(ConfigError, match=r"options.docker.secomp: unknown; did you mean seccomp\?"):
        load()


def test_a_file_that_is_named_binds_beside_that_of_the_machine(
    says: Says, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = machine / "named.toml"
    named.write_text('[policy]\nmax_timeout = "30s"\nnetworks = ["none", "host"]\n[policy.max_limits]\npids = 99')
    monkeypatch.setenv("BOTDOCK_POLICY", str(named))
    assert bound(bot(network="host"), load(policy={"networks": ["host"]}, runtime={"network": "host"}))
    says(max_timeout="1m", max_limits={"pids": 50})
    found = bound(bot(), load())
    assert (found["timeout"].value, found["timeout"].file) == (30, str(named))
    assert found["pids"].value == 50
    with pytest.raises(PolicyError, match="host"):
        bound(bot(network="host"), load())


def test_a_file_that_cannot_be_believed_or_read_lets_nothing_run(
    says: Says, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = says(max_timeout="1m")
    file.chmod(0o666)
    with pytest.raises(ConfigError, match="can be written by every user, so the policy") as caught:
        Policies.of(Config())
    assert caught.value.hint == f"chmod go-w {file}"
    says("[policy]\nmax_timout = 3\n[runtme]").chmod(0o644)
    with pytest.raises(ConfigError) as caught:
        load()
    assert caught.value.problems == (
        f"{file}: policy.max_timout: unknown; did you mean max_timeout?",
        f"{file}: runtme: unknown; did you mean runtime?",
    )
    file.unlink()
    monkeypatch.setenv("BOTDOCK_POLICY", str(machine / "absent"))
    with pytest.raises(ConfigError, match=r"BOTDOCK_POLICY: .*absent: there is no such file"):
        load()


@as_root
def test_a_file_that_the_caller_could_write_is_not_the_machines_policy(
    says: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = says(max_timeout="1m")
    os.chown(file, 1234, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    with pytest.raises(ConfigError, match=r"belongs to 1234, not to root, so the policy .* is not to be believed"):
        Policies.of(Config())
