"""The settings of this plugin: `[options.loguru]`."""

from __future__ import annotations

import attrs
from loguru import logger

from botdock import Config
from botdock.config.converter import structure
from botdock.errors import ConfigError

NAME = "loguru"


@attrs.frozen(kw_only=True)
class Settings:
    """How lines become records.

    Attributes:
        level: Level of loguru for what bots write to stdout.
        stderr_level: The same for stderr, which is no sign of an error: many programs log there.
    """

    level: str = "INFO"
    stderr_level: str = "INFO"


def read_settings(config: Config) -> Settings:
    """Return the settings.

    Raises:
        ConfigError: With every setting that is wrong.
    """
    settings = structure(config.options_for(NAME), Settings, f"options.{NAME}")
    names = attrs.asdict(settings)
    if problems := [_level_problem(key, level) for key, level in names.items() if not _is_level(level)]:
        raise ConfigError(problems)
    return settings


def _is_level(name: str) -> bool:
    try:
        logger.level(name)
    except ValueError:
        return False
    return True


def _level_problem(key: str, level: str) -> str:
    return (
        f"options.{NAME}: {key}: {level!r} is no level of loguru; there are TRACE, DEBUG, INFO, SUCCESS, WARNING, "
        "ERROR, CRITICAL, and those that the application added"
    )
