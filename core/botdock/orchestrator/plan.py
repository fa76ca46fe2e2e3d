"""What is to run, and what it may use: what the caller, the code's manifest, the configuration and the policy say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from botdock.config import Ceiling, Config, Policies, RuntimeConfig
from botdock.config.sections import TIMES
from botdock.errors import ExecutableError, PolicyError
from botdock.model import DEFAULT_LIMITS, Executable, ImageInfo, Limits, RestartPolicy, Runtime
from botdock.model.restart import RestartOn
from botdock.services.code import Manifest, detect_runtime, read_manifest

if TYPE_CHECKING:
    from botdock.orchestrator.preparation import Setting
    from botdock.orchestrator.run import Run
    from botdock.services.interfaces import Code, Containers, Entrypoints

BUILT_IN = RuntimeConfig()


class Source(StrEnum):
    """Who set a bound."""

    CALLER = "caller"
    MANIFEST = "manifest"
    CONFIGURATION = "configuration"
    DEFAULT = "default"
    POLICY = "policy"
    CODE = "code"
    """Found in the code, which does not say so itself; of no bound."""


@attrs.frozen(kw_only=True)
class Bound:
    """One bound of an execution.

    Attributes:
        value: A limit, the seconds of the wall time, the name of the network or the restart policy; None for no bound.
        source: Who set it. `default` is botdock's own, also where the configuration says the same.
        asked: What the code's manifest asked for and did not get, since it was more; None where it was not.
        file: The operator's file, where its policy set it; else empty.
    """

    value: Any
    source: Source = attrs.field(converter=Source)
    asked: float | str | None = None
    file: str = ""

    def within(self, ceiling: float | None, source: Source, *, file: str = "") -> Bound:
        """Return the tighter of this bound and another one's value; None bounds nothing."""
        if ceiling is None or not (self.value is None or ceiling < self.value):
            return self
        return Bound(value=ceiling, source=source, file=file)


@attrs.frozen(kw_only=True)
class Bounds:
    """The bounds of one execution.

    Attributes:
        limits: No limit is None; of an execution whose record is damaged, all are.
        timeout: Wall time in seconds, or None for no bound.
        start_timeout: Seconds from its start to its first output, or None for no bound.
        silence_timeout: The longest time without output in seconds, or None for no bound.
        network: Name of the engine's network.
        keeps_newest: Whether the oldest output makes room for the newest; else too much output ends the bot.
        sources: The same with their sources, by name: that of a limit, `timeout`, `network` or `restart`.
    """

    limits: Limits = attrs.field(factory=Limits)
    timeout: float | None = None
    start_timeout: float | None = None
    silence_timeout: float | None = None
    network: str = ""
    keeps_newest: bool = False
    sources: Mapping[str, Bound] = attrs.field(factory=dict)

    def evidence(self) -> dict[str, dict[str, Any]]:
        """Return each bound with its source, for a result."""
        told = {name: {"value": bound.value, "source": bound.source} for name, bound in self.sources.items()}
        for name, bound in self.sources.items():
            if bound.asked is not None:
                told[name]["asked"] = bound.asked
            if bound.file:
                told[name]["file"] = bound.file
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


def recognise(
    run: Run,
    setting: Setting,
    *,
    code: Code,
    entrypoints: Entrypoints,
    containers: Containers | None,
    tolerate: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Plan:
    """Find out runtime, script and image, and tighten the limits, now that the code's own manifest can be read.

    Args:
        run: The run, whose code is in its workspace, and in whose request nothing is refused.
        setting: That of its runner.
        code: Knows where the script is.
        entrypoints: Know the runtimes, and which images are allowed.
        containers: Know whether the engine has images; None where it does not answer.
        tolerate: What is refused passes through it: one that keeps it lets all be found that would be refused.

    Raises:
        UserError: The code cannot be run, or asks for what the policy does not allow.
        CapabilityError: It asks for an image, and the engine has none.
    """
    tree, executable = run.workspace.code, run.executable
    manifest = read_manifest(tree)
    scripts = {**(manifest.entrypoints if manifest else {}), **executable.entrypoint_files}
    named_script = scripts.get(executable.entrypoint) or run.workspace.script or None
    if manifest:
        run.bounds = held_bounds(
            executable, setting.config, setting.policies, defaults=setting.limits, manifest=manifest
        )
    if named := executable.runtime or (manifest.runtime if manifest else None):
        runtime = entrypoints.validate_runtime(named)
    else:
        known = [entrypoints.validate_runtime(name) for name in entrypoints.get_supported_runtimes()]
        runtime = detect_runtime(tree, executable.entrypoint, known, named_script)
    with tolerate():
        setting.policies.check_runtime(runtime)
    if executable.env or executable.secrets:
        with tolerate():
            check_variables(runtime, executable)
    wish, source = executable.image or "", ""
    if not wish and manifest and manifest.image:
        wish, source = manifest.image, manifest.source
    # a check knows the language as the runtime's own image has it
    checked = attrs.evolve(runtime, check=lambda *_: ()) if wish else runtime
    script = reference = ""
    with tolerate():
        script = code.validate_code_structure(tree, checked, executable.entrypoint, named_script)
    with tolerate():
        if wish:
            reference = allowed_image(wish, entrypoints, containers, source=source)
        else:
            reference = entrypoints.get_docker_image(runtime.name)
    return Plan(runtime=runtime, script=script, image=ImageInfo(reference=reference))


def allowed_image(image: str, entrypoints: Entrypoints, containers: Containers | None, *, source: str = "") -> str:
    """Return what the engine is to be asked for where the caller, or a manifest, names an image.

    Args:
        image: The name.
        entrypoints: Know what is allowed.
        containers: Know whether the engine has images; None where it does not answer.
        source: The manifest that names it; empty for the caller.

    Raises:
        CapabilityError: The engine has no images.
        PolicyError: The policy does not allow it.
    """
    if containers is not None:
        containers.check_image(image, source=source)
    return entrypoints.get_allowed_image(image, source=source)


def bounds_of(
    executable: Executable, config: Config, policies: Policies, *, defaults: Limits, manifest: Manifest | None = None
) -> Bounds:
    """Return the bounds of an execution.

    What the caller names holds, within the policy. What the caller leaves open is the configuration's, within the
    policy, and there the code's manifest, which a stranger wrote, can only tighten it.

    Args:
        executable: What the caller wants to be run.
        config: Whose `runtime` has the defaults.
        policies: What callers may ask for.
        defaults: Limits of the engine where the caller names none.
        manifest: The code's manifest, which asks for limits and restarts.

    Raises:
        PolicyError: The caller asks for more than the policy allows.
    """
    for breach in breaches(executable, config, policies):
        raise breach
    return held_bounds(executable, config, policies, defaults=defaults, manifest=manifest)


def breaches(executable: Executable, config: Config, policies: Policies) -> Iterator[PolicyError]:
    """Yield each way in which a caller asks for more than the policies allow."""
    bounds = {**executable.limits.given(), **{name: getattr(executable, name) for name in TIMES}}
    variables = {*executable.env, *executable.secrets}
    for check in (
        *([partial(policies.check_variables, variables)] if variables else []),
        *(partial(policies.check_bound, name, wanted) for name, wanted in bounds.items() if wanted is not None),
        partial(policies.check_network, executable.network or config.runtime.network),
        *([partial(policies.check_restart, executable.restart)] if executable.restart else []),
    ):
        try:
            check()
        except PolicyError as error:
            yield error


def held_bounds(
    executable: Executable, config: Config, policies: Policies, *, defaults: Limits, manifest: Manifest | None = None
) -> Bounds:
    """Return what `bounds_of` does, of a request without breaches."""
    asked = manifest.limits if manifest else Limits()
    sources: dict[str, Bound] = {}
    for name in attrs.fields_dict(Limits):
        wanted, default, builtin = (getattr(said, name) for said in (executable.limits, defaults, DEFAULT_LIMITS))
        held = _held(wanted, default, builtin, policies.ceiling(name))
        if wanted is None and (more := getattr(asked, name)):
            tighter = held.within(more, Source.MANIFEST)
            held = attrs.evolve(held, asked=more) if tighter is held and more > held.value else tighter
        sources[name] = held
    endless = executable.is_long_running
    for name in TIMES:
        none = endless and name == "timeout"
        ours, builtin = (None if none else getattr(section, name) or None for section in (config.runtime, BUILT_IN))
        sources[name] = _held(getattr(executable, name), ours, builtin, policies.ceiling(name))
    sources["network"] = _held(executable.network or None, config.runtime.network, BUILT_IN.network, None)
    sources["restart"] = Bound(value=RestartOn.NO.value, source=Source.DEFAULT)
    if executable.restart is not None:
        sources["restart"] = Bound(value=str(executable.restart), source=Source.CALLER)
    elif manifest and manifest.restart:
        sources["restart"] = _restart_of(manifest.restart, policies)
    return Bounds(
        limits=Limits(**{name: sources[name].value for name in attrs.fields_dict(Limits)}),
        **{name: sources[name].value for name in (*TIMES, "network")},
        keeps_newest=endless,
        sources=sources,
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


def _held(wanted: Any, default: Any, builtin: Any, ceiling: Ceiling | None) -> Bound:
    """Return the bound that holds before a manifest is read."""
    if wanted is not None:
        return Bound(value=wanted, source=Source.CALLER)
    held = Bound(value=default, source=Source.DEFAULT if default == builtin else Source.CONFIGURATION)
    return held.within(ceiling.value, Source.POLICY, file=ceiling.file) if ceiling else held


def _restart_of(asked: RestartPolicy, policies: Policies) -> Bound:
    """Return the restart policy that a manifest asks for, as far as the operator lets it."""
    held, file = policies.restart_of_manifest(asked)
    if held == asked:
        return Bound(value=str(held), source=Source.MANIFEST)
    return Bound(value=str(held), source=Source.POLICY, asked=str(asked), file=file)
