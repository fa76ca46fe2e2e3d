"""Botdock's own log is silent until it is wanted, plugins' too; what the application says stays."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from loguru import logger

import botdock
import botdock.logging
from botdock import _log
from botdock._plugins.discovery import cover

ROOT = Path(botdock.__file__).parents[2]
NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def records() -> Iterator[list[Any]]:
    """What an application hears; everything is silent again afterwards."""
    found: list[Any] = []
    handler = logger.add(lambda message: found.append(message.record), level=0)
    yield found
    logger.remove(handler)
    botdock.logging.disable()


@pytest.fixture
def package() -> str:
    """Return the name of a package that no call has named yet."""
    return f"acme{next(NUMBERS)}"


@pytest.fixture
def is_heard(records: list[Any]) -> Any:
    def log(module: str) -> bool:
        before = len(records)
        exec(compile("logger.info('hello')", module, "exec"), {"__name__": module, "logger": logger})
        return len(records) > before

    return log


def test_botdock_and_the_plugins_are_silent_and_can_be_heard(is_heard: Any, package: str) -> None:
    cover(f"{package}.plugin:hooks")
    modules = ["botdock.services.outbox.outbox", f"{package}.plugin", f"{package}.deep.inside"]
    assert [is_heard(module) for module in modules] == [False] * 3
    botdock.logging.enable()
    assert [is_heard(module) for module in modules] == [True] * 3
    botdock.logging.disable()
    assert [is_heard(module) for module in modules] == [False] * 3


def test_what_is_loaded_later_follows(is_heard: Any, package: str) -> None:
    botdock.logging.enable()
    cover(f"{package}.plugin")
    assert is_heard(f"{package}.plugin")
    botdock.logging.disable()
    assert not is_heard(f"{package}.plugin")


def test_what_the_application_says_afterwards_holds_until_botdock_is_told_again(is_heard: Any, package: str) -> None:
    cover(f"{package}.plugin")
    botdock.logging.enable()
    logger.disable(f"{package}.noisy")
    logger.disable("botdock.services.noisy")
    modules = [f"{package}.plugin", f"{package}.noisy", "botdock.services.noisy", "botdock.services.other"]
    assert [is_heard(name) for name in modules] == [True, False, False, True]
    botdock.logging.enable()
    assert [is_heard(name) for name in modules] == [True] * 4
    botdock.logging.disable()
    logger.enable(package)
    assert [is_heard(name) for name in modules] == [True, True, False, False]


def test_a_plugin_that_the_application_silenced_before_stays_silent_when_it_is_loaded(
    is_heard: Any, package: str
) -> None:
    botdock.logging.enable()
    logger.disable(package)
    cover(f"{package}.plugin")
    assert not is_heard(f"{package}.plugin")


def test_silence_covers_plugins_that_are_installed_and_not_loaded(is_heard: Any) -> None:
    botdock.logging.disable()
    assert not is_heard("botdock_storage_minio.plugin")


def test_a_namespace_is_not_a_plugin_s_alone(is_heard: Any, package: str) -> None:
    cover(f"{package}.runner.plugin")
    assert [is_heard(f"{package}.runner.plugin"), is_heard(f"{package}.shop")] == [False, True]


@pytest.mark.parametrize("value", ["{0}.hooks", "{0}", "{0}:hooks"])
def test_an_application_that_is_a_plugin_as_well_is_not_silenced(
    is_heard: Any, package: str, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    application = ModuleType(package)
    application.__path__ = []
    monkeypatch.setitem(sys.modules, package, application)
    cover(value.format(package))
    assert is_heard(f"{package}.main")
    assert is_heard(f"{package}.hooks") is (".hooks" not in value)


@pytest.mark.parametrize("value", ["", ":", " ", "[extra]"])
def test_an_entry_point_that_names_nothing_changes_nothing(is_heard: Any, value: str) -> None:
    cover(value)
    assert is_heard("anything")


def test_a_module_can_ask_for_the_logger_by_itself(is_heard: Any, package: str) -> None:
    assert botdock.logging.logger_of(f"{package}.upload") is _log.logger
    assert [is_heard(f"{package}.upload"), is_heard(f"{package}.rest")] == [False, True]
    botdock.logging.enable()
    assert is_heard(f"{package}.upload")


def test_a_module_whose_purpose_is_to_log_speaks_when_its_plugin_is_silent(is_heard: Any, package: str) -> None:
    cover(f"{package}.plugin")
    botdock.logging.exempt(f"{package}.sink")
    assert [is_heard(f"{package}.plugin"), is_heard(f"{package}.sink")] == [False, True]
    botdock.logging.disable()
    assert [is_heard(f"{package}.plugin"), is_heard(f"{package}.sink")] == [False, True]
    botdock.logging.enable()
    assert [is_heard(f"{package}.plugin"), is_heard(f"{package}.sink")] == [True, True]


PLUGIN = """
from loguru import logger
from botdock import hookimpl
logger.warning("imported")

@hookimpl
def botdock_log_sinks():
    logger.warning("asked")
    yield from ()
"""

PROGRAM = """
import sys
from loguru import logger
import botdock
{before}
manager = botdock.PluginManager.load()
assert [record.reason for record in manager.records if record.name == "acme"] == [""]
from botdock._log import logger as ours
exec(compile("ours.warning('core')", "x", "exec"), {{"__name__": "botdock.services", "ours": ours}})
exec(compile("ours.warning('engine')", "x", "exec"), {{"__name__": "botdock_engine_docker.containers", "ours": ours}})
"""


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("", []),
        ("import botdock.logging; botdock.logging.enable()", ["imported", "asked", "core", "engine"]),
        ("import botdock.logging; botdock.logging.enable(); botdock.logging.disable()", []),
        ("import botdock.logging; botdock.logging.enable(); logger.disable('acme_sink')", ["core", "engine"]),
    ],
)
def test_with_a_plugin_that_is_truly_installed(tmp_path: Path, before: str, said: list[str]) -> None:
    """The application has done nothing: loguru's own handler writes to stderr."""
    (tmp_path / "acme_sink").mkdir()
    (tmp_path / "acme_sink" / "__init__.py").touch()
    (tmp_path / "acme_sink" / "plugin.py").write_text(PLUGIN)
    metadata = tmp_path / "acme_sink-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-sink\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[botdock]\nacme = acme_sink.plugin\n")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + PROGRAM.format(before=before)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert re.findall(r" - (.*)", done.stderr) == said


def test_the_library_adds_no_handler_and_catches_nothing() -> None:
    sources = [
        path for part in ("core", "plugins", "runtimes", "storage_backends") for path in (ROOT / part).rglob("*.py")
    ]
    offenders = [
        str(path)
        for path in sources
        if "tests" not in path.parts
        and "botdock_cli" not in path.parts
        and re.search(r"^[^#`]*\blogger\.(add|remove|catch|configure)\(", path.read_text(), re.MULTILINE)
        and path.name not in {"logging.py", "__main__.py"}
    ]
    assert len(sources) > 100
    assert offenders == []


def test_user_data_is_never_formatted_into_a_message() -> None:
    """A message is a constant; data is bound to it."""
    level = r"\.(trace|debug|info|success|warning|error|critical|exception)"
    call = re.compile(rf"(?<!\bself)(?<!\bCheck)(?<!\bproblems){level}\(\s*f[\"']")
    sources = [path for part in ("core", "plugins", "storage_backends") for path in (ROOT / part).rglob("*.py")]
    assert [str(path) for path in sources if "tests" not in path.parts and call.search(path.read_text())] == []


def test_a_thread_carries_what_it_is_told(records: list[Any]) -> None:
    def log(text: str) -> None:
        logger.info(text)

    with _log.about("01"):
        inside = _log.carried(log)
        other = _log.carried(log, execution_id="02")
    alone = _log.carried(log)
    for call, text in ((inside, "inside"), (other, "other"), (alone, "alone")):
        thread = threading.Thread(target=call, args=(text,))
        thread.start()
        thread.join()
    carried = {record["message"]: record["extra"] for record in records}
    assert carried == {"inside": {"execution_id": "01"}, "other": {"execution_id": "02"}, "alone": {}}


def test_many_threads_can_run_what_was_wrapped_once() -> None:
    together = threading.Barrier(4, timeout=30)
    with _log.about("01"):
        call = _log.carried(lambda: together.wait() >= 0)
    with ThreadPoolExecutor(4) as threads:
        assert [future.result() for future in [threads.submit(call) for _ in range(4)]] == [True] * 4


def test_what_was_wrapped_returns_and_raises_as_ever() -> None:
    assert _log.carried(sorted, execution_id="01")([1, 2], reverse=True) == [2, 1]
    with pytest.raises(ValueError, match="invalid literal"):
        _log.carried(int)("x")
