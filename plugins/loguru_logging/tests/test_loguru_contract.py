"""The sink `loguru`, held to what every sink promises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger

from botdock import LogSink
from botdock.model import LogLine
from botdock_logging_loguru.settings import LoguruSettings
from botdock_logging_loguru.sink import LoguruSink, printable
from botdock_testing import LogSinkContract
from botdock_testing.log_sink import Arrived, Delivered


class TestLoguru(LogSinkContract):
    @pytest.fixture
    def records(self) -> Iterator[list[Any]]:
        found: list[Any] = []
        handler = logger.add(lambda message: found.append(message.record), level=0, catch=False)
        yield found
        logger.remove(handler)

    @pytest.fixture
    def sink(self, records: list[Any]) -> LogSink:
        return LoguruSink(LoguruSettings())

    @pytest.fixture
    def delivered(self, records: list[Any]) -> Delivered:
        return lambda: [
            Arrived(record["extra"]["execution_id"], record["extra"]["stream"], record["message"]) for record in records
        ]

    def shown(self, line: LogLine) -> str:
        return printable(line.text)
