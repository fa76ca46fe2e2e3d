"""An operator's file: what holds on this machine, whatever a caller's configuration says.

It has the sections `policy` and `runtime` of a botdock.toml: ceilings that callers can only tighten, and defaults where
they say nothing; the numbers of `code`, `logging` and `supervisor`, which are both at once; and the `options` of
engines, by which those isolate, and which callers cannot change. The machine's own lies at a fixed place and belongs to
root, so that no caller can change it, and nothing names another in its stead. Another one can be named besides: then
both bind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from botdock._ownership import fault_of
from botdock.config.converter import structure
from botdock.config.locations import POLICY_VARIABLE
from botdock.config.options import OPTIONS
from botdock.config.rules import LIMIT, TIGHTENS, InvalidDataError, Section, dotted, spelling
from botdock.config.sections import CodeConfig, LoggingConfig, Policy, RuntimeConfig, SupervisorConfig
from botdock.config.sources import Layer, name_of, parse_file, read_content
from botdock.errors import ConfigError, PolicyError

if TYPE_CHECKING:
    from botdock.config.config import Config

SYSTEM_FILE = Path("/etc/botdock/policy.toml")
"""The operator's file of this machine."""

_OPENING = frozenset({"networks", "images", "loader_variables", "manifest_restart", "unenforced"})
"""Settings of `policy` whose default allows little: what an operator allows more is a caller's default too."""
_BINDING = ("code", "logging", "supervisor")
"""Sections whose numbers are defaults and ceilings at once."""
_FLOORS = frozenset({"supervisor.backoff", "supervisor.max_backoff", "supervisor.stable"})
"""Settings of them of which less is more: sooner, and more often, is a bot started again."""


@attrs.frozen(kw_only=True)
class _Document(Section):
    runtime: RuntimeConfig = attrs.field(factory=RuntimeConfig)
    policy: Policy = attrs.field(factory=Policy)
    options: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    code: CodeConfig = attrs.field(factory=CodeConfig)
    logging: LoggingConfig = attrs.field(factory=LoggingConfig)
    supervisor: SupervisorConfig = attrs.field(factory=SupervisorConfig)


@attrs.frozen(kw_only=True)
class OperatorFile:
    """What stands in an operator's file.

    Attributes:
        path: Where it lies.
        runtime: Defaults.
        policy: Ceilings. What is not set has its default, as in a botdock.toml.
        options: Settings of engines, by their names.
        layer: The defaults as the lowest source of a configuration.
        bounds: By name such as `code.total_bytes`, the most that callers may set, or the least of what is a floor.
    """

    path: str
    runtime: RuntimeConfig
    policy: Policy
    options: Mapping[str, Mapping[str, Any]]
    layer: Layer
    bounds: Mapping[str, float] = attrs.field(factory=dict)


def read_operator_files(environ: Mapping[str, str]) -> tuple[OperatorFile, ...]:
    """Return the operator's file of this machine, and the one that BOTDOCK_POLICY names; where there are any.

    Raises:
        ConfigError: One is wrong, cannot be read, or others than its operator could write it: then nothing runs.
    """
    *others, last = [None, *map(_read, _files(environ))]
    if last is None:
        return ()
    files = (*filter(None, others), last)
    agreed = {section: dict(table) for section, table in last.layer.data.items()}
    for setting in {setting for one in files for setting in one.bounds}:
        section, name = setting.split(".")
        bounds = [one.bounds[setting] for one in files if setting in one.bounds]
        agreed.setdefault(section, {})[name] = max(bounds) if setting in _FLOORS else min(bounds)
    return (*files[:-1], attrs.evolve(last, layer=attrs.evolve(last.layer, data=agreed)))


def operator_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return where the operators' files lie that there are. Raises as `read_operator_files` does."""
    return tuple(_files(environ))


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    if fault := fault_of(SYSTEM_FILE, of_root=True):
        raise ConfigError([f"{fault}, so the policy {SYSTEM_FILE} is not to be believed"], hint=fault.remedy)
    if SYSTEM_FILE.exists():
        yield SYSTEM_FILE
    if named := environ.get(POLICY_VARIABLE):
        path = Path(named).absolute()
        if fault := fault_of(path):
            raise ConfigError([f"environment {POLICY_VARIABLE}: {fault}, so it is not read"], hint=fault.remedy)
        if not path.exists():
            raise ConfigError([f"environment {POLICY_VARIABLE}: {named}: there is no such file"])
        yield path


def _read(path: Path) -> OperatorFile:
    layer = parse_file(path, read_content(path))
    try:
        read = structure(layer.data, _Document)
    except InvalidDataError as error:
        raise ConfigError([f"{name_of([layer], problem.path)}: {problem.text}" for problem in error.problems]) from None
    opened = {key: value for key, value in layer.data.get("policy", {}).items() if key in _OPENING}
    said = {key: layer.data[key] for key in ("runtime", OPTIONS, *_BINDING) if key in layer.data}
    return OperatorFile(
        path=str(path),
        runtime=read.runtime,
        policy=read.policy,
        options=read.options,
        bounds=dict(_bounds(read, layer)),
        layer=attrs.evolve(layer, data={**said, "policy": opened}),
    )


def _bounds(read: _Document, layer: Layer) -> Iterator[tuple[str, float]]:
    for section in _BINDING:
        for name in layer.data.get(section, {}):
            value = getattr(getattr(read, section), name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield f"{section}.{name}", value


def check_bounds(operators: Sequence[OperatorFile], config: Config) -> None:
    """Refuse a configuration whose numbers of these sections are more than an operator's file allows.

    Raises:
        PolicyError: One is.
    """
    for one in operators:
        for setting, bound in one.bounds.items():
            section, name = setting.split(".")
            value, is_floor = getattr(getattr(config, section), name), setting in _FLOORS
            if value < bound if is_floor else value > bound:
                told = f"{setting}: {value} is {'less' if is_floor else 'more'} than the {bound} that the policy allows"
                raise PolicyError(told, setting=setting, file=one.path)


def check_engine_settings(operators: Sequence[OperatorFile], engine: str, settings: object) -> None:
    """Refuse settings of an engine that are neither an operator's nor just stricter, where there is an operator's file.

    By them an engine isolates: they say which daemon, which profile, which users. Defaults of limits are free, as they
    have their ceilings.

    Args:
        operators: The operators' files.
        engine: Its name.
        settings: An object of the class of its settings.

    Raises:
        PolicyError: One differs.
        ConfigError: What an operator's file says of them is wrong.
    """
    if not operators:
        return
    theirs, files = _settings(operators, engine, type(settings))
    for field in attrs.fields(type(settings)):  # type: ignore[arg-type] # settings are of an attrs class
        before, after = getattr(theirs, field.name), getattr(settings, field.name)
        tightens = field.metadata.get(TIGHTENS, lambda *_: False)
        if before == after or LIMIT in field.metadata or tightens(before, after):
            continue
        setting, file = f"options.{engine}.{field.name}", files.get(field.name, operators[0].path)
        raise PolicyError(
            f"{setting} is the operator's to set, and differs from what {file} says",
            setting=setting,
            file=file,
            hint=f"Leave it to [options.{engine}] of that file, which the command and `Config.load()` read.",
        )


def _settings(operators: Sequence[OperatorFile], engine: str, cls: type) -> tuple[object, dict[str, str]]:
    """Return the settings of an engine as the operators have them, and which of them are in which file."""
    given: dict[str, object] = {}
    files: dict[str, str] = {}
    for one in reversed(operators):  # that of the machine wins
        found = next((table for name, table in one.options.items() if spelling(name) == spelling(engine)), {})
        given.update(found)
        files.update(dict.fromkeys(found, one.path))
    try:
        return structure(given, cls), files
    except InvalidDataError as error:
        told = [(files.get(str(problem.path[0]), operators[0].path), problem) for problem in error.problems]
        problems = [f"{file}: {dotted((OPTIONS, engine, *problem.path))}: {problem.text}" for file, problem in told]
        raise ConfigError(problems) from None
