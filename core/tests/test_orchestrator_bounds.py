"""What an execution may use."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.config import Config, Policies, Policy, RuntimeConfig
from botdock.errors import CodeError, ExecutableError, PolicyError
from botdock.model import DEFAULT_LIMITS, Executable, Limits, RestartPolicy, Runtime
from botdock.model.limits import MIB, RANGES
from botdock.orchestrator.plan import Bound, Bounds, Source, bounds_of, check_variables
from botdock.services.code.manifest import MANIFESTS, Manifest, read_manifest


def bounds_for(executable: Executable, **policy: Any) -> Bounds:
    config = Config(policy=Policy(**policy), runtime=RuntimeConfig(timeout=60))
    return bounds_of(executable, config, Policies(config.policy), defaults=DEFAULT_LIMITS)


def bot(**fields: Any) -> Executable:
    return Executable(id="bot", **fields)


def says(**fields: Any) -> Manifest:
    return Manifest(**fields, source="bot.toml")


def test_each_bound_says_who_set_it() -> None:
    config = Config(
        policy=Policy(networks=("none", "feeds"), max_limits=Limits(open_files=64), max_timeout=60),
        runtime=RuntimeConfig(network="feeds", silence_timeout=20),
    )
    defaults = Limits(cpus=2.0).over(DEFAULT_LIMITS)
    manifest = Limits(pids=8, memory=64 * MIB, output=2**40, tmpfs=DEFAULT_LIMITS.tmpfs, open_files=128)
    found = bounds_of(
        bot(limits=Limits(pids=9)), config, Policies(config.policy), defaults=defaults, manifest=says(limits=manifest)
    )
    assert found.sources == {
        "memory": Bound(value=64 * MIB, source=Source.MANIFEST),
        "cpus": Bound(value=2.0, source=Source.CONFIGURATION),
        "pids": Bound(value=9, source=Source.CALLER),
        "output": Bound(value=DEFAULT_LIMITS.output, source=Source.DEFAULT, asked=2**40),
        "open_files": Bound(value=64, source=Source.POLICY, asked=128),
        "file_size": Bound(value=DEFAULT_LIMITS.file_size, source=Source.DEFAULT),
        "tmpfs": Bound(value=DEFAULT_LIMITS.tmpfs, source=Source.DEFAULT),
        "result": Bound(value=DEFAULT_LIMITS.result, source=Source.DEFAULT),
        "timeout": Bound(value=60, source=Source.POLICY),
        "start_timeout": Bound(value=None, source=Source.DEFAULT),
        "silence_timeout": Bound(value=20, source=Source.CONFIGURATION),
        "network": Bound(value="feeds", source=Source.CONFIGURATION),
        "restart": Bound(value="no", source=Source.DEFAULT),
    }
    assert found.limits.given() == {name: found.sources[name].value for name in attrs.fields_dict(Limits)}
    evidence = found.evidence()
    assert evidence["output"] == {"value": 64 * MIB, "source": "default", "asked": 2**40}
    assert evidence["network"] == {"value": "feeds", "source": "configuration"}


def test_a_caller_gets_no_more_than_the_policy_allows() -> None:
    assert bounds_for(bot(limits=Limits(pids=500)), max_limits=Limits(pids=500)).limits.pids == 500
    with pytest.raises(PolicyError, match=r"limits.pids: 100 is more than the 50") as caught:
        bounds_for(bot(limits=Limits(pids=100)), max_limits=Limits(pids=50))
    assert caught.value.setting == "policy.max_limits.pids"


def limits(names: st.SearchStrategy[str]) -> st.SearchStrategy[Limits]:
    """Return limits of which any may be absent, often small ones and often the largest."""
    parts = st.dictionaries(names, st.floats(0, 1) | st.just(1.0))
    return parts.map(lambda chosen: Limits(**{name: _between(name, part) for name, part in chosen.items()}))


def _between(name: str, part: float) -> Any:
    low, high = RANGES[name]
    value = low * (high / low) ** part
    return value if name == "cpus" else min(int(value), int(high))


NAMES = st.sampled_from(sorted(RANGES))
WORDS = ["0", "-1", "1.5", "nan", "inf", "true", "9" * 30, '""', '"64TiB"', '"unlimited"', '"host"', "[]", "{}"]
WILD = st.sampled_from(WORDS)
MANIFEST = st.tuples(
    st.dictionaries(st.sampled_from(["timeout", "network", "image", "restart", "env", "user"]), WILD, max_size=1),
    limits(NAMES).map(lambda found: {name: str(value) for name, value in found.given().items()}),
    st.dictionaries(NAMES | st.sampled_from(["timeout", "swap"]), WILD, max_size=1),
).map(lambda parts: _toml(parts[0]) + "[limits]\n" + _toml({**parts[1], **parts[2]}))


def _toml(table: dict[str, str]) -> str:
    return "".join(f"{key} = {value}\n" for key, value in table.items())


@given(
    text=MANIFEST,
    name=st.sampled_from(sorted(MANIFESTS)),
    wanted=limits(NAMES),
    configured=limits(NAMES),
    ceilings=limits(NAMES),
    timeouts=st.tuples(st.none() | st.just(50.0), st.sampled_from([0.0, 70.0]), st.booleans()),
)
def test_no_manifest_makes_any_bound_larger(
    text: str, name: str, wanted: Limits, configured: Limits, ceilings: Limits, timeouts: tuple[Any, ...]
) -> None:
    timeout, longest, endless = timeouts
    executable = bot(limits=wanted, timeout=timeout, is_long_running=endless)
    config = Config(policy=Policy(max_limits=ceilings, max_timeout=longest))
    policies = Policies(config.policy)
    defaults = configured.over(DEFAULT_LIMITS)
    with TemporaryDirectory() as folder:
        (Path(folder) / name).write_text(text)
        with suppress(CodeError):  # a manifest that is refused loosens nothing
            manifest = read_manifest(Path(folder))
            assert manifest is not None
            asked = manifest.limits.given()
            with suppress(PolicyError):  # the caller asks for too much
                without = bounds_of(executable, config, policies, defaults=defaults)
                found = bounds_of(executable, config, policies, defaults=defaults, manifest=manifest)
                assert (found.timeout, found.network) == (without.timeout, without.network)
                for limit, held in without.limits.given().items():
                    tightened = min(held, asked.get(limit, held))
                    assert found.limits.given()[limit] == (held if limit in wanted.given() else tightened)


def test_all_that_a_manifest_can_say_is_known_here() -> None:
    """A field that is added must be decided by `bounds_of`, and taken into the test above. Images have theirs."""
    labels, choices, bounds = {"name", "type", "source"}, {"runtime", "entrypoints", "image"}, {"limits", "restart"}
    assert set(attrs.fields_dict(Manifest)) == labels | choices | bounds


RESTARTS = ["no", "on-failure:1", "on-failure:3", "on-failure", "always"]
RESTART = st.sampled_from(RESTARTS)


@given(wanted=st.none() | RESTART, asked=st.none() | RESTART, ceiling=RESTART, for_manifests=RESTART)
def test_nothing_is_restarted_more_than_its_caller_or_the_operator_says(
    wanted: str | None, asked: str | None, ceiling: str, for_manifests: str
) -> None:
    config = Config(policy=Policy(max_restart=ceiling, manifest_restart=for_manifests))
    policies = Policies(config.policy)
    manifest = None if asked is None else RestartPolicy.parse(asked)
    with suppress(PolicyError):  # the caller asks for too much
        found = bounds_of(
            bot(restart=wanted), config, policies, defaults=DEFAULT_LIMITS, manifest=says(restart=manifest)
        ).sources["restart"]
        most = [ceiling, *([wanted] if wanted else [asked or "no", for_manifests])]
        assert found.value == min(most, key=RESTARTS.index)
        assert found.asked == (asked if wanted is None and asked not in {None, found.value} else None)


def test_a_caller_who_wants_more_restarts_than_the_policy_allows_is_refused() -> None:
    with pytest.raises(PolicyError, match="restart: 'always' is more than the 'on-failure:2' that") as caught:
        bounds_for(bot(restart="always"), max_restart="on-failure:2")
    assert caught.value.setting == "policy.max_restart"


@pytest.mark.parametrize(
    ("fields", "policy", "timeout"),
    [
        ({}, {}, 60),
        ({"timeout": 5}, {}, 5),
        ({"is_long_running": True}, {}, None),
        ({"is_long_running": True}, {"max_timeout": 100.0}, 100.0),
        ({}, {"max_timeout": 30.0}, 30.0),
        ({"is_long_running": True, "timeout": 9}, {}, 9),
    ],
)
def test_wall_time(fields: dict[str, Any], policy: dict[str, Any], timeout: float | None) -> None:
    assert bounds_for(bot(**fields), **policy).timeout == timeout


def test_the_other_times_are_bounded_in_the_same_way() -> None:
    found = bounds_for(bot(start_timeout=5, is_long_running=True), max_start_timeout=9, max_silence_timeout=7)
    assert (found.start_timeout, found.silence_timeout, found.timeout) == (5, 7, None)
    assert found.sources["silence_timeout"] == Bound(value=7, source=Source.POLICY)
    with pytest.raises(PolicyError, match=r"silence_timeout: 8 s is more than the 7.0 s") as caught:
        bounds_for(bot(silence_timeout=8), max_silence_timeout=7)
    assert caught.value.setting == "policy.max_silence_timeout"


def test_a_longer_wall_time_than_allowed_is_refused() -> None:
    with pytest.raises(PolicyError, match="timeout: 40"):
        bounds_for(bot(timeout=40), max_timeout=30.0)


def test_a_network_must_be_allowed_by_name() -> None:
    assert bounds_for(bot()).network == "none"
    assert bounds_for(bot(network="feeds"), networks=("none", "feeds")).network == "feeds"
    with pytest.raises(PolicyError, match=r"'feedz' is not allowed; allowed: none, feeds; did you mean feeds\?"):
        bounds_for(bot(network="feedz"), networks=("none", "feeds"))


@pytest.mark.parametrize("field", ["env", "secrets"])
def test_the_loader_brings_other_code_only_where_the_policy_says_so(field: str) -> None:
    asked = bot(**{field: {"LD_PRELOAD": "./own.so", "LD_LIBRARY_PATH": "lib"}})
    with pytest.raises(PolicyError, match="LD_PRELOAD lets the loader") as caught:
        bounds_for(asked, loader_variables=("LD_AUDIT",))
    assert caught.value.setting == "policy.loader_variables"
    bounds_for(asked, loader_variables=("LD_PRELOAD",))


def test_a_variable_that_a_runtime_cannot_have_is_refused_with_the_reason() -> None:
    fields: dict[str, Any] = {"image": "x", "interpreters": ("x",), "suffixes": (), "scripts": {}, "files": dict}
    picky = Runtime(name="x", refused_variables={"XINSPECT": "it would wait"}, startup_variables=("X*",), **fields)
    for field in ("env", "secrets"):
        with pytest.raises(ExecutableError) as caught:
            check_variables(picky, bot(**{field: {"XINSPECT": "1", "Y": ""}}))
        assert caught.value.problems == (f"{field}: XINSPECT cannot be set: it would wait",)
    names = ("YX", "XINSPECT", "LC_TIME", "LD_LIBRARY_PATH", "HOMES")
    assert picky.startup_names(names) == ("LC_TIME", "LD_LIBRARY_PATH", "XINSPECT")
    assert Runtime(name="x", **fields).startup_names(names) == ()


def test_a_runtime_must_be_allowed_where_the_policy_lists_some() -> None:
    bash, python = (
        Runtime(name=name, aliases=aliases, image="x", interpreters=("x",), suffixes=(), scripts={}, files=dict)
        for name, aliases in (("bash", ()), ("python311", ("python3.11",)))
    )
    policies = Policies(Policy(runtimes=("bash",)))
    policies.check_runtime(bash)
    Policies().check_runtime(python)
    Policies(Policy(runtimes=("Python3.11",))).check_runtime(python)
    with pytest.raises(PolicyError, match="'python311' is not allowed here; allowed: bash"):
        policies.check_runtime(python)
