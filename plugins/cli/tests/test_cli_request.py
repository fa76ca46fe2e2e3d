"""From options to an executable and to changes of the configuration."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdock.errors import ExecutableError, UserError
from botdock.model import Executable, Limits, RestartPolicy
from botdock_cli.request import OPTION_OF_FIELD, BotConfigError, RunRequest, default_id, read_bot_config
from botdock_cli.values import OptionError


def request(**options: Any) -> RunRequest:
    return RunRequest(code=options.pop("code", "bots/hello"), **options)


def test_options_become_the_fields_of_an_executable() -> None:
    executable = request(
        runtime="bash",
        entrypoint="backtest",
        script="strategy.sh",
        config='{"fast": 10}',
        id="sma",
        timeout="1m30s",
        memory="64MiB",
        cpus=0.5,
        pids=16,
        network="exchange",
        image="python:3.12-slim",
        env=("A=1", "B"),
        secret=("KEY",),
        restart="on-failure:5",
    ).executable({"B": "two", "KEY": "hidden"})
    assert executable == Executable(
        id="sma",
        runtime="bash",
        entrypoint="backtest",
        entrypoint_files={"backtest": "strategy.sh"},
        config={"fast": 10},
        file_path="bots/hello",
        limits=Limits(memory=64 * 1024**2, cpus=0.5, pids=16),
        env={"A": "1", "B": "two"},
        secrets={"KEY": "hidden"},
        network="exchange",
        image="python:3.12-slim",
        timeout=90.0,
        persist_results=True,
        restart=RestartPolicy.parse("on-failure:5"),
    )


def test_without_options_everything_is_left_to_the_configuration() -> None:
    assert request().executable({}) == Executable(id="hello", file_path="bots/hello")
    assert request().overrides() == {}


def test_the_value_of_a_variable_may_hold_an_equals_sign_and_be_empty() -> None:
    assert request(env=("A=b=c", "E=")).executable({}).env == {"A": "b=c", "E": ""}


def test_a_request_never_shows_its_secrets() -> None:
    assert "hunter2" not in repr(request(secret=("KEY=hunter2",)))


@pytest.mark.parametrize("option", ["env", "secret"])
def test_a_variable_that_is_not_set_here_is_refused_with_the_nearest_name(option: str) -> None:
    with pytest.raises(OptionError, match=f"--{option}: 'API_KY' is not set") as refused:
        request(**{option: ("API_KY",)}).executable({"API_KEY": "1"})
    assert refused.value.hint == "Did you mean API_KEY?"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout": "soon"}, "--timeout: 'soon' is not a duration; write seconds, or for example '30s'"),
        ({"timeout": "-5s"}, "--timeout: '-5s' is not a duration"),
        ({"timeout": "0"}, "--timeout: 0.0 must be 0.001 to"),
        ({"timeout": "9" * 400}, "--timeout: "),
        ({"start_timeout": "0"}, "--start-timeout: 0.0 must be 0.001 to"),
        ({"silence_timeout": "soon"}, "--silence-timeout: 'soon' is not a duration"),
        ({"memory": "lots"}, "--memory: 'lots' is not a size; write bytes, or for example '512MiB'"),
        ({"memory": "-1"}, "--memory: '-1' is not a size"),
        ({"memory": "0"}, "--memory: 0 bytes must be"),
        ({"memory": "1"}, "--memory: 1 bytes must be"),
        ({"memory": "9" * 400 + "G"}, "--memory: "),
        ({"cpus": 0.0}, "--cpus: 0.0 must be"),
        ({"cpus": float("nan")}, "--cpus: must be a number"),
        ({"cpus": float("inf")}, "--cpus: inf must be"),
        ({"pids": -1}, "--pids: -1 must be"),
        ({"pids": 10**12}, "--pids: "),
        ({"id": "a/b"}, "--id: "),
        ({"id": "a\nb"}, "--id: 'a\\nb' must be"),
        ({"id": "x" * 10_000}, "(10000 characters)"),
        ({"id": ""}, "--id: "),
        ({"script": ""}, "--script: "),
        ({"entrypoint": "bott"}, "--entrypoint: "),
        ({"env": ("1A=x",)}, "--env: name '1A'"),
        ({"env": ("=x",)}, "--env: "),
        ({"env": ("BOT_ID=x",)}, "--env: BOT_ID is set by botdock itself"),
        ({"secret": ("A=" + "x" * 200_000,)}, "--secret: value of A takes"),
        ({"config": '{"x": NaN}'}, "--config: is not JSON"),
    ],
)
def test_what_cannot_be_names_its_option_and_what_is_right(options: dict[str, Any], said: str) -> None:
    with pytest.raises((OptionError, ExecutableError)) as refused:
        request(**options).executable({})
    assert said in refused.value.message
    assert refused.value.exit_code == 2


def test_all_wrong_values_are_told_at_once() -> None:
    with pytest.raises(ExecutableError) as refused:
        request(id="a/b", cpus=-1.0, pids=0).executable({})
    assert [problem.partition(":")[0] for problem in refused.value.problems] == ["--id", "--cpus", "--pids"]


def test_every_field_with_an_option_is_a_field() -> None:
    fields = {field.name for field in attrs.fields(Executable)}
    limits = {field.name for field in attrs.fields(Limits)}
    for path in OPTION_OF_FIELD:
        first, _, rest = path.partition(".")
        assert first in fields
        assert not rest or rest in limits | {"bot", "backtest"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("bots/sma.zip", "sma"),
        ("bots/My bot.tar.gz", "My-bot"),
        ("a/b/", "b"),
        ("v1.2.tgz", "v1.2"),
        ("über", "ber"),
        ("...", "bot"),
        ("日本", "bot"),
        ("x" * 300, "x" * 128),
    ],
)
def test_the_default_id_is_the_name_of_the_code(code: str, expected: str) -> None:
    assert default_id(code) == expected


def test_the_default_id_of_a_dot_is_the_name_of_the_folder() -> None:
    assert default_id(".") == Path.cwd().name
    assert default_id("sub/..") == Path.cwd().name


@given(st.text())
def test_any_code_has_an_id_that_an_executable_may_have(code: str) -> None:
    assert Executable(id=default_id(code.replace("\0", ""))).id


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (("runtime.timeout=30s",), {"runtime": {"timeout": "30s"}}),
        (("runtime.limits.output=1024", "home=/x"), {"runtime": {"limits": {"output": 1024}}, "home": "/x"}),
        (('policy.networks=["none", "bridge"]',), {"policy": {"networks": ["none", "bridge"]}}),
        (("features.metrics=false",), {"features": {"metrics": False}}),
        (("home=a=b",), {"home": "a=b"}),
        (("home=x\ny = 1",), {"home": "x\ny = 1"}),
    ],
)
def test_settings_are_toml_values_or_plain_text(changes: tuple[str, ...], expected: dict[str, Any]) -> None:
    assert request(settings=changes).overrides() == expected


def test_named_options_win_over_settings() -> None:
    overrides = request(settings=("engine=docker",), engine="process", storage="minio", pull="never").overrides()
    assert overrides == {"engine": "process", "storage": "minio", "containers": {"pull": "never"}}


@pytest.mark.parametrize("setting", ["runtime.timeout", "=3", ""])
def test_a_setting_without_key_and_value_is_refused(setting: str) -> None:
    with pytest.raises(OptionError, match="is not KEY=VALUE"):
        request(settings=(setting,)).overrides()


def test_a_setting_below_a_value_is_refused() -> None:
    with pytest.raises(OptionError, match=r"engine\.name lies below engine"):
        request(settings=("engine=docker", "engine.name=x")).overrides()


def test_the_config_may_come_from_a_file_or_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("config.json").write_text('{"a": "ü"}', encoding="utf-8")
    Path("piped.json").write_text('{"b": 2}')
    assert read_bot_config("@config.json") == {"a": "ü"}
    with Path("piped.json").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert read_bot_config("@-") == {"b": 2}
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UserError, match="stdin is closed"):
        read_bot_config("@-")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "--config is not JSON: Expecting property name"),
        ("", "--config is not JSON: Expecting value (line 1, column 1)"),
        ("[1]", "must be a JSON object, not a list"),
        ("3", "not a number"),
        ("true", "not a boolean"),
        ("null", "not null"),
        ('"x"', "not a text"),
        ("[" * 100_000, "--config is not JSON"),
        ('{"n": ' + "9" * 5_000 + "}", "--config is not JSON"),
        ("@no-such-file", "'no-such-file' cannot be read: No such file"),
        ("@.", "cannot be read: Is a directory"),
        ("@a\0b", "cannot be read"),
        ("@latin1.json", "--config (latin1.json) is not JSON"),
    ],
)
def test_a_config_that_is_no_object_is_refused(text: str, said: str) -> None:
    Path("latin1.json").write_bytes(b'{"a": "\xfc"}')
    with pytest.raises(BotConfigError) as refused:
        read_bot_config(text)
    assert said in refused.value.message


SCALARS = st.none() | st.booleans() | st.integers() | st.text()


@given(st.dictionaries(st.text(), st.recursive(SCALARS, st.lists, max_leaves=5), max_size=3))
@settings(max_examples=50)
def test_any_object_comes_out_as_it_went_in(value: dict[str, Any]) -> None:
    assert read_bot_config(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], False),
        (["--entrypoint", "backtest"], True),
        (["--persist"], True),
        (["--entrypoint", "backtest", "--no-persist"], False),
    ],
)
def test_what_a_backtest_returns_is_kept_unless_somebody_says_otherwise(
    cli: Callable[..., Any], fake_runner: Any, options: list[str], expected: bool
) -> None:
    assert cli("run", "bot", *options).code == 0
    assert fake_runner.executable.persist_results is expected


@pytest.mark.parametrize(
    "code", ["./hello", "../hello", "/nosuch/hello", "~/nosuch-hello", "bot/", "hello-pyton", "bots/sma.zp"]
)
def test_code_that_is_not_there_is_told_before_an_engine_that_does_not_answer(
    cli: Callable[..., Any], store: Callable[..., None], monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nosuch/docker.sock")
    monkeypatch.setenv("BOTDOCK_OPTIONS__OCI__RUNTIME", "/nosuch/crun")
    Path("hello-python").mkdir()
    store("bots/sma.zip")
    told = cli("run", code)
    assert told.code == 2
    assert told.err.startswith(f"botdock: no folder or archive at {code!r} on this machine, and ")
    for there in ("hello-python", "bots/sma.zip"):
        told = cli("run", there)
        assert (told.code, told.err.startswith("botdock: no engine to run on")) == (125, True)
