"""What is to run, and what it may use: what the caller, the code's manifest, the configuration and the policy say."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from botdock.config import Config, RuntimeConfig
from botdock.errors import ExecutableError, PolicyError, nearest
from botdock.model import DEFAULT_LIMITS, Executable, ImageInfo, Limits, RestartPolicy, Runtime
from botdock.services.code import Manifest, detect_runtime, read_manifest

if TYPE_CHECKING:
    from botdock.orchestrator.preparation import Services, Setting
    from botdock.orchestrator.run import Run

BUILT_IN = RuntimeConfig()
LOADER_VARIABLES = frozenset({"LD_AUDIT", "LD_PRELOAD"})
"""By these the dynamic loader takes further code into each program."""


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
        value: A limit, the seconds of the wall time, the name of the network or the restart policy; None for no bound.
        source: Who set it. `default` is botdock's own, also where the configuration says the same.
        asked: What the code's manifest asked for and did not get, since it was more; None where it was not.
    """

    value: Any
    source: Source = attrs.field(converter=Source)
    asked: float | str | None = None

    def within(self, ceiling: float | None, source: Source) -> Bound:
        """Return the tighter of this bound and another one's value; None bounds nothing."""
        if ceiling is None or not (self.value is None or ceiling < self.value):
            return self
        return Bound(value=ceiling, source=source)


@attrs.frozen(kw_only=True)
class Bounds:
    """The bounds of one execution.

    Attributes:
        limits: No limit is None; of an execution whose record is damaged, all are.
        timeout: Wall time in seconds, or None for no bound.
        network: Name of the engine's network.
        keeps_newest: Whether the oldest output makes room for the newest; else too much output ends the bot.
        sources: The same with their sources, by name: that of a limit, `timeout`, `network` or `restart`.
    """

    limits: Limits = attrs.field(factory=Limits)
    timeout: float | None = None
    network: str = ""
    keeps_newest: bool = False
    sources: Mapping[str, Bound] = attrs.field(factory=dict)

    def evidence(self) -> dict[str, dict[str, Any]]:
        """Return each bound with its source, for a result."""
        told = {name: {"value": bound.value, "source": bound.source} for name, bound in self.sources.items()}
        for name, bound in self.sources.items():
            if bound.asked is not None:
                told[name]["asked"] = bound.asked
        return told


@attrs.frozen(kw_only=True)
class Plan:
    """What the code tells of its run, once it has been read.

    Attributes:
        runtime: Its language.
        script: The script that is run.
        image: The image; its reference alone until it is there.
    """

    runtime: Runtime
    script: str
    image: ImageInfo = attrs.field(factory=lambda: ImageInfo(reference=""))


def recognise(run: Run, services: Services, setting: Setting) -> Plan:
    """Find out runtime, script and image, and tighten the limits, now that the code's own manifest can be read.

    Raises:
        UserError: The code cannot be run, or asks for what the policy does not allow.
        CapabilityError: It asks for an image, and the engine has none.
    """
    tree, executable = run.workspace.code, run.executable
    manifest = read_manifest(tree)
    scripts = {**(manifest.entrypoints if manifest else {}), **executable.entrypoint_files}
    named_script = scripts.get(executable.entrypoint) or run.workspace.script or None
    runtime = _runtime_of(tree, executable, manifest, named_script, services)
    check_runtime(runtime, setting.config)
    check_variables(runtime, executable)
    if manifest:
        run.bounds = bounds_of(
            executable, setting.config, defaults=setting.limits, manifest=manifest.limits, restart=manifest.restart
        )
    image = _named_image(executable, manifest, services)
    # a check knows the language as the runtime's own image has it
    checked = attrs.evolve(runtime, check=lambda *_: ()) if image else runtime
    script = services.code.validate_code_structure(tree, checked, executable.entrypoint, named_script)
    reference = image or services.entrypoints.get_docker_image(runtime.name)
    return Plan(runtime=runtime, script=script, image=ImageInfo(reference=reference))


def allowed_image(image: str, services: Services, *, source: str = "") -> str:
    """Return what the engine is to be asked for where the caller, or a manifest, names an image.

    Args:
        image: The name.
        services: Know what is allowed, and whether the engine has images.
        source: The manifest that names it; empty for the caller.

    Raises:
        CapabilityError: The engine has no images.
        PolicyError: The policy does not allow it.
    """
    services.containers.check_image(image, source=source)
    return services.entrypoints.get_allowed_image(image, source=source)


def _named_image(executable: Executable, manifest: Manifest | None, services: Services) -> str:
    if executable.image:
        return allowed_image(executable.image, services)
    if manifest and manifest.image:
        return allowed_image(manifest.image, services, source=manifest.source)
    return ""


def _runtime_of(
    tree: Path, executable: Executable, manifest: Manifest | None, script: str | None, services: Services
) -> Runtime:
    entrypoints = services.entrypoints
    if named := executable.runtime or (manifest.runtime if manifest else None):
        return entrypoints.validate_runtime(named)
    known = [entrypoints.validate_runtime(name) for name in entrypoints.get_supported_runtimes()]
    return detect_runtime(tree, executable.entrypoint, known, script)


def bounds_of(
    executable: Executable,
    config: Config,
    *,
    defaults: Limits,
    manifest: Limits | None = None,
    restart: RestartPolicy | None = None,
) -> Bounds:
    """Return the bounds of an execution.

    What the caller names holds, within the policy. What the caller leaves open is the configuration's, within the
    policy, and there the code's manifest, which a stranger wrote, can only tighten it.

    Args:
        executable: What the caller wants to be run.
        config: Whose `runtime` has the defaults and whose `policy` the bounds.
        defaults: Limits of the engine where the caller names none.
        manifest: Limits that the code's manifest asks for.
        restart: The restart policy that it asks for.

    Raises:
        PolicyError: The caller asks for more than the policy allows.
    """
    _check_loader(executable, config)
    policy, asked = config.policy, manifest or Limits()
    sources: dict[str, Bound] = {}
    for name in attrs.fields_dict(Limits):
        wanted, default, ceiling = (getattr(said, name) for said in (executable.limits, defaults, policy.max_limits))
        held = _held(
            wanted, default, getattr(DEFAULT_LIMITS, name), ceiling, name=f"limits.{name}", setting="policy.max_limits."
        )
        if wanted is None and (more := getattr(asked, name)):
            tighter = held.within(more, Source.MANIFEST)
            held = attrs.evolve(held, asked=more) if tighter is held and more > held.value else tighter
        sources[name] = held
    endless = executable.is_long_running
    ours, builtin = (None if endless else section.timeout for section in (config.runtime, BUILT_IN))
    sources["timeout"] = _held(
        executable.timeout, ours, builtin, policy.max_timeout or None, name="timeout", setting="policy.max_"
    )
    sources["network"] = _network(executable.network, config)
    sources["restart"] = _restart(executable.restart, restart, config)
    return Bounds(
        limits=Limits(**{name: sources[name].value for name in attrs.fields_dict(Limits)}),
        timeout=sources["timeout"].value,
        network=sources["network"].value,
        keeps_newest=endless,
        sources=sources,
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


def check_variables(runtime: Runtime, executable: Executable) -> None:
    """Refuse variables that would keep a runtime from doing its part.

    Raises:
        ExecutableError: Naming each of them.
    """
    refused = runtime.refused_variables
    if problems := [
        f"{field}: {name} cannot be set: {refused[name]}"
        for field, variables in (("env", executable.env), ("secrets", executable.secrets))
        for name in sorted(variables.keys() & refused.keys())
    ]:
        raise ExecutableError(problems)


def _check_loader(executable: Executable, config: Config) -> None:
    asked = LOADER_VARIABLES & {*executable.env, *executable.secrets}
    if refused := sorted(asked.difference(config.policy.loader_variables)):
        raise PolicyError(
            f"{', '.join(refused)} lets the loader bring other code into the bot's interpreter, "
            "which is not allowed here",
            setting="policy.loader_variables",
        )


def _held(
    wanted: float | None,
    default: float | None,
    builtin: float | None,
    ceiling: float | None,
    *,
    name: str,
    setting: str,
) -> Bound:
    """Return the bound that holds before a manifest is read."""
    if wanted is None:
        source = Source.DEFAULT if default == builtin else Source.CONFIGURATION
        return Bound(value=default, source=source).within(ceiling, Source.POLICY)
    if ceiling is not None and wanted > ceiling:
        unit = " s" if name == "timeout" else ""
        raise PolicyError(
            f"{name}: {wanted}{unit} is more than the {ceiling}{unit} that the policy allows",
            setting=f"{setting}{name.removeprefix('limits.')}",
        )
    return Bound(value=wanted, source=Source.CALLER)


def _restart(wanted: RestartPolicy | None, asked: RestartPolicy | None, config: Config) -> Bound:
    """Return the restart policy: a manifest's counts where the caller says nothing, as far as the operator lets it."""
    ceiling = RestartPolicy.parse(config.policy.max_restart)
    if wanted is not None:
        if wanted.within(ceiling) != wanted:
            raise PolicyError(
                f"restart: '{wanted}' is more than the '{ceiling}' that the policy allows", setting="policy.max_restart"
            )
        return Bound(value=str(wanted), source=Source.CALLER)
    if asked is None:
        return Bound(value=str(RestartPolicy()), source=Source.DEFAULT)
    held = asked.within(RestartPolicy.parse(config.policy.manifest_restart)).within(ceiling)
    if held == asked:
        return Bound(value=str(held), source=Source.MANIFEST)
    return Bound(value=str(held), source=Source.POLICY, asked=str(asked))


def _network(wanted: str | None, config: Config) -> Bound:
    network, allowed = wanted or config.runtime.network, config.policy.networks
    if network in allowed:
        ours = Source.DEFAULT if network == BUILT_IN.network else Source.CONFIGURATION
        return Bound(value=network, source=Source.CALLER if wanted else ours)
    near = nearest(network, allowed)
    meant = f"; did you mean {near[0]}?" if near else ""
    raise PolicyError(
        f"network {network!r} is not allowed; allowed: {', '.join(allowed) or 'none at all'}{meant}",
        setting="policy.networks",
    )
