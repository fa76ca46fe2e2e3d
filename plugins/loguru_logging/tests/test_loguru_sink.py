"""Every line becomes one record, whatever is in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from botdock import Config, LogSink
from botdock.errors import ConfigError
from botdock.model import LogLine, LogSource, Stream
from botdock.plugin_manager import PluginManager
from botdock_logging_loguru.sink import printable

SOURCE = LogSource(execution_id="01j", id="bot-1", runtime="bash")


def open_sink(**options: Any) -> LogSink:
    return PluginManager.load().log_sink("loguru").factory(Config(options={"loguru": options}))


@pytest.fixture
def records() -> Iterator[list[Any]]:
    """What an application's own handler gets."""
    found: list[Any] = []
    handler = logger.add(lambda message: found.append(message.record), level=0)
    yield found
    logger.remove(handler)


def test_a_line_becomes_a_record_that_says_where_it_is_from(records: list[Any]) -> None:
    sink = open_sink()
    sink.write(SOURCE, [LogLine(Stream.STDOUT, b"one"), LogLine(Stream.STDERR, b"two")])
    sink.close()
    first = {"execution_id": "01j", "bot_id": "bot-1", "runtime": "bash", "stream": "stdout"}
    assert [record["message"] for record in records] == ["one", "two"]
    assert [record["extra"] for record in records] == [first, {**first, "stream": "stderr"}]
    assert [record["level"].name for record in records] == ["INFO", "INFO"]


def test_the_levels_can_be_chosen(records: list[Any]) -> None:
    sink = open_sink(level="DEBUG", stderr_level="WARNING")
    sink.write(SOURCE, [LogLine(Stream.STDOUT, b"one"), LogLine(Stream.STDERR, b"two")])
    assert [record["level"].name for record in records] == ["DEBUG", "WARNING"]


@pytest.mark.parametrize(
    "text", ["{}", "{0}", "{extra[bot_id]}", "{", "}}", "<red>x</red>", "</", "\\<b>", "%s %(x)s", "", "\t"]
)
def test_what_a_bot_writes_is_never_a_template(records: list[Any], tmp_path: Path, text: str) -> None:
    handler = logger.add(tmp_path / "log", colorize=True, format="<green>{message}</green>")
    try:
        open_sink().write(SOURCE, [LogLine(Stream.STDOUT, text.encode())])
    finally:
        logger.remove(handler)
    assert [record["message"] for record in records] == [text]
    assert (tmp_path / "log").read_text() == f"\x1b[32m{text}\x1b[0m\n"


def test_every_line_is_one_line_of_a_file_of_json(tmp_path: Path) -> None:
    handler = logger.add(tmp_path / "log", serialize=True, enqueue=True)
    sink = open_sink()
    sink.write(SOURCE, [LogLine(Stream.STDOUT, b"a\rb\x1b[2J\xff"), LogLine(Stream.STDOUT, "\x85\u2028".encode())])
    sink.close()
    logger.remove(handler)
    lines = [json.loads(line)["record"]["message"] for line in (tmp_path / "log").read_text().splitlines()]
    assert lines == ["a\\rb\\x1b[2J\ufffd", "\\x85\\u2028"]


@given(st.text())
def test_printable_text_is_one_line_and_stays_as_it_is_otherwise(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"level": "LOUD"}, "options.loguru: level: 'LOUD' is no level of loguru"),
        ({"stderr_level": 30}, "options.loguru: stderr_level: must be text, not 30"),
        ({"levle": "INFO"}, "options.loguru: levle: unknown; did you mean level?"),
    ],
)
def test_a_wrong_setting_is_told(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_sink(**options)
    (problem,) = caught.value.problems
    assert problem.startswith(said)
