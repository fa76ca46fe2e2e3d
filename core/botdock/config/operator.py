"""An operator's file: what holds on this machine, whatever a caller's configuration says.

It has the sections `policy` and `runtime` of a botdock.toml: ceilings that callers can only tighten, and defaults where
they say nothing. The machine's own lies at a fixed place and belongs to root, so that no caller can change it, and
nothing names another in its stead. Another one can be named besides: then both bind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from botdock._ownership import fault_of
from botdock.config.converter import structure
from botdock.config.locations import POLICY_VARIABLE
from botdock.config.rules import InvalidDataError, Section
from botdock.config.sections import Policy, RuntimeConfig
from botdock.config.sources import Layer, name_of, parse_file, read_content
from botdock.errors import ConfigError

SYSTEM_FILE = Path("/etc/botdock/policy.toml")
"""The operator's file of this machine."""

_OPENING = frozenset({"networks", "images", "loader_variables", "manifest_restart", "unenforced"})
"""Settings of `policy` whose default allows little: what an operator allows more is a caller's default too."""


@attrs.frozen(kw_only=True)
class _Document(Section):
    runtime: RuntimeConfig = attrs.field(factory=RuntimeConfig)
    policy: Policy = attrs.field(factory=Policy)


@attrs.frozen(kw_only=True)
class OperatorFile:
    """What stands in an operator's file.

    Attributes:
        path: Where it lies.
        runtime: Defaults.
        policy: Ceilings. What is not set has its default, as in a botdock.toml.
        layer: The defaults as the lowest source of a configuration.
    """

    path: str
    runtime: RuntimeConfig
    policy: Policy
    layer: Layer


def read_operator_files(environ: Mapping[str, str]) -> tuple[OperatorFile, ...]:
    """Return the operator's file of this machine, and the one that BOTDOCK_POLICY names; where there are any.

    Raises:
        ConfigError: One is wrong, cannot be read, or others than its operator could write it: then nothing runs.
    """
    return tuple(map(_read, _files(environ)))


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
    defaults = attrs.evolve(layer, data={"runtime": layer.data.get("runtime", {}), "policy": opened})
    return OperatorFile(path=str(path), runtime=read.runtime, policy=read.policy, layer=defaults)
