"""What a terminal is shown of what a bot wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.errors import ContainerError
from botdock.model import ExecutionResult, Outcome
from botdock.orchestrator import Leftover
from botdock.plugin_manager import PluginRecord, PluginStage
from botdock_cli.commands import plugins as listing
from botdock_cli.output import for_terminal

PLAIN_COLOUR = re.compile(r"\x1b\[[\d;]*m")


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"all is well", "all is well"),
        ("größer ⛵ 日本".encode(), "größer ⛵ 日本"),
        (b"a\tb", "a\tb"),
        (b"50%\r100%", r"50%\r100%"),
        (b"\x1b[2J\x1b[H", r"\x1b[2J\x1b[H"),
        (b"\x1b]0;title\x07", r"\x1b]0;title\x07"),
        (b"\x08\x7f\x00", r"\x08\x7f\x00"),
        (b"\xff\xfe", r"\xff\xfe"),
        ("\x9b2J".encode(), r"\x9b2J"),
        ("pay \u202eelttil".encode(), r"pay \u202eelttil"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(data: bytes, shown: str) -> None:
    assert for_terminal(data, colour=True) == shown
    assert for_terminal(data, colour=False) == shown


@pytest.mark.parametrize("code", ["1", "31", "1;31", "38;5;208", "48;2;1;22;133", "0", "01;97", "107"])
def test_colours_stay_and_end_with_the_line(code: str) -> None:
    data = f"\x1b[{code}mred".encode()
    assert for_terminal(data, colour=True) == f"\x1b[{code}mred\x1b[0m"
    assert for_terminal(data, colour=False) == rf"\x1b[{code}mred"


@pytest.mark.parametrize("code", ["8", "5", "1;8", "38;5", "31;", "?25", "38;5;1234567"])
def test_what_hides_blinks_or_is_no_colour_is_an_escape(code: str) -> None:
    assert for_terminal(f"\x1b[{code}mx".encode(), colour=True) == rf"\x1b[{code}mx"


@given(st.binary() | st.text().map(str.encode) | st.from_regex(rb"(\x1b\[[\d;]{0,9}[mHJ]|a|\r){0,9}"), st.booleans())
def test_nothing_moves_the_cursor_whatever_a_bot_writes(data: bytes, colour: bool) -> None:
    shown = for_terminal(data, colour=colour)
    assert PLAIN_COLOUR.sub("", shown).replace("\t", "").replace("\n", "").isprintable()
    assert colour or "\x1b" not in shown


EVIL = "\x1b]0;title\x07\x1b[2J\r\x9b1A \u202eknil"
FAKED = f"{EVIL}\nbotdock: all is well"


def harmless(shown: Any) -> bool:
    """Tell whether nothing that a terminal would obey is shown, and no line that claims to be botdock's."""
    lines = (shown.out + shown.err).split("\n")
    return all(line.isprintable() for line in lines) and "botdock: all is well" not in lines and "title" in str(lines)


def test_what_a_bot_or_a_disk_says_is_escaped_by_recover(
    cli: Callable[..., Any], fake_runner: Any, logged: Callable[..., Any]
) -> None:
    result = ExecutionResult(execution_id="01a", id="sma", outcome=Outcome.FAILED, error=FAKED)
    fake_runner.recover = lambda **_: [SimpleNamespace(wait=lambda timeout=None: result, result=result)]
    stray = Leftover(kind="container", name=FAKED, execution_id=FAKED, reason=FAKED, action="remove it")
    fake_runner.leftovers = lambda: [stray]
    for args in (["recover"], ["recover", "--json"], ["recover", "--dry-run"], ["recover", "--dry-run", "--json"]):
        assert harmless(cli(*args)), args


@pytest.mark.parametrize("debug", [[], ["--debug"]])
@pytest.mark.parametrize("error", [ContainerError(FAKED, hint=FAKED), OSError(5, FAKED), ZeroDivisionError(FAKED)])
@pytest.mark.parametrize("verb", [["run", "bot"], ["recover"], ["recover", "--dry-run"]])
def test_an_error_is_escaped_whatever_its_kind_and_verb(
    cli: Callable[..., Any], fake_runner: Any, error: Exception, verb: list[str], debug: list[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    fake_runner.start = fake_runner.recover = fake_runner.leftovers = fail
    assert harmless(cli(*debug, *verb))


def test_what_a_record_says_is_escaped_by_logs_and_doctor(cli: Callable[..., Any], logged: Callable[..., Any]) -> None:
    never, owed = logged().concludes(error=FAKED), logged()
    assert harmless(cli("logs", never.execution_id))
    (owed.directory / "concluded.json").write_text(json.dumps({"evidence": {"left_behind": [FAKED]}}))
    assert harmless(cli("doctor"))


def test_what_plugins_name_is_escaped(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    record = PluginRecord(name=FAKED, distribution=FAKED, version=EVIL, stage=PluginStage.IMPORT, reason=FAKED)
    monkeypatch.setattr("botdock_cli.session.Session.plugins", SimpleNamespace(records=(record,)))
    monkeypatch.setattr(listing, "_summaries", lambda manager: {})
    assert harmless(cli("plugins"))
    assert harmless(cli("plugins", "--json"))
