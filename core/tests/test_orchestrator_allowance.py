"""What an execution may use."""

from typing import Any

import pytest

from botdock.config import Config, Policy, RuntimeConfig
from botdock.errors import PolicyError
from botdock.model import DEFAULT_LIMITS, Executable, Limits
from botdock.model.limits import MIB
from botdock.orchestrator.allowance import Allowance, allowance, check_runtime


def settle(executable: Executable, *, manifest: Limits | None = None, **policy: Any) -> Allowance:
    config = Config(policy=Policy(**policy), runtime=RuntimeConfig(timeout=60))
    return allowance(executable, config, defaults=DEFAULT_LIMITS, manifest=manifest)


def bot(**fields: Any) -> Executable:
    return Executable(id="bot", **fields)


def test_the_executable_wins_over_its_manifest_and_that_over_the_defaults() -> None:
    found = settle(bot(limits=Limits(pids=7)), manifest=Limits(pids=8, memory=64 * MIB))
    assert (found.limits.pids, found.limits.memory) == (7, 64 * MIB)
    assert found.limits.output == DEFAULT_LIMITS.output


@pytest.mark.parametrize("where", ["executable", "manifest"])
def test_nobody_gets_more_than_the_policy_allows(where: str) -> None:
    wish = Limits(pids=100)
    arguments: dict[str, Any] = {"manifest": wish} if where == "manifest" else {}
    executable = bot(limits=wish) if where == "executable" else bot()
    with pytest.raises(PolicyError, match=r"limits.pids: 100 is more than the 50") as caught:
        settle(executable, max_limits=Limits(pids=50), **arguments)
    assert caught.value.setting == "policy.max_limits.pids"


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
    assert settle(bot(**fields), **policy).timeout == timeout


def test_a_longer_wall_time_than_allowed_is_refused() -> None:
    with pytest.raises(PolicyError, match="timeout: 40"):
        settle(bot(timeout=40), max_timeout=30.0)


def test_a_network_must_be_allowed_by_name() -> None:
    assert settle(bot()).network == "none"
    assert settle(bot(network="feeds"), networks=("none", "feeds")).network == "feeds"
    with pytest.raises(PolicyError, match=r"'feedz' is not allowed; allowed: none, feeds; did you mean feeds\?"):
        settle(bot(network="feedz"), networks=("none", "feeds"))


def test_a_runtime_must_be_allowed_where_the_policy_lists_some() -> None:
    config = Config(policy=Policy(runtimes=("bash",)))
    check_runtime("bash", config)
    check_runtime("anything", Config())
    with pytest.raises(PolicyError, match="allowed: bash"):
        check_runtime("python311", config)
