"""Reads the configuration: file, environment and arguments, strictly, and with every problem at once."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from botdock.config.config import CONFIG_FILE_NAME, CONFIG_VARIABLE
from botdock.config.consistency import contradictions
from botdock.config.converter import structure_or_problems
from botdock.config.environment import read_environment
from botdock.config.layers import Layer, merged, name_of
from botdock.config.problems import InvalidDataError
from botdock.errors import ConfigError

if TYPE_CHECKING:
    from botdock.config.config import Config

C = TypeVar("C", bound="Config")

_AT_LINE = re.compile(r"(.*) \(at line ([0-9]+), column ([0-9]+)\)", re.DOTALL)


def load(
    cls: type[C],
    path: str | os.PathLike[str] | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any],
) -> C:
    """Read the configuration; arguments win over the environment, which wins over the file.

    Args:
        cls: `Config` or a class derived from it.
        path: The file; None means what `find_config_file` finds.
        environ: The environment.
        overrides: The arguments, nested like the file.

    Raises:
        ConfigError: With every problem: `source: key.path: problem`.
    """
    file = find_config_file(path, environ)
    environment, unknown_variables = read_environment(cls, environ)
    below = [read_file(file)] if file else []
    layers = [*below, environment, Layer(data=dict(overrides), source="arguments")]
    config, problems = _structured(cls, layers)
    if problems := [*problems, *unknown_variables]:
        raise ConfigError(problems)
    assert config is not None  # noqa: S101 - it is there when there are no problems
    return config


def _structured(cls: type[C], layers: list[Layer]) -> tuple[C | None, list[str]]:
    try:
        config = structure_or_problems(merged(layers), cls)
    except InvalidDataError as error:
        return None, [f"{name_of(layers, problem.path)}: {problem.text}" for problem in error.problems]
    return config, [f"{name_of(layers, *paths)}: {text}" for paths, text in contradictions(config)]


def find_config_file(path: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Path | None:
    """Return the file to read: `path`, else BOTDOCK_CONFIG's, else `botdock.toml` here, else the platform's, else None.

    Raises:
        ConfigError: A file that was named is not there.
    """
    for named, source in ((path, ""), (environ.get(CONFIG_VARIABLE), f"environment {CONFIG_VARIABLE}: ")):
        if named:
            return _existing(Path(named), source)
    import platformdirs

    folders = (Path(), Path(platformdirs.user_config_dir("botdock", appauthor=False)))
    return next((file for folder in folders if (file := folder / CONFIG_FILE_NAME).is_file()), None)


def _existing(path: Path, source: str) -> Path:
    if not path.exists():
        raise ConfigError([f"{source}{path}: there is no such file"])
    return path


def read_file(path: Path) -> Layer:
    """Read a TOML file.

    Raises:
        ConfigError: It cannot be read, or is not TOML; names the line.
    """
    try:
        return Layer(data=tomllib.loads(path.read_bytes().decode()), source=str(path))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
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
