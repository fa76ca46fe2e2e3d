"""What one execution may use, and who says so: the caller, the code's manifest, the configuration or the policy."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs

from botdock.config import Config, RuntimeConfig
from botdock.errors import PolicyError, nearest
from botdock.model import DEFAULT_LIMITS, Executable, Limits, Runtime


class Source(StrEnum):
    """Who set a bound."""

    CALLER = "caller"
    MANIFEST = "manifest"
    CONFIGURATION = "configuration"
    DEFAULT = "default"
    POLICY = "policy"


@attrs.frozen(kw_only=True)
class Bound:
    """One bound of an execution.

    Attributes:
        value: A limit, the seconds of the wall time or the name of the network; None for no bound.
        source: Who set it. `default` is botdock's own, be it that the configuration says the same.
        asked: What the code's manifest asked for and did not get, since it was more; None where it was not.
    """

    value: Any
    source: Source = attrs.field(converter=Source)
    asked: float | None = None

    def within(self, ceiling: float | None, source: Source) -> Bound:
        """Return the tighter of this bound and another one's value; None bounds nothing."""
        if ceiling is None or not (self.value is None or ceiling < self.value):
            return self
        return Bound(value=ceiling, source=source)


@attrs.frozen(kw_only=True)
class Allowance:
    """The bounds of one execution, complete.

    Attributes:
        limits: No limit is None.
        timeout: Wall time in seconds, or None for no bound.
        network: Name of the engine's network.
        bounds: The same with their sources, by name: that of a limit, `timeout` or `network`.
    """

    limits: Limits
    timeout: float | None
    network: str
    bounds: Mapping[str, Bound] = attrs.field(factory=dict)

    def evidence(self) -> dict[str, dict[str, Any]]:
        """Return each bound with its source, for a result."""
        return {
            name: attrs.asdict(bound, filter=lambda field, value: field.name != "asked" or value is not None)
            for name, bound in self.bounds.items()
        }


def allowance(executable: Executable, config: Config, *, defaults: Limits, manifest: Limits | None = None) -> Allowance:
    """Settle the bounds of an execution.

    What the caller names holds, within the policy. What the caller leaves open is the configuration's, within the
    policy, and there the code's manifest, which a stranger wrote, can only tighten it.

    Args:
        executable: What the caller wants to be run.
        config: Whose `runtime` has the defaults and whose `policy` the bounds.
        defaults: Limits of the engine for what nobody names.
        manifest: Limits that the code's manifest asks for.

    Raises:
        PolicyError: The caller asks for more than the policy allows.
    """
    asked, ceilings = manifest or Limits(), config.policy.max_limits
    limits = {
        name: _limit(name, *(getattr(said, name) for said in (executable.limits, asked, defaults, ceilings)))
        for name in attrs.fields_dict(Limits)
    }
    timeout, network = _timeout(executable, config), _network(executable, config)
    return Allowance(
        limits=Limits(**{name: bound.value for name, bound in limits.items()}),
        timeout=timeout.value,
        network=network.value,
        bounds={**limits, "timeout": timeout, "network": network},
    )


def check_runtime(runtime: Runtime, config: Config) -> None:
    """Refuse a runtime that the policy does not list, by its name or one of its aliases.

    Raises:
        PolicyError: Naming those that it lists.
    """
    allowed = config.policy.runtimes
    if allowed and not any(map(runtime.knows, allowed)):
        raise PolicyError(
            f"runtime {runtime.name!r} is not allowed here; allowed: {', '.join(allowed)}", setting="policy.runtimes"
        )


def _limit(name: str, wanted: float | None, asked: float | None, default: float | None, ceiling: float | None) -> Bound:
    if wanted is not None:
        return _of_caller(f"limits.{name}", wanted, ceiling, f"policy.max_limits.{name}")
    held = _configured(default, getattr(DEFAULT_LIMITS, name)).within(ceiling, Source.POLICY)
    found = held.within(asked, Source.MANIFEST)
    return attrs.evolve(held, asked=asked) if found is held and asked and asked > held.value else found


def _of_caller(name: str, wanted: float, ceiling: float | None, setting: str, unit: str = "") -> Bound:
    if ceiling is not None and wanted > ceiling:
        raise PolicyError(
            f"{name}: {wanted}{unit} is more than the {ceiling}{unit} that the policy allows", setting=setting
        )
    return Bound(value=wanted, source=Source.CALLER)


def _configured(value: Any, default: Any) -> Bound:
    return Bound(value=value, source=Source.DEFAULT if value == default else Source.CONFIGURATION)


def _timeout(executable: Executable, config: Config) -> Bound:
    ceiling = config.policy.max_timeout or None
    if executable.timeout is not None:
        return _of_caller("timeout", executable.timeout, ceiling, "policy.max_timeout", " s")
    if executable.is_long_running:
        return Bound(value=None, source=Source.DEFAULT).within(ceiling, Source.POLICY)
    return _configured(config.runtime.timeout, RuntimeConfig().timeout).within(ceiling, Source.POLICY)


def _network(executable: Executable, config: Config) -> Bound:
    network = executable.network or config.runtime.network
    if network in config.policy.networks:
        named = executable.network
        return Bound(value=named, source=Source.CALLER) if named else _configured(network, RuntimeConfig().network)
    allowed = ", ".join(config.policy.networks) or "none at all"
    near = nearest(network, config.policy.networks)
    meant = f"; did you mean {near[0]}?" if near else ""
    raise PolicyError(f"network {network!r} is not allowed; allowed: {allowed}{meant}", setting="policy.networks")
