"""Botdock's own log: what botdock and its plugins have to say, as records of loguru.

A library is silent until an application wants to hear it. Where records go is for the application to say, with
loguru's `logger.add`; botdock adds nothing and catches nothing.

    import botdock.logging

    botdock.logging.enable()

That covers the core and every installed plugin, a third party's too: when a plugin is loaded through its entry point,
the package that its module lies in is switched on or off as botdock is, and follows it from then on. Three more rules:

- What the application says by itself afterwards, with `logger.enable` or `logger.disable` on a plugin's package or on a
  module, holds until the next `enable()` or `disable()` here.
- A plugin inside a package that the program had imported before, such as the application itself, brings only its
  own module: the application's records are not botdock's to silence.
- A plugin that an application gives to `PluginManager.register` is a part of the application.

A plugin logs with `from loguru import logger` and nothing else. If its modules are also used without being loaded as
a plugin, or lie outside the package of the entry point, they write `logger = botdock.logging.logger_of(__name__)`. A
plugin whose very purpose is to log, such as a sink, exempts the module that does so. User data is bound
(`logger.bind(key=key).warning("not stored")`), never formatted into the message; a secret is neither.

Every record that concerns one execution has its id as `extra["execution_id"]`. Threads do not carry that by
themselves; a plugin that starts one wraps what it runs: `Thread(target=carried(work))`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock._log import carried, exempt, follow, logger
from botdock._log import decide as _decide

if TYPE_CHECKING:
    from loguru import Logger

__all__ = ["carried", "disable", "enable", "exempt", "logger_of"]


def enable() -> None:
    """Let botdock and its plugins speak, those that are loaded later too.

    Example:
        >>> import sys
        >>> from loguru import logger
        >>> handler = logger.add(sys.stderr, level="DEBUG", filter=lambda record: "execution_id" in record["extra"])
        >>> enable()
        >>> disable()
        >>> logger.remove(handler)
    """
    _decide(enabled=True)


def disable() -> None:
    """Silence botdock and every installed plugin, loaded or not; this is how it begins."""
    from botdock._plugins.discovery import cover, discover

    for candidate in discover():
        cover(candidate.origin.module)
    _decide(enabled=False)


def logger_of(module: str) -> Logger:
    """Return loguru's logger for a module, which is on or off as botdock is from now on.

    Args:
        module: Its `__name__`.
    """
    follow(module)
    return logger
