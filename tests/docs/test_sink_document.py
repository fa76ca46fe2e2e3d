"""The log sink of the how-to passes the contract that it shows, and what is said of logging holds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from loguru import logger

from botdock import Config, DockerRunner, Executable, LogSink, PluginManager
from botdock.config import LoggingConfig
from botdock.model import LogLine, LogSource, Stream
from botdock.services.lines import MAX_PIECE
from botdock.services.log_sinks import CLOSE_TIMEOUT, QUEUE_BYTES, WARN_INTERVAL
from botdock_testing import LogSinkContract
from botdock_testing.log_sink import Delivered

HOW_TO = Path(__file__).parents[2] / "docs/how-to"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: str, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall((HOW_TO / document).read_text()) if found == language]


SINK, CONTRACT = blocks("write-a-log-sink.md", "python")
SHOWN: dict[str, Any] = {"__name__": "botdock_jsonlines"}
exec(SINK, SHOWN)


class TestJsonLines(LogSinkContract):
    """The one that is shown, with its types."""

    @pytest.fixture
    def sink(self, tmp_path: Path) -> LogSink:
        made: LogSink = SHOWN["JsonLinesSink"](tmp_path)
        return made

    @pytest.fixture
    def delivered(self, tmp_path: Path) -> Delivered:
        shown: dict[str, Any] = {"__name__": "test_shown"}
        exec(CONTRACT, shown)
        read: Delivered = shown["TestJsonLines"].delivered.__wrapped__(None, tmp_path)
        return read


def test_the_shown_test_is_run_as_it_is_shown(tmp_path: Path) -> None:
    (tmp_path / "botdock_jsonlines.py").write_text(SINK)
    (tmp_path / "test_shown.py").write_text(CONTRACT)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shown.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"^[3-9]\d passed", done.stdout, re.MULTILINE), done.stdout


def test_it_gets_the_lines_of_a_bot_as_a_plugin(tmp_path: Path) -> None:
    class Module:
        botdock_log_sinks = staticmethod(SHOWN["botdock_log_sinks"])

    (tmp_path / "bot").mkdir()
    (tmp_path / "bot/main.sh").write_text("echo one\necho two >&2\nprintf three\n")
    (section,) = (block for block in blocks("write-a-log-sink.md", "toml") if "[logging]" in block)
    (tmp_path / "botdock.toml").write_text(section)
    loaded = Config.load(tmp_path / "botdock.toml", environ={})
    config = attrs.evolve(loaded, engine="process", home=str(tmp_path / "home"))
    plugins = PluginManager.load()
    plugins.register(Module, name="jsonlines")
    with DockerRunner(config, plugins=plugins) as runner:
        result = runner.run(Executable(id="b", runtime="bash", file_path=str(tmp_path / "bot")))
    written = (config.home_dir / "jsonlines" / f"{result.execution_id}.jsonl").read_text().splitlines()
    found = {(record["text"], record["stream"], record["complete"]) for record in map(json.loads, written)}
    assert found == {("one", "stdout", True), ("two", "stderr", True), ("three", "stdout", False)}


def test_the_numbers_are_those_of_the_code() -> None:
    text = (HOW_TO / "write-a-log-sink.md").read_text() + (HOW_TO / "logging.md").read_text()
    assert f"{LoggingConfig().sink_queue:,} unless" in text
    assert text.count(f"never more than {QUEUE_BYTES // 1024**2} MiB") == 2
    assert f"pieces of {MAX_PIECE // 1024} KiB" in text
    assert (CLOSE_TIMEOUT, text.count("five seconds")) == (5.0, 2)
    assert (WARN_INTERVAL, text.count("once a minute")) == (60.0, 1)


def test_what_is_shown_of_botdock_s_own_log_works(tmp_path: Path) -> None:
    """In a process of its own, because it changes what a process logs; no other test runs blocks that are `py`."""
    enable, silence, one_file = blocks("logging.md", "py")
    program = f"""{enable}
{silence}
{one_file}
log_of("01")
def say(name, text, **extra):
    exec("logger.bind(**extra).warning(text)", dict(__name__=name, logger=logger, extra=extra, text=text))
say("botdock.services.code.service", "heard", execution_id="01")
say("botdock_storage_minio.upload", "of another", execution_id="02")
say("botdock_engine_docker.engine", "silenced")
say("botdock.services.outbox.outbox", "silenced")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert re.findall(r"\w+: (.*)", done.stderr) == [
        "heard {'execution_id': '01'}",
        "of another {'execution_id': '02'}",
    ]
    assert "heard" in (tmp_path / "01.log").read_text()
    assert "another" not in (tmp_path / "01.log").read_text()


def test_the_shown_configuration_is_valid_and_gives_records(tmp_path: Path) -> None:
    (section,) = blocks("logging.md", "toml")
    (tmp_path / "botdock.toml").write_text(section)
    config = Config.load(tmp_path / "botdock.toml", environ={})
    found: list[Any] = []
    handler = logger.add(lambda message: found.append(message.record))
    try:
        sink = PluginManager.load().log_sink(config.logging.sinks[0]).factory(config)
        source = LogSource(execution_id="01", id="bot", runtime="bash")
        sink.write(source, [LogLine(Stream.STDOUT, b"out"), LogLine(Stream.STDERR, b"err")])
    finally:
        logger.remove(handler)
    extra = {"execution_id", "bot_id", "runtime", "stream", "complete"}
    assert [(record["message"], record["level"].name, set(record["extra"])) for record in found] == [
        ("out", "INFO", extra),
        ("err", "WARNING", extra),
    ]
