"""What one execution may use: what it asks for, what the configuration gives, what the policy allows."""

from __future__ import annotations

import attrs

from botdock.config import Config
from botdock.errors import PolicyError, nearest
from botdock.model import Executable, Limits


@attrs.frozen(kw_only=True)
class Allowance:
    """The bounds of one execution, complete.

    Attributes:
        limits: No limit is None.
        timeout: Wall time in seconds, or None for no bound.
        network: Name of the engine's network.
    """

    limits: Limits
    timeout: float | None
    network: str


def allowance(executable: Executable, config: Config, *, defaults: Limits, manifest: Limits | None = None) -> Allowance:
    """Settle the bounds of an execution.

    What the executable says wins over its code's manifest, and that over the configuration; all of it must lie
    within the policy.

    Args:
        executable: What is to be run.
        config: Whose `runtime` has the defaults and whose `policy` the bounds.
        defaults: Limits of the engine for what nobody names.
        manifest: Limits that the code's manifest asks for.

    Raises:
        PolicyError: It asks for more than the policy allows.
    """
    limits = executable.limits.over((manifest or Limits()).over(defaults))
    _check_limits(limits, config.policy.max_limits)
    return Allowance(limits=limits, timeout=_timeout(executable, config), network=_network(executable, config))


def check_runtime(name: str, config: Config) -> None:
    """Refuse a runtime that the policy does not list.

    Raises:
        PolicyError: Naming those that it lists.
    """
    allowed = config.policy.runtimes
    if allowed and name not in allowed:
        raise PolicyError(
            f"runtime {name!r} is not allowed here; allowed: {', '.join(allowed)}", setting="policy.runtimes"
        )


def _check_limits(limits: Limits, bounds: Limits) -> None:
    for name, bound in bounds.given().items():
        wanted = limits.given()[name]
        if wanted > bound:
            raise PolicyError(
                f"limits.{name}: {wanted} is more than the {bound} that the policy allows",
                setting=f"policy.max_limits.{name}",
            )


def _timeout(executable: Executable, config: Config) -> float | None:
    bound = config.policy.max_timeout or None
    if executable.timeout is None:
        wanted = None if executable.is_long_running else config.runtime.timeout
        return wanted if bound is None else min(wanted or bound, bound)
    if bound is not None and executable.timeout > bound:
        raise PolicyError(
            f"timeout: {executable.timeout} s is more than the {bound} s that the policy allows",
            setting="policy.max_timeout",
        )
    return executable.timeout


def _network(executable: Executable, config: Config) -> str:
    network = executable.network or config.runtime.network
    if network in config.policy.networks:
        return network
    allowed = ", ".join(config.policy.networks) or "none at all"
    near = nearest(network, config.policy.networks)
    meant = f"; did you mean {near[0]}?" if near else ""
    raise PolicyError(f"network {network!r} is not allowed; allowed: {allowed}{meant}", setting="policy.networks")
