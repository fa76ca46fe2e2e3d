"""Of several policies each must allow what is asked for; so a caller's own can only tighten an operator's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock import Config, PluginManager
from botdock.config import Policies, Policy
from botdock.config.operator import OperatorFile
from botdock.config.policies import Ceiling
from botdock.config.sources import Layer
from botdock.errors import PolicyError
from botdock.model import Limits, RestartPolicy
from botdock.model.limits import MIB

RUNTIMES = PluginManager.load().runtimes()


def test_the_stricter_of_two_policies_holds_field_by_field() -> None:
    theirs: dict[str, Any] = {
        "networks": ("none", "a"),
        "max_limits": Limits(memory=64 * MIB, pids=9),
        "max_timeout": 60.0,
    }
    ours: dict[str, Any] = {
        "networks": ("none", "b"),
        "max_limits": Limits(memory=32 * MIB, cpus=1.0),
        "max_timeout": 90.0,
    }
    policies = both(Policy(**ours), Policy(**theirs, unenforced={"docker": ("swap", "pids")}, variables=("APP_*",)))
    assert policies.ceiling("memory") == Ceiling(value=32 * MIB, setting="policy.max_limits.memory")
    assert policies.ceiling("pids") == Ceiling(value=9, setting="policy.max_limits.pids", file="/p")
    assert policies.ceiling("timeout") == Ceiling(value=60, setting="policy.max_timeout", file="/p")
    assert policies.ceiling("output") is None
    policies.check_network("none")
    for network in ("a", "b"):
        with pytest.raises(PolicyError):
            policies.check_network(network)
    assert policies.unenforced_on("docker") == ()
    policies.check_variables(["APP_KEY"])
    with pytest.raises(PolicyError, match=r"KEY may not be set here; allowed: APP_\*"):
        policies.check_variables(["APP_KEY", "KEY"])


def both(own: Policy, theirs: Policy) -> Policies:
    file = OperatorFile(
        path="/p", runtime=Config().runtime, policy=theirs, options={}, layer=Layer(data={}, source="/p")
    )
    return Policies(own, [file])


NAMES = st.lists(st.sampled_from(["none", "a", "b", "c*", "*"]), max_size=3).map(tuple)
RESTARTS = ("no", "on-failure:2", "on-failure:5", "on-failure", "always")
RESTART = st.sampled_from(RESTARTS)
POLICIES = st.builds(
    Policy,
    networks=NAMES,
    max_limits=st.builds(Limits, memory=st.none() | st.integers(8 * MIB, 9 * MIB), pids=st.none() | st.integers(1, 9)),
    max_timeout=st.sampled_from([0.0, 1.0, 2.0]),
    max_start_timeout=st.sampled_from([0.0, 1.0, 2.0]),
    max_silence_timeout=st.sampled_from([0.0, 1.0, 2.0]),
    engines=NAMES,
    runtimes=NAMES,
    max_restart=RESTART,
    manifest_restart=RESTART,
    images=st.lists(st.sampled_from(["a", "b/*", "**", "b/x:1"]), max_size=2).map(tuple),
    local_code=st.booleans(),
    variables=NAMES,
    refused_variables=NAMES,
    loader_variables=st.sampled_from([(), ("LD_PRELOAD",), ("LD_AUDIT", "LD_PRELOAD")]),
    unenforced=st.dictionaries(st.just("docker"), st.sampled_from([(), ("swap",), ("pids", "swap")])),
)


def allowed(policies: Policies) -> set[object]:
    """Return all that policies allow, of what is tried."""
    scales = {"memory": MIB, "pids": 1, "timeout": 1, "start_timeout": 1, "silence_timeout": 1}
    found: set[object] = {("bound", name, n) for name in scales for n in range(11)}
    for name, scale in scales.items():
        ceiling = policies.ceiling(name)
        found -= {("bound", name, n) for n in range(11) if ceiling and n * scale > ceiling.value}
    checks: dict[object, Callable[[], object]] = {"code": lambda: policies.check_local_code("it")}
    for name in ("none", "a", "b"):
        checks["network", name] = partial(policies.check_network, name)
        checks["engine", name] = partial(policies.check_engine, name)
    for name, runtime in RUNTIMES.items():
        checks["runtime", name] = partial(policies.check_runtime, runtime)
    for name in ("a", "c1", "LD_PRELOAD"):
        checks["variable", name] = partial(policies.check_variables, [name])
    for name in ("a", "b/x:1", "b/y", "own", "mine:1", "sha256:" + "a" * 64):
        checks["image", name] = partial(policies.check_image, name, configured=["mine:1"], builtin=["own"])
    for restart in RESTARTS:
        checks["restart", restart] = partial(policies.check_restart, RestartPolicy.parse(restart))
    for asked, check in checks.items():
        with suppress(PolicyError):
            check()
            found.add(asked)
    restarts = {("of a manifest", restart) for restart in map(RestartPolicy.parse, RESTARTS)}
    found |= {(kind, policy) for kind, policy in restarts if policies.restart_of_manifest(policy)[0] == policy}
    return found | {("unenforced", name) for name in policies.unenforced_on("docker")}


@given(own=POLICIES, theirs=POLICIES)
def test_no_policy_of_a_caller_allows_more_than_the_operator(own: Policy, theirs: Policy) -> None:
    found = allowed(both(own, theirs))
    operators = allowed(both(attrs.evolve(own, **_OPEN), theirs))
    assert found <= operators
    assert found <= allowed(Policies(own))


_OPEN: dict[str, Any] = {
    "networks": ("none", "a", "b"),
    "max_limits": Limits(),
    "max_timeout": 0.0,
    "max_start_timeout": 0.0,
    "max_silence_timeout": 0.0,
    "engines": (),
    "runtimes": (),
    "images": ("**",),
    "local_code": True,
    "max_restart": "always",
    "manifest_restart": "always",
    "variables": ("*",),
    "refused_variables": (),
    "loader_variables": ("LD_AUDIT", "LD_PRELOAD"),
    "unenforced": {"docker": ("pids", "swap")},
}


def test_all_that_a_policy_can_say_is_known_here() -> None:
    """A field that is added must be decided by `Policies`, and taken into the test above."""
    assert set(_OPEN) == set(attrs.fields_dict(Policy))
