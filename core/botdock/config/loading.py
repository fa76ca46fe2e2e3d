"""Reads the configuration: file, environment and arguments, strictly, and with every problem at once."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import attrs

from botdock.config.config import CONFIG_FILE_NAME, CONFIG_VARIABLE, platform_folder
from botdock.config.consistency import check_engines, contradictions
from botdock.config.converter import structure_or_problems
from botdock.config.environment import read_environment
from botdock.config.layers import Layer, merged, name_of
from botdock.config.options import OPTIONS, PluginSections
from botdock.config.problems import InvalidDataError, Problem
from botdock.config.sections import PluginsConfig
from botdock.config.trust import distrust, folder_file_fault, is_code, is_trusted, loosened, trust
from botdock.errors import ConfigError, UserError

if TYPE_CHECKING:
    from botdock.config.config import Config
    from botdock.plugin_manager import PluginManager

C = TypeVar("C", bound="Config")

_MOST_BYTES = 64 * 1024
_MOST_DOTS = 2000
"""The cost of a dotted key grows with the square of its parts."""
_AT_LINE = re.compile(r"(.*) \(at line ([0-9]+), column ([0-9]+)\)", re.DOTALL)


@attrs.frozen(kw_only=True)
class ConfigFiles:
    """The configuration files that there are.

    Attributes:
        used: Those that are read; the later win.
        folder: The one of the working folder, used or not; None when there is none, or when another was named.
        ignored: Why that one is not used; empty when it is.
        remedy: What has it used all the same.
    """

    used: tuple[Path, ...] = ()
    folder: Path | None = None
    ignored: str = ""
    remedy: str = ""


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
    check_engines(config, plugins)
    return config, plugins


def load_home(path: str | os.PathLike[str] | None = None) -> Path:
    """Return the state folder that the configuration names, checked; no plugin is loaded, nor its settings looked at.

    Raises:
        ConfigError: The configuration is wrong.
        UserError: Other users could write the state folder.
    """
    from botdock.config.config import Config

    sources = _Sources.read(path, os.environ, {}, None)
    return sources.structured(Config, PluginSections(anything=True)).checked_home()


@attrs.frozen(kw_only=True)
class _Sources:
    """All that the configuration is read from.

    Attributes:
        files: The later win.
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
    ) -> Self:
        found = find_config_files(path, environ, code)
        if found.ignored:
            from botdock._log import logger  # imports loguru, which takes longer than all of this

            told = logger.bind(file=str(found.folder), reason=found.ignored)
            told.warning("the botdock.toml of this folder is not read")
        contents = {file: _content(file, bounded=file == found.folder) for file in found.used}
        folder = found.folder if found.folder in contents else None
        return cls(
            files=tuple(_parsed(file, content) for file, content in contents.items()),
            untrusted=folder is not None and not is_trusted(folder, contents[folder]),
            environ=environ,
            arguments=Layer(data=dict(overrides), source="arguments"),
        )

    def plugins_config(self, cls: type[Config]) -> PluginsConfig:
        """Return what the user says of plugins, and a file that came with the folder does not.

        Raises:
            InvalidDataError: It is wrong.
        """
        own = self.files[:-1] if self.untrusted else self.files
        environment, _ = read_environment(cls, self.environ, PluginSections(anything=True))
        said = merged([*own, environment, self.arguments]).get("plugins", {})
        return structure_or_problems(said, PluginsConfig)

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
        config = structure_or_problems(data, cls)
    except InvalidDataError as error:
        problems = [*error.problems, *problems]
    except RecursionError:  # of tables that several layers hold
        return None, ["configuration: is nested too deeply"]
    if config is None or problems:
        return None, [f"{name_of(layers, problem.path)}: {problem.text}" for problem in problems]
    return config, [f"{name_of(layers, *paths)}: {text}" for paths, text in contradictions(config)]


def find_config_files(
    path: str | os.PathLike[str] | None,
    environ: Mapping[str, str],
    code: str | os.PathLike[str] | None = None,
) -> ConfigFiles:
    """Return the files to read: `path`, else BOTDOCK_CONFIG's, else the platform's and `botdock.toml` here over it.

    Raises:
        ConfigError: A file that was named is not there.
    """
    for named, source in ((path, ""), (environ.get(CONFIG_VARIABLE), f"environment {CONFIG_VARIABLE}: ")):
        if named:
            return ConfigFiles(used=(_existing(Path(named), source),))
    own = platform_folder("config") / CONFIG_FILE_NAME
    used, folder = (own,) if os.path.isfile(own) else (), Path(CONFIG_FILE_NAME)  # noqa: PTH113 - never an error
    if not os.path.isfile(folder) or (used and folder.samefile(own)):  # noqa: PTH113 - never an error
        return ConfigFiles(used=used)
    if is_code(folder.absolute(), code):
        why = f"{folder.absolute()} belongs to the code that is to be run"
        return ConfigFiles(used=used, folder=folder, ignored=why, remedy=f"--config-file {folder} reads it")
    if fault := folder_file_fault(folder.absolute()):
        return ConfigFiles(used=used, folder=folder, ignored=str(fault), remedy=fault.remedy)
    return ConfigFiles(used=(*used, folder), folder=folder)


def _existing(path: Path, source: str) -> Path:
    if not os.path.lexists(path):  # False, not an error, for what no file can be called
        raise ConfigError([f"{source}{path}: there is no such file"])
    return path


def read_file(path: Path) -> Layer:
    """Read a TOML file.

    Raises:
        ConfigError: It cannot be read, or is not TOML; names the line.
    """
    return _parsed(path, _content(path))


def trust_file(path: Path, *, revoke: bool = False) -> None:
    """Trust a configuration file of a folder as it reads now, or no longer.

    Raises:
        ConfigError: It cannot be read, is not TOML, or other users could write it.
        UserError: The user's own folder of configuration cannot be written.
    """
    try:
        if revoke:
            distrust(path)
            return
        if fault := folder_file_fault(path):
            raise ConfigError([f"{fault}, so {path} is not read"], hint=fault.remedy)
        read_file(path)
        trust(path, path.read_bytes())
    except OSError as error:
        raise UserError(f"{error.filename or path}: cannot be read or written: {error.strerror or error}") from error


def _content(path: Path, *, bounded: bool = False) -> bytes:
    """Read a file; a `bounded` one came with its folder, and is not to cost more than a file of settings does."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1) if bounded else file.read()
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    if bounded and (len(content) > _MOST_BYTES or content.count(b".") > _MOST_DOTS):
        raise ConfigError(
            [f"{path}: holds more than {_MOST_BYTES} bytes or {_MOST_DOTS} dots, too much for a file of the folder"],
            hint=f"If it is yours: --config-file {path}",
        )
    return content


def _parsed(path: Path, content: bytes) -> Layer:
    try:
        return Layer(data=tomllib.loads(content.decode()), source=str(path))
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: is not UTF-8: {error.reason} at byte {error.start}"]) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{path}: {_toml_problem(error)}"]) from error


def _toml_problem(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    if match := _AT_LINE.fullmatch(str(error)):
        return f"line {match[2]}, column {match[3]}: {match[1]}"
    return str(error)
