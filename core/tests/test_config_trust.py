"""A `botdock.toml` of the working folder came with the folder: it can only tighten, until the user has trusted it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botdock import Config, PluginManager
from botdock._ownership import fault_of
from botdock.config import document, find_config_files, to_toml
from botdock.config.trust import TIGHTENED, trust_file
from botdock.errors import ConfigError
from botdock.model.limits import MIB

INSTALLED = PluginManager.load()
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of the user's own, and an empty folder of the platform's configuration."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    (tmp_path / "project").mkdir(mode=0o755)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def says(text: str) -> Path:
    file = Path("botdock.toml").absolute()
    file.write_text(text)
    return file


def refused(**arguments: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Config.load(environ={}, plugins=INSTALLED, **arguments)
    assert "botdock config trust" in str(caught.value.hint)
    return [problem.split(": ")[1] for problem in caught.value.problems]


def other_value(value: Any) -> Any:
    """Return another value than a setting has, in no way stricter."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case list():
            return [*value, "other"]
        case dict():
            return {**value, "other": {}}
        case _:
            return "other"


def test_no_setting_can_be_loosened_by_a_file_that_the_user_has_not_trusted() -> None:
    odd: dict[str, Any] = {
        "policy.unenforced": {"docker": ["pids"]},
        "options.docker.api_version": "1.2",
        "options.docker.host": "unix:///x",
        "options.docker.users": "3000000:65536",
        "options.docker.shared_disk": True,
        "options.docker.memory_limit": "8MiB",
        **dict.fromkeys(("options.loguru.level", "options.loguru.stderr_level"), "DEBUG"),
        "options.prometheus.textfile": "x.prom",
    }
    odd |= {"containers.pull": "never", "runtime.images": {"bash": "x"}, "plugins.prefer": {"a": "b"}}
    odd |= {"policy.engines": [], "policy.runtimes": [], "policy.local_code": True, "policy.refused_variables": []}
    odd |= {"pool.sizes": {"bash": 1}, "policy.max_restart": "always", "policy.manifest_restart": "on-failure"}
    odd |= {"options.kubernetes.node_selector": {"a": "b"}, "options.kubernetes.users": "3000000:65536"}
    odd |= {"options.kubernetes.tolerations": ["a=b:NoSchedule"], "options.kubernetes.cpu_request": 0.5}
    odd |= {"options.oci.runtime": "runc", "options.oci.rootfs": "/srv", "options.oci.users": "3000000:65536"}
    odd |= {"notify.webhook": "https://a.org", "notify.events": ["outcome"], "notify.outcomes": ["failed"]}
    strict = {"local_code": False, "engines": ["docker"], "runtimes": ["bash"], "max_timeout": "8h"}
    user: dict[str, Any] = {
        "policy": {**strict, "refused_variables": ["A"], "max_start_timeout": 9, "max_silence_timeout": 9}
    }
    user["policy"] |= {"max_restart": "on-failure:9", "max_limits": Config().runtime.limits.given()}
    user["runtime"] = {"start_timeout": 60, "silence_timeout": 60}
    config = Config.load(environ={}, overrides=user)
    base = document(attrs.evolve(config, options=INSTALLED.sections.complete(config.options)))
    tried = set()
    own = Path(os.environ["XDG_CONFIG_HOME"], "botdock", "botdock.toml")
    own.parent.mkdir(parents=True)
    own.write_text(to_toml(user))

    def attempt(table: dict[str, Any], path: tuple[str, ...]) -> None:
        for key, value in table.items():
            name = ".".join((*path, key))
            if isinstance(value, dict) and value:
                attempt(value, (*path, key))
            elif name not in {"logging.compress", "logging.segment_bytes"}:
                tried.add(name)
                looser: Any = odd.get(name, other_value(value))
                for part in (key, *reversed(path)):
                    looser = {part: looser}
                says(to_toml(looser))
                with pytest.raises(
                    ConfigError, match=r"is not for a file that came|policy.max_limits|policy.networks|policy.engines"
                ):
                    Config.load(environ={}, plugins=INSTALLED)

    attempt(base, ())
    assert len(tried) > 80
    assert {"engine", "home", "storage", "options.docker.host", "policy.local_code", "options.minio.endpoint"} <= tried


def test_every_problem_is_told_at_once_with_the_command_that_mends_it() -> None:
    options = '[options.docker]\nruntime = "x"\n[runtime.limits]\npids = 9'
    says(f'engine = "process"\n[policy]\nnetworks = ["none", "host"]\n{options}')
    assert refused() == ["engine", "policy.networks", "options.docker.runtime"]


@pytest.mark.parametrize("size", ["1MiB", "1TiB"])
def test_a_file_that_is_not_trusted_does_not_change_the_size_of_the_cache(size: str) -> None:
    says(f'[code]\ncache_bytes = "{size}"')
    assert refused() == ["code.cache_bytes"]


def test_what_only_tightens_holds_and_the_users_own_file_holds_below_it(folder: Path) -> None:
    own = folder.parent / "xdg" / "botdock" / "botdock.toml"
    own.parent.mkdir(parents=True)
    own.write_text('[runtime]\ntimeout = "20s"\n[docker]\nruntime = "runsc"\n[policy]\nengines = ["docker"]')
    says('[runtime]\ntimeout = "10s"\n[runtime.limits]\nmemory = "64MiB"\n[policy]\nlocal_code = false\n')
    config = Config.load(environ={}, plugins=INSTALLED)
    assert (config.runtime.timeout, config.runtime.limits.memory, config.policy.local_code) == (10, 64 * MIB, False)
    assert (config.options["docker"].runtime, config.policy.engines) == ("runsc", ("docker",))
    says('[runtime]\ntimeout = "30s"\n[code]\ncache_bytes = 0\n')
    assert refused() == ["runtime.timeout", "code.cache_bytes"], "less would empty the cache of all other code"


@given(
    limits=st.dictionaries(st.sampled_from(["memory", "file_size", "tmpfs", "result"]), st.integers(6 * MIB, 10**9)),
    bounds=st.dictionaries(st.sampled_from(["memory", "pids"]), st.integers(6 * MIB, 10**9)),
    timeout=st.floats(0.001, 10**6),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_file_whatever_makes_a_bound_larger(limits: dict[str, int], bounds: dict[str, int], timeout: float) -> None:
    says(to_toml({"runtime": {"timeout": timeout, "limits": limits}, "policy": {"max_limits": bounds}}))
    try:
        config = Config.load(environ={}, plugins=INSTALLED)
    except ConfigError:
        return
    without = Config().runtime
    assert config.runtime.timeout <= without.timeout
    assert all(value <= without.limits.given()[name] for name, value in config.runtime.limits.given().items())


def test_arguments_and_environment_are_the_users_word() -> None:
    says('engine = "other"')
    assert Config.load(environ={"BOTDOCK_ENGINE": "process"}).engine == "process"
    assert Config.load(environ={}, overrides={"engine": "process"}).engine == "process"
    assert Config.load("botdock.toml", environ={}).engine == "other"
    assert Config.load(environ={"BOTDOCK_CONFIG": "botdock.toml"}).engine == "other"


def test_what_the_user_has_trusted_holds_as_long_as_it_reads_the_same(folder: Path) -> None:
    file = says('engine = "process"')
    trust_file(file)
    assert Config.load(environ={}, plugins=INSTALLED).engine == "process"
    says('engine = "process"\nstorage = "x"')
    assert refused() == ["engine", "storage"]
    says('engine = "process"')
    assert Config.load(environ={}, plugins=INSTALLED).engine == "process"
    trust_file(file, revoke=True)
    assert refused() == ["engine"]
    trust_file(file)
    copy = folder.parent / "copy"
    copy.mkdir()
    (copy / "botdock.toml").write_bytes(file.read_bytes())
    os.chdir(copy)
    assert refused() == ["engine"]


def test_a_trust_that_another_user_could_have_written_is_none() -> None:
    trust_file(says('engine = "process"'))
    Path(os.environ["XDG_CONFIG_HOME"], "botdock", "trusted").chmod(0o777)
    assert refused() == ["engine"]


def ignored(code: Path | None = None) -> str:
    files = find_config_files(None, {}, code)
    assert bool(files.ignored) == (files.used == ())
    assert Config.load(environ={}, code=code).runtime.timeout == (3600 if files.ignored else 7)
    return files.ignored


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775, 0o757])
def test_a_file_is_not_read_in_a_folder_that_others_can_write(folder: Path, mode: int) -> None:
    file = says("runtime.timeout = 7")
    assert ignored() == ""
    folder.chmod(mode)
    os.chown(folder, -1, 12345) if os.geteuid() == 0 else None
    assert ignored().startswith(f"{folder} can be written by")
    folder.chmod(0o755)
    file.chmod(mode & 0o666)
    os.chown(file, -1, 12345) if os.geteuid() == 0 else None
    assert (ignored() != "") == bool(mode & 0o022)


@as_root
def test_a_file_is_not_read_that_belongs_to_another_user(folder: Path) -> None:
    file = says("runtime.timeout = 7")
    os.chown(file, 12345, 0)
    assert ignored() == f"{file} belongs to 12345, not to root"
    os.chown(file, 0, 0)
    os.chown(folder, 12345, 0)
    assert ignored() == f"{folder} belongs to 12345, not to root"


def test_a_link_is_as_good_as_what_it_leads_through(folder: Path) -> None:
    open_to_all = folder.parent / "open"
    (open_to_all / "inner").mkdir(parents=True)
    target = says("runtime.timeout = 7").rename(open_to_all / "inner" / "real.toml")
    (folder.parent / "hop").symlink_to("open/../open/inner")
    Path("botdock.toml").symlink_to("../hop/real.toml")
    assert ignored() == ""
    target.chmod(0o666)
    assert ignored().startswith(f"{target} can be written")
    target.chmod(0o644)
    open_to_all.chmod(0o777)
    assert ignored().startswith(f"{open_to_all} can be written")
    open_to_all.chmod(0o1777)
    assert ignored() == ""


def test_a_file_is_not_read_that_is_part_of_the_code_to_be_run(folder: Path) -> None:
    file = says("runtime.timeout = 7")
    trust_file(file)
    (folder / "bot").mkdir()
    link = folder.parent / "link"
    link.symlink_to(folder)
    for code in (folder, Path(), link, folder.parent, Path("..")):
        assert "belongs to the code" in ignored(code)
    for code in (folder / "bot", Path("bot"), Path("no-such"), Path("bot.zip"), Path("\0")):
        assert ignored(code) == ""
    file.rename(folder / "bot" / "botdock.toml")
    Path("botdock.toml").symlink_to("bot/botdock.toml")
    assert "belongs to the code" in ignored(folder / "bot")


@pytest.mark.parametrize("text", ["#" * 70_000, "a" + ".a" * 20_000 + " = 1"])
def test_a_file_that_is_expensive_to_read_is_refused_unread(text: str) -> None:
    says(text)
    with pytest.raises(ConfigError, match="too much for a file of the folder"):
        Config.load(environ={}, plugins=INSTALLED)


@pytest.mark.parametrize("home", [None, ".", "~"])
def test_without_a_home_nothing_of_the_working_folder_is_taken_for_the_users_own(
    home: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("HOME") if home is None else monkeypatch.setenv("HOME", home)
    monkeypatch.setattr("pwd.getpwuid", dict[int, Any]().__getitem__)  # a user that the machine does not know
    for above in (".", "~"):
        (folder / above / ".config/botdock").mkdir(parents=True)
        (folder / above / ".config/botdock/botdock.toml").write_text('engine = "process"')
    for use in (lambda: Config.load(environ={}, plugins=INSTALLED), lambda: Config().home_dir):
        with pytest.raises(ConfigError, match="HOME: is not set to an absolute path"):
            use()
    assert Config.load(says("storage = 'x'"), environ={}).storage == "x"


def test_a_file_that_is_the_users_own_is_the_users_word_in_its_folder_too(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Path(os.environ["XDG_CONFIG_HOME"], "botdock")
    own.mkdir(parents=True)
    monkeypatch.chdir(own)
    says('engine = "process"')
    assert Config.load(environ={}, plugins=INSTALLED).engine == "process"


def test_a_group_of_ones_own_is_the_user_and_no_other_group_is(folder: Path) -> None:
    import grp
    import pwd

    user = pwd.getpwuid(os.geteuid())
    folder.chmod(0o775)
    private = grp.getgrgid(user.pw_gid).gr_name == user.pw_name and not grp.getgrgid(user.pw_gid).gr_mem
    assert (fault_of(folder) is None) == private


def test_every_rule_is_for_a_setting_that_there_is() -> None:
    names = {field.name for field in attrs.fields(Config)}
    assert {name.split(".")[0] for name in TIGHTENED} <= names
    for name in TIGHTENED:
        table: Any = document(Config())
        for part in name.removesuffix(".*").split("."):
            table = table[part]
