"""What `botdock-logging-loguru` registers."""

from __future__ import annotations

from collections.abc import Iterable

from botdock import Config, LogSink, LogSinkPlugin, hookimpl
from botdock_logging_loguru.settings import LoguruSettings

BOTDOCK_INTERFACE = 1
"""The version of the plugin interface that this is written for."""


def _open(config: Config) -> LogSink:
    from botdock_logging_loguru.sink import LoguruSink

    return LoguruSink(config.options_for("loguru", LoguruSettings))


@hookimpl
def botdock_log_sinks() -> Iterable[LogSinkPlugin]:
    """Register the sink `loguru`."""
    yield LogSinkPlugin(
        name="loguru", summary="Every line becomes a record of loguru.", factory=_open, settings=LoguruSettings
    )
