"""The sink: one record per line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from loguru import logger

from botdock import LogSink
from botdock.model import LogLine, LogSource, Stream
from botdock_logging_loguru.settings import Settings

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
"""Characters with which a bot could move the cursor of whoever reads the log, or fake a second record; not the tab."""


class LoguruSink(LogSink):
    """Writes every line as one record of loguru.

    A record carries `execution_id`, `bot_id`, `runtime` and `stream` in its `extra`. Where records go is for the
    application to say, with `logger.add`.
    """

    def __init__(self, settings: Settings) -> None:
        """Make the sink.

        Args:
            settings: The levels.
        """
        self._levels = {Stream.STDOUT: settings.level, Stream.STDERR: settings.stderr_level}

    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        """Log some lines of one execution."""
        bound = logger.bind(execution_id=source.execution_id, bot_id=source.id, runtime=source.runtime)
        for line in lines:
            # The text is an argument, never the template: braces and tags in it mean nothing.
            bound.bind(stream=line.stream.value).log(self._levels[line.stream], "{}", printable(line.text))

    def close(self) -> None:
        """Wait until loguru's own queues are empty."""
        logger.complete()


def printable(text: str) -> str:
    r"""Return `text` with control characters spelt out, such as `\x1b`."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
