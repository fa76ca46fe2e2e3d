"""The sink: one record per line."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from loguru import logger

from botdock import LogSink
from botdock.logging import exempt
from botdock.model import LogLine, LogSource, Stream
from botdock_logging_loguru.settings import LoguruSettings

if TYPE_CHECKING:
    from loguru import Logger, Record

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
"""Characters with which a bot could move a reader's cursor, or fake a second record; not the tab."""
_SECOND = 1_000_000_000


class LoguruSink(LogSink):
    """Writes every line as one record of loguru.

    The record's `message` is the line and its `time` the line's; its `extra` has `execution_id`, `bot_id`, `runtime`,
    `stream` and `complete`. Where records go is for the application to say, with `logger.add`.
    """

    def __init__(self, settings: LoguruSettings) -> None:
        """Make the sink.

        Args:
            settings: The levels.
        """
        self._levels = {Stream.STDOUT: settings.level, Stream.STDERR: settings.stderr_level}
        exempt(__name__)  # a user who names this sink wants these records, whether or not botdock's own log is enabled

    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        """Log some lines of one execution."""
        bound = logger.bind(execution_id=source.execution_id, bot_id=source.id, runtime=source.runtime)
        streams = {stream: _StreamLog(bound.bind(stream=stream.value), level) for stream, level in self._levels.items()}
        for line in lines:
            streams[line.stream].log(line)

    def close(self) -> None:
        """Do nothing: no line is held back here.

        A handler with `enqueue=True` may hold some. Waiting for it, with `logger.complete()`, is the application's to
        do: while it waits it holds loguru's one lock, and a handler that is stuck would then stop every runner.
        """


class _StreamLog:
    """Logs lines of one stream; used by one thread."""

    def __init__(self, bound: Logger, level: str) -> None:
        self._level = level
        self._line = LogLine(Stream.STDOUT, b"")
        self._log = bound.patch(self._fill).log

    def log(self, line: LogLine) -> None:
        self._line = line
        # The text is an argument, never the template: braces and tags in it mean nothing.
        self._log(self._level, "{}", printable(line.text))

    def _fill(self, record: Record) -> None:
        line = self._line
        record["extra"]["complete"] = line.complete
        if line.time_ns:
            seconds, rest = divmod(line.time_ns, _SECOND)
            now = record["time"]  # of loguru's own class, which knows how to format itself
            with contextlib.suppress(ValueError, OverflowError, OSError):  # no year has such a time
                record["time"] = now.fromtimestamp(seconds, now.tzinfo).replace(microsecond=rest // 1000)


def printable(text: str) -> str:
    r"""Return `text` with control characters spelt out, such as `\x1b`."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
