"""Every line becomes one record, whatever is in it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

import botdock.logging
from botdock import Config, LogSink
from botdock.errors import ConfigError
from botdock.model import LogLine, LogSource, Stream
from botdock.plugin_manager import PluginManager
from botdock_logging_loguru.sink import printable

if TYPE_CHECKING:
    from loguru import Record

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
    first = {"execution_id": "01j", "bot_id": "bot-1", "runtime": "bash", "stream": "stdout", "complete": True}
    assert [record["message"] for record in records] == ["one", "two"]
    assert [record["extra"] for record in records] == [first, {**first, "stream": "stderr"}]
    assert [record["level"].name for record in records] == ["INFO", "INFO"]


def test_a_record_has_the_time_of_its_line_and_says_whether_the_line_is_whole(
    records: list[Any], tmp_path: Path
) -> None:
    handler = logger.add(tmp_path / "log", format="{time:YYYY-MM-DD HH:mm:ss.SSSSSS!UTC} {message}")
    moment = 1_700_000_000_123_456_789
    open_sink().write(SOURCE, [LogLine(Stream.STDOUT, b"half", moment, complete=False)])
    logger.remove(handler)
    (record,) = records
    assert record["time"] == datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)
    assert record["extra"]["complete"] is False
    assert (tmp_path / "log").read_text() == "2023-11-14 22:13:20.123456 half\n"


@pytest.mark.parametrize("moment", [0, 2**62, -(2**70)])
def test_a_line_without_a_time_that_makes_sense_has_that_of_its_record(records: list[Any], moment: int) -> None:
    before = datetime.now(UTC)
    open_sink().write(SOURCE, [LogLine(Stream.STDOUT, b"when?", moment)])
    if moment == 2**62:  # the year 2116
        assert records[0]["time"] > before
    else:
        assert before <= records[0]["time"] <= datetime.now(UTC)


def test_a_patcher_of_the_application_sees_the_line_and_has_the_last_word_on_it(records: list[Any]) -> None:
    def mask(record: Record) -> None:
        record["message"] = record["message"].replace("hunter2", "***")

    logger.configure(patcher=mask)
    try:
        open_sink().write(SOURCE, [LogLine(Stream.STDOUT, b"the password is hunter2")])
    finally:
        logger.configure(patcher=lambda _record: None)
    assert [record["message"] for record in records] == ["the password is ***"]


def test_a_stuck_handler_does_not_keep_the_sink_from_closing() -> None:
    stuck = threading.Event()
    handler = logger.add(lambda _message: [stuck.wait(30)].clear(), enqueue=True)
    sink = open_sink()
    sink.write(SOURCE, [LogLine(Stream.STDOUT, b"held")])
    sink.close()
    with logger.contextualize(execution_id="02"):  # needs the lock that waiting for a handler holds
        pass
    stuck.set()
    logger.remove(handler)


def test_bots_are_heard_while_botdock_itself_is_silent(records: list[Any]) -> None:
    botdock.logging.disable()
    open_sink().write(SOURCE, [LogLine(Stream.STDOUT, b"heard")])
    botdock.logging.disable()
    open_sink().write(SOURCE, [LogLine(Stream.STDOUT, b"still heard")])
    assert [record["message"] for record in records] == ["heard", "still heard"]


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
        ({"level": "LOUD"}, "options.loguru.level: 'LOUD' is not a level of loguru"),
        ({"stderr_level": 30}, "options.loguru.stderr_level: must be text, not 30"),
        ({"levle": "INFO"}, "options.loguru.levle: unknown; did you mean level?"),
    ],
)
def test_a_wrong_setting_is_told(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_sink(**options)
    (problem,) = caught.value.problems
    assert problem.startswith(said)
