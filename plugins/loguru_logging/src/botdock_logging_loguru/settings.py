"""The settings of this plugin: `[options.loguru]`."""

from __future__ import annotations

import attrs

from botdock.config import Section, setting
from botdock.config.rules import Rule


def _level_problem(name: str) -> str | None:
    from loguru import logger

    try:
        logger.level(name)
    except ValueError:
        return (
            f"{name!r} is not a level of loguru; there are TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR, CRITICAL, and "
            "those that the application added"
        )
    return None


@attrs.frozen(kw_only=True)
class LoguruSettings(Section):
    """How lines become records.

    Attributes:
        level: Level of loguru for what bots write to stdout.
        stderr_level: The same for stderr, which does not mean an error: many programs log there.
    """

    level: str = setting("INFO", rule=Rule(_level_problem))
    stderr_level: str = setting("INFO", rule=Rule(_level_problem))
