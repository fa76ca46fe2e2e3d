"""Botdock's own logger: silent until an application enables it.

Importing loguru costs more than all of `import botdock`, so this happens with the first module that logs, not in
the package's `__init__`. An application that enabled `botdock` before that is respected.
"""

from loguru import logger

_decided = {name for name, _ in getattr(logger, "_core").activation_list}  # noqa: B009 - private in loguru's stubs
if "botdock." not in _decided:
    logger.disable("botdock")

__all__ = ["logger"]
