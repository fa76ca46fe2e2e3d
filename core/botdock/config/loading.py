"""Reads the configuration: file, environment and arguments, strictly, and with every problem at once."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

import attrs

from botdock.config.converter import structure
from botdock.config.locations import find_config_files
from botdock.config.operator import OperatorFile, read_operator_files
from botdock.config.options import OPTIONS, PluginSections, limits_of
from botdock.config.rules import InvalidDataError, Problem, dotted, spelling
from botdock.config.sections import PluginsConfig
from botdock.config.sources import Layer, merged, name_of, parse_file, read_content, read_environment
from botdock.config.trust import is_trusted, loosened
from botdock.errors import ConfigError, nearest

if TYPE_CHECKING:
    from botdock.config.config import Config
    from botdock.plugin_manager import PluginManager

C = TypeVar("C", bound="Config")

_Paths: TypeAlias = list[tuple[str | int, ...]]
"""The settings that contradict each other; the first is the one to change."""


def load(
    cls: type[C],
    path: str | os.PathLike[str] | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any],
    code: str | os.PathLike[str] | None,
    *,
    plugins: PluginManager | None = None,
) -> tuple[C, PluginManager]:
    """Read the configuration; arguments win over the environment, which wins over the files.

    It is read in two stages: what the user's own sources say of `plugins` decides which are loaded, and those own the
    settings that the second stage reads with all others. The arguments are those of `Config.load`.

    Raises:
        ConfigError: With every problem: `source: key.path: problem`.
    """
    sources = _Sources.read(path, environ, overrides, code)
    sections = plugins.sections if plugins else PluginSections(anything=True)
    if plugins is None:
        from botdock.plugin_manager import PluginManager

        with suppress(InvalidDataError):  # told below, with all other problems; then no plugin is loaded
            plugins = PluginManager.load(sources.plugins_config(cls))
            sections = plugins.sections
    config = sources.structured(cls, sections)
    assert plugins is not None  # noqa: S101 - without them there are problems
    _check_engines(config, plugins)
    return config, plugins


def load_without_plugins(path: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Config:
    """Read the configuration without looking at the settings of plugins, of which none is loaded.

    Nothing can be run with it: so an operator's file that cannot be believed does not keep a user from stopping bots.

    Raises:
        ConfigError: With every problem: `source: key.path: problem`.
    """
    from botdock.config.config import Config

    operators: Sequence[OperatorFile] = ()
    with suppress(ConfigError):
        operators = read_operator_files(environ)
    sources = _Sources.read(path, environ, {}, None, operators=operators)
    return sources.structured(Config, PluginSections(anything=True))


@attrs.frozen(kw_only=True)
class _Sources:
    """All that the configuration is read from.

    Attributes:
        files: The later win; the first are the defaults of operators' files.
        untrusted: Whether the last of them came with the working folder, and can only tighten.
        environ: Wins over them.
        arguments: What wins over it.
    """

    files: tuple[Layer, ...]
    untrusted: bool
    environ: Mapping[str, str]
    arguments: Layer

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str] | None,
        environ: Mapping[str, str],
        overrides: Mapping[str, Any],
        code: str | os.PathLike[str] | None,
        *,
        operators: Sequence[OperatorFile] | None = None,
    ) -> Self:
        found = find_config_files(path, environ, code)
        if found.ignored:
            from botdock._log import logger  # imports loguru, which takes longer than all of this

            told = logger.bind(file=str(found.folder), reason=found.ignored)
            told.warning("the botdock.toml of this folder is not read")
        contents = {file: read_content(file, bounded=file == found.folder) for file in found.used}
        folder = found.folder if found.folder in contents else None
        return cls(
            files=(
                *(one.layer for one in (read_operator_files(environ) if operators is None else operators)),
                *(parse_file(file, content) for file, content in contents.items()),
            ),
            untrusted=folder is not None and not is_trusted(folder, contents[folder]),
            environ=environ,
            arguments=Layer(data=dict(overrides), source="overrides (options, --set)"),
        )

    def plugins_config(self, cls: type[Config]) -> PluginsConfig:
        """Return what the user says of plugins, and a file that came with the folder does not.

        Raises:
            InvalidDataError: It is wrong.
        """
        own = self.files[:-1] if self.untrusted else self.files
        environment, _ = read_environment(cls, self.environ, PluginSections(anything=True))
        given = merged([*own, environment, self.arguments]).get("plugins", {})
        return structure(given, PluginsConfig)

    def structured(self, cls: type[C], sections: PluginSections) -> C:
        """Return the configuration.

        Raises:
            ConfigError: With every problem.
        """
        environment, problems = read_environment(cls, self.environ, sections)
        core = [field.name for field in attrs.fields(cls)]
        layers = []
        for layer in (*self.files, environment, self.arguments):
            canonical, found = (layer, []) if layer is environment else sections.canonical(layer, core)
            layers.append(canonical)
            problems += found
        config, found = _structured(cls, layers, sections)
        if problems := [*found, *problems]:
            raise ConfigError(problems)
        assert config is not None  # noqa: S101 - it is there when there are no problems
        if self.untrusted:
            folder = layers.pop(len(self.files) - 1)
            _check_untrusted(config, _structured(cls, layers, sections), folder)
        return config


def _check_untrusted(config: Config, without: tuple[Config | None, list[str]], folder: Layer) -> None:
    """Refuse what the file of the working folder loosens, compared with the configuration `without` it.

    Raises:
        ConfigError: It does.
    """
    base, problems = without
    if base is not None and not problems:
        loose = list(loosened(base, config))
        problems = [f"{folder.name(path)}: is not for a file that came with the folder to say" for path in loose]
    if problems:
        file = shlex.quote(folder.source)
        raise ConfigError(
            problems,
            hint=f"If you wrote {file} or have read it: `botdock config trust {file}`, or --config-file for one call.",
        )


def _structured(cls: type[C], layers: list[Layer], sections: PluginSections) -> tuple[C | None, list[str]]:
    problems: list[Problem] = []
    config = None
    try:
        data = merged(layers)
        if isinstance(data.get(OPTIONS), Mapping):
            try:
                data[OPTIONS] = sections.structured(data[OPTIONS])
            except InvalidDataError as error:
                problems = [Problem((OPTIONS, *problem.path), problem.text) for problem in error.problems]
                del data[OPTIONS]
        config = structure(data, cls)
    except InvalidDataError as error:
        problems = [*error.problems, *problems]
    except RecursionError:  # of tables that several layers hold
        return None, ["configuration: is nested too deeply"]
    if config is None or problems:
        return None, [f"{name_of(layers, problem.path)}: {problem.text}" for problem in problems]
    contradictions = chain(_network(config), _limits(config), _engine(config))
    return config, [f"{name_of(layers, *paths)}: {text}" for paths, text in contradictions]


def _check_engines(config: Config, plugins: PluginManager) -> None:
    """Refuse a name in `policy.unenforced` that is nearly an engine's; any other may be one of another machine.

    Raises:
        ConfigError: It holds one.
    """
    engines = {spelling(name): name for name in plugins.engines()} if config.policy.unenforced else {}
    problems = []
    for name in config.policy.unenforced:
        if spelling(name) not in engines and (near := nearest(name, engines.values())):
            known = " or ".join(near)
            problems.append(f"policy.unenforced.{name}: no engine {name!r} is installed; did you mean {known}?")
    if problems:
        raise ConfigError(problems)


def _network(config: Config) -> Iterator[tuple[_Paths, str]]:
    network, allowed = config.runtime.network, config.policy.networks
    if network not in allowed:
        near = nearest(network, allowed)
        guess = f"; did you mean {near[0]}?" if near else ""
        paths: _Paths = [("runtime", "network"), ("policy", "networks")]
        yield paths, f"{network!r} is not among policy.networks: {', '.join(allowed) or 'none at all'}{guess}"


def _limits(config: Config) -> Iterator[tuple[_Paths, str]]:
    defaults = config.runtime.limits.given()
    for name, bound in config.policy.max_limits.given().items():
        path = ("policy", "max_limits", name)
        if defaults[name] > bound:
            text = f"runtime.limits.{name} is {defaults[name]}, more than policy.max_limits.{name}, {bound}"
            yield [("runtime", "limits", name), path], text
    for plugin, settings in config.options.items():
        for name, (key, value) in limits_of(settings).items():
            bound = getattr(config.policy.max_limits, name)
            if bound is not None and value > bound:
                path = (OPTIONS, plugin, key)
                yield [path], f"{dotted(path)} is {value}, more than policy.max_limits.{name}, {bound}"


def _engine(config: Config) -> Iterator[tuple[_Paths, str]]:
    allowed = config.policy.engines
    if config.engine and allowed and config.engine not in allowed:
        yield (
            [("engine",), ("policy", "engines")],
            f"{config.engine!r} is not among policy.engines: {', '.join(allowed)}",
        )
