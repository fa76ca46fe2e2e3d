"""Whatever the configuration is, it can be written down and read back; whatever is read, nothing foreign is raised."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from botdock.config import (
    CodeConfig,
    Config,
    ContainersConfig,
    Features,
    LoggingConfig,
    MetricsConfig,
    OutboxConfig,
    PluginsConfig,
    Policy,
    RuntimeConfig,
    document,
    to_toml,
)
from botdock.config.locations import PREFIX
from botdock.config.sources import _variables, variables_of
from botdock.errors import ConfigError
from botdock.model import Feature, Limits, PullPolicy
from botdock.model.executable import MAX_TIMEOUT
from botdock.plugin_manager import PluginManager
from botdock_engine_docker.settings import DockerSettings
from botdock_storage_minio.settings import MinIOSettings
from botdock_testing.strategies import limits
from testbed.drills import count

INSTALLED = PluginManager.load()
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
PATH = TEXT.filter(lambda text: not text.startswith("~"))  # of a user who need not exist
NAME = TEXT.filter(str.strip)
NAMES = st.lists(NAME, max_size=3).map(tuple)
WAIT = st.floats(0.001, MAX_TIMEOUT)
WAIT_OR_NONE = st.floats(0, MAX_TIMEOUT)
COUNT = st.integers(1, 2**53)
PLAIN = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


LIMITS = limits()
DOCKER = st.builds(
    DockerSettings,
    host=TEXT.map(lambda text: f"unix:///{text}") | st.just(""),
    api_version=st.sampled_from(["", "1.41"]),
    tls_verify=st.booleans(),
    cert_path=PATH,
    connect_timeout=WAIT,
    memory_limit=st.just(0),
    cpu_shares=st.integers(0, 262_144),
    users=st.builds("{}:{}".format, st.integers(70_000, 2**30), st.integers(1, 2**30)),
    seccomp=PATH,
    runtime=TEXT,
)
MINIO = st.builds(
    MinIOSettings,
    cert_file=PATH,
    **dict.fromkeys(("endpoint", "access_key", "secret_key", "bucket_name", "region", "code_bucket", "prefix"), TEXT),
    use_ssl=st.booleans(),
    create_buckets=st.booleans(),
    **dict.fromkeys(("connect_timeout", "read_timeout", "total_timeout"), WAIT),
    retries=st.integers(0, 100),
    part_size=st.integers(5 * 2**20, 2**30),
    parallel_parts=st.integers(1, 64),
)
LOGGING = st.builds(
    LoggingConfig, sinks=NAMES, sink_queue=COUNT, output_tail=st.integers(0, 2**53), drain_timeout=WAIT_OR_NONE
)
CONTAINERS = st.builds(
    ContainersConfig,
    pull=st.sampled_from(PullPolicy),
    pull_timeout=WAIT,
    call_timeout=WAIT,
    retries=st.integers(0, 100),
)
CODE = st.builds(
    CodeConfig,
    **dict.fromkeys(("total_bytes", "entries", "file_bytes", "ratio", "depth", "name_bytes"), COUNT),
    cache_bytes=st.integers(0, 2**53),
)
OUTBOX = st.builds(OutboxConfig, max_bytes=COUNT, max_items=COUNT, retry_interval=WAIT, drain_timeout=WAIT_OR_NONE)
PLUGINS = st.builds(PluginsConfig, allowed=NAMES, blocked=NAMES, prefer=st.dictionaries(NAME, NAME, max_size=3))
FEATURES = st.builds(Features, log_sinks=st.booleans(), metrics=st.booleans(), persistence=st.booleans())


FEATURES_LACKING = st.sampled_from([feature.value for feature in Feature])


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Draw a configuration that does not contradict itself."""
    network, limits = draw(NAME), draw(LIMITS)
    runtime = RuntimeConfig(
        images=draw(st.dictionaries(NAME, NAME, max_size=3)),
        limits=limits,
        timeout=draw(WAIT),
        start_timeout=draw(WAIT_OR_NONE),
        silence_timeout=draw(WAIT_OR_NONE),
        grace=draw(WAIT_OR_NONE),
        network=network,
    )
    policy = Policy(
        networks=(network, *draw(NAMES)),
        max_limits=draw(st.sampled_from([Limits(), limits, Limits(memory=limits.memory)])),
        max_timeout=draw(WAIT_OR_NONE),
        max_start_timeout=draw(WAIT_OR_NONE),
        max_silence_timeout=draw(WAIT_OR_NONE),
        runtimes=draw(NAMES),
        local_code=draw(st.booleans()),
        unenforced=draw(st.dictionaries(NAME, st.lists(FEATURES_LACKING, max_size=3).map(tuple), max_size=2)),
    )
    return Config(
        engine=draw(TEXT),
        storage=draw(NAME),
        home=draw(PATH),
        logging=draw(LOGGING),
        metrics=MetricsConfig(exporters=draw(NAMES)),
        runtime=runtime,
        containers=draw(CONTAINERS),
        code=draw(CODE),
        outbox=draw(OUTBOX),
        policy=policy,
        plugins=draw(PLUGINS),
        features=draw(FEATURES),
        options=draw(st.fixed_dictionaries({}, optional={"docker": DOCKER, "minio": MINIO})),
    )


@given(config=configs())
@settings(max_examples=count(60, 20), deadline=None)
def test_a_configuration_that_is_written_down_reads_back_the_same(config: Config, tmp_path_factory: Any) -> None:
    path: Path = tmp_path_factory.mktemp("config") / "botdock.toml"
    path.write_text(to_toml(document(config, show_secrets=True)), encoding="utf-8", newline="")
    assert Config.load(path, environ={}, plugins=INSTALLED) == config


@given(config=configs(), secret=st.text("abcdefgh", min_size=12))
@settings(max_examples=count(30, 10), deadline=None)
def test_no_listing_shows_a_secret(config: Config, secret: str) -> None:
    import attrs

    assume(secret not in repr(config) + to_toml(document(config)))
    config = attrs.evolve(config, options={"minio": MinIOSettings(access_key=secret, secret_key=secret)})
    assert secret not in repr(config)
    assert secret not in to_toml(document(config))


def _schema(plain: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return garbage of the configuration's own shape, which gets past the check of keys."""
    garbage = PLAIN | st.none() | st.binary(max_size=3)
    fields = {
        key: _schema(value) | garbage if isinstance(value, dict) and value else garbage for key, value in plain.items()
    }
    return st.fixed_dictionaries({}, optional=fields)


SHAPE = {**document(Config()), "docker": document(Config(options={"docker": DockerSettings()}))["options"]["docker"]}


@settings(deadline=None)
@given(_schema(SHAPE) | st.dictionaries(TEXT | st.integers(), PLAIN))
def test_any_garbage_is_a_configuration_or_an_error_in_words(garbage: dict[Any, Any]) -> None:
    _loads_or_says_why(overrides=garbage)


SETTINGS = [PREFIX + name for name in (*_variables(Config), *variables_of(INSTALLED.sections))] + list(
    INSTALLED.sections.variables()
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(SETTINGS) | TEXT.map(lambda text: PREFIX + text), TEXT))
def test_any_environment_is_a_configuration_or_an_error_in_words(environ: dict[str, str]) -> None:
    _loads_or_says_why(environ=environ)


@given(data=st.binary(max_size=200) | TEXT.map(str.encode))
@settings(max_examples=count(60, 20), deadline=None)
def test_any_file_is_a_configuration_or_an_error_in_words(data: bytes, tmp_path_factory: Any) -> None:
    path: Path = tmp_path_factory.mktemp("config") / "botdock.toml"
    path.write_bytes(data)
    _loads_or_says_why(path=path)


def _loads_or_says_why(path: Path = Path(os.devnull), environ: Any = None, overrides: Any = None) -> None:
    environ = {name: text for name, text in (environ or {}).items() if name != "BOTDOCK_CONFIG"}
    problems: tuple[str, ...] = ()
    try:
        config = Config.load(path, environ=environ, overrides=overrides, plugins=INSTALLED)
    except ConfigError as error:
        problems = error.problems
    assert problems or tomllib.loads(to_toml(document(config))) is not None
    assert all(": " in problem and "\n" not in problem for problem in problems)
