"""What a `botdock.toml` of the working folder may say: it came with the folder, and the folder may be a stranger's.

Until the user has trusted that very file, in that very wording, it can only tighten: whatever would differ because of
it must be in `TIGHTENED`, or be marked so by the plugin that owns it, and stricter than without it. All else (the
engine, where code, state and results lie, plugins, most of their options, and what will be added) is the user's alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from botdock._ownership import fault_of
from botdock.config.locations import folder_file_fault, platform_folder
from botdock.config.options import OPTIONS
from botdock.config.rules import TIGHTENS, KeyPath, dotted
from botdock.config.sources import read_file
from botdock.errors import ConfigError, UserError
from botdock.model.restart import RestartPolicy

if TYPE_CHECKING:
    from botdock.config.config import Config


def _lower(unbounded: object) -> Callable[[Any, Any], bool]:
    """Return the rule of a bound, whose value `unbounded` stands for none."""
    return lambda before, after: after != unbounded and (before == unbounded or after < before)


def _fewer(before: tuple[str, ...], after: tuple[str, ...]) -> bool:
    return set(after) <= set(before)


def _fewer_of_any(before: tuple[str, ...], after: tuple[str, ...]) -> bool:
    """Compare lists of what is allowed, whose empty one allows anything."""
    return bool(after) and (not before or _fewer(before, after))


def _restarts_less(before: str, after: str) -> bool:
    ceiling, policy = RestartPolicy.parse(before), RestartPolicy.parse(after)
    return policy.within(ceiling) == policy


_Rule: TypeAlias = Callable[[Any, Any], bool]
_BOUND = _lower(None)

TIGHTENED: dict[str, _Rule] = {
    "runtime.limits.*": _BOUND,
    "runtime.timeout": _BOUND,
    "runtime.start_timeout": _lower(0),
    "runtime.silence_timeout": _lower(0),
    "runtime.grace": _BOUND,
    "runtime.network": lambda _before, after: after == "none",
    "code.cache_bytes": lambda _before, _after: False,  # less would throw away what other code has in the cache
    "code.*": _BOUND,
    "logging.output_tail": _BOUND,
    "logging.sink_queue": _BOUND,
    "logging.drain_timeout": _BOUND,
    "logging.sync_interval": _BOUND,
    "logging.segment_bytes": lambda _before, _after: True,
    "logging.compress": lambda _before, _after: True,
    "policy.networks": _fewer,
    "policy.images": _fewer,
    "policy.variables": _fewer,
    "policy.refused_variables": lambda before, after: _fewer(after, before),
    "policy.loader_variables": _fewer,
    "policy.unenforced": lambda before, after: all(_fewer(before.get(engine, ()), after[engine]) for engine in after),
    "policy.engines": _fewer_of_any,
    "policy.runtimes": _fewer_of_any,
    "policy.local_code": lambda _before, after: after is False,
    "policy.max_limits.*": _BOUND,
    "policy.max_timeout": _lower(0),
    "policy.max_start_timeout": _lower(0),
    "policy.max_silence_timeout": _lower(0),
    "policy.max_restart": _restarts_less,
    "policy.manifest_restart": _restarts_less,
}
"""For each setting that a file may change which the user has not trusted: whether a value is stricter than another."""


def loosened(without: Config, config: Config) -> Iterator[KeyPath]:
    """Yield each setting of `config` that differs from `without` and is not just stricter."""
    base = dict(without.options)
    for name in config.options.keys() - base.keys():
        with suppress(TypeError):  # of settings that have no default
            base[name] = type(config.options[name])()
    yield from ((OPTIONS, name) for name in config.options.keys() - base.keys())
    before = {path: value for path, value, _ in _leaves(attrs.evolve(without, options=base))}
    for path, after, of_plugin in _leaves(config):
        rule = of_plugin or TIGHTENED.get(dotted(path)) or TIGHTENED.get(f"{dotted(path[:-1])}.*", lambda *_: False)
        if path in before and after != before[path] and not rule(before[path], after):
            yield path


def _leaves(section: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any, _Rule | None]]:
    """Yield each setting, and each table of settings whose keys are free; and the rule that its plugin names."""
    for field in attrs.fields(type(section)):
        value, inner = getattr(section, field.name), (*path, field.name)
        if attrs.has(type(value)):
            yield from _leaves(value, inner)
        elif inner == (OPTIONS,):
            for name, settings in value.items():
                if attrs.has(type(settings)):
                    yield from _leaves(settings, (*inner, name))
                else:
                    yield (*inner, name), settings, None
        else:
            yield inner, value, field.metadata.get(TIGHTENS)


def is_trusted(path: Path, content: bytes) -> bool:
    """Tell whether the user has vouched for this file, as it reads now."""
    statement = _statement(path, content)
    return statement.is_file() and fault_of(statement) is None


def trust_file(path: Path, *, revoke: bool = False) -> None:
    """Trust a configuration file of a folder as it reads now, or no longer, in all its wordings.

    Another wording, or another path, is another file.

    Raises:
        ConfigError: It cannot be read, is not TOML, or other users could write it.
        UserError: The user's own folder of configuration cannot be written.
    """
    place = os.fsencode(_place(path)) + b"\n"
    try:
        if revoke:
            for statement in _folder().glob("*"):
                if statement.read_bytes() == place:
                    statement.unlink(missing_ok=True)
            return
        if fault := folder_file_fault(path):
            raise ConfigError([f"{fault}, so {path} is not read"], hint=fault.remedy)
        read_file(path)
        statement = _statement(path, path.read_bytes())
        statement.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(statement, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(place)
    except OSError as error:
        raise UserError(f"{error.filename or path}: cannot be read or written: {error.strerror or error}") from error


def _statement(path: Path, content: bytes) -> Path:
    """Return the file that stands for one path and one wording."""
    return _folder() / hashlib.sha256(os.fsencode(_place(path)) + b"\0" + content).hexdigest()


def _place(path: Path) -> Path:
    return path.parent.resolve() / path.name


def _folder() -> Path:
    return platform_folder("config") / "trusted"
